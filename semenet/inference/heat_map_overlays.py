"""Heat maps on radiographs: stretched to where their cells lie, coloured, and encoded as pictures."""

import warnings

import cv2
import matplotlib
import numpy as np

from semenet.models.receptive_field import ReceptiveFieldError, receptive_field

# Perceptually even, and its steps stay apart in print and for colour-blind readers.
COLOUR_MAP = "inferno"


def cell_geometry(run, layer="features"):
    """Where the cells of a layer's map lie in a run's input, for `resize_heat_map`.

    Args:
        run: a trained classifier, `semenet.training.run_folder.run.Run`.
        layer: name of the layer that a heat map is of.

    Returns:
        `semenet.models.receptive_field.ReceptiveField`, or None, with a warning, for a network with layers
        whose windows are not known: maps are then stretched as if their cells divided the image evenly.
    """
    try:
        return receptive_field(run.model, layer, run.input_size)
    except ReceptiveFieldError as error:
        warnings.warn(f"Heat maps are stretched evenly. {error}", stacklevel=2)
        return None


def resize_heat_map(heat, shape, geometry=None):
    """Stretches a heat map to an image: bilinearly between the cells' centres, and evenly outside of them.

    A cell's centre need not lie where dividing the image evenly would put it: ResNet50's, through its
    padding, lies 15.5 pixels of the input above and to the left of that.

    Args:
        heat: `(h, w)`.
        shape: `(H, W)`, the image's own size; the network's input is the same picture, stretched.
        geometry: a `ReceptiveField` of the layer that the map is of; None for cells that divide the image
            evenly.

    Returns:
        float32 `(H, W)`, no value beyond those of `heat`.
    """
    heat = np.asarray(heat, np.float32)
    for axis, length in enumerate(shape):
        lower, upper, share = _neighbours(heat.shape[axis], length, geometry, axis)
        share = share if axis == 1 else share[:, None]
        heat = heat.take(lower, axis) * (1 - share) + heat.take(upper, axis) * share
    return heat


def _neighbours(cells, length, geometry, axis):
    """For each pixel along an axis: the cells before and behind its centre, and the latter's share."""
    if geometry is None:
        side, stride = cells, 1.0
        start = 0.0
    else:
        side, stride, start = geometry.input_size[axis], geometry.stride[axis], geometry.start[axis]
    pixels = (np.arange(length) + 0.5) * side / length - 0.5
    place = np.clip((pixels - start) / stride, 0, cells - 1)
    lower = place.astype(int)
    return lower, np.minimum(lower + 1, cells - 1), (place - lower).astype(np.float32)


def overlay_heat_map(image, heat, alpha=0.6, geometry=None):
    """Lays a heat map over a radiograph; where the map is 0 the radiograph shows unchanged.

    Args:
        image: uint8 `(H, W)`.
        heat: `(h, w)` in [0, 1], stretched to the image's size.
        alpha: float in [0, 1], the opacity of the colour where the map is 1; elsewhere in proportion.
        geometry: as for `resize_heat_map`.

    Returns:
        uint8 RGB `(H, W, 3)`, in the colours of matplotlib's `COLOUR_MAP`.
    """
    heat = resize_heat_map(heat, image.shape, geometry)
    # As matplotlib maps a float, in a quarter of the memory.
    table = np.float32(matplotlib.colormaps[COLOUR_MAP](np.arange(256))[:, :3] * 255)
    colours = table[np.minimum(heat * 256, 255).astype(np.uint8)]
    opacity = alpha * heat[..., None]
    return np.rint(image[..., None] * (1 - opacity) + colours * opacity).astype(np.uint8)


def encode_image(image, suffix=".png"):
    """Encodes a uint8 image, grey `(H, W)` or RGB `(H, W, 3)`, as the bytes of a PNG or JPEG file."""
    options = []
    if suffix == ".jpg":
        # Thin coloured lines need the colours at full resolution.
        options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, encoded = cv2.imencode(suffix, image if image.ndim == 2 else image[..., ::-1], options)
    return encoded.tobytes()
