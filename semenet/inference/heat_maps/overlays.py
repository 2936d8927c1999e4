"""Heat maps on radiographs: resized to the image, coloured, and encoded as picture files."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import cv2
import matplotlib
import numpy as np

from semenet.models.receptive_fields import ReceptiveField, ReceptiveFieldError, receptive_field

if TYPE_CHECKING:
    from semenet.data.transforms.lung_view_on_host import Box
    from semenet.training.run_folder.run import Run

# Perceptually uniform; its steps stay distinguishable in print and for colour-blind readers.
COLOUR_MAP = "inferno"


def cell_geometry(run: Run, layer: str = "features") -> ReceptiveField | None:
    """Computes where the cells of a layer's feature map lie in a network's input.

    Args:
        run: a trained classifier.
        layer: name of the layer of the heat map.

    Returns:
        The argument `geometry` of `resize_heat_map`. None, with a warning, if the network has layers whose
        receptive field is unknown; maps are then resized as if their cells divided the image evenly.
    """
    try:
        return receptive_field(run.model, layer, run.input_size)
    except ReceptiveFieldError as error:
        message = f"Heat maps are resized as if their cells divided the image evenly. {error}"
        warnings.warn(message, stacklevel=2)
        return None


def resize_heat_map(
    heat: np.ndarray, shape: tuple[int, int], geometry: ReceptiveField | None = None
) -> np.ndarray:
    """Resizes a heat map to an image, bilinearly between cell centres and constant beyond the outer ones.

    The centre of a cell may lie elsewhere than an even division of the image suggests: in ResNet50, padding
    moves it 15.5 input pixels up and to the left.

    Args:
        heat: `(h, w)`.
        shape: `(H, W)` of the image; the network's input is the same image, resized.
        geometry: the receptive field of the map's layer; None for cells that divide the image evenly.

    Returns:
        float32 `(H, W)`, within the range of `heat`.

    Example:
        >>> heat = np.array([[0.0, 1.0]])
        >>> semenet.inference.resize_heat_map(heat, (1, 4))
        array([[0.  , 0.25, 0.75, 1.  ]], dtype=float32)
    """
    heat = np.asarray(heat, np.float32)
    for axis, length in enumerate(shape):
        lower, upper, share = _neighbours(heat.shape[axis], length, geometry, axis)
        share = share if axis == 1 else share[:, None]
        heat = heat.take(lower, axis) * (1 - share) + heat.take(upper, axis) * share
    return heat


def _neighbours(
    cells: int, length: int, geometry: ReceptiveField | None, axis: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns for each pixel along an axis the cells before and after it, and the weight of the latter."""
    if geometry is None:
        side, stride = cells, 1.0
        start = 0.0
    else:
        side, stride, start = geometry.input_size[axis], geometry.stride[axis], geometry.start[axis]
    pixels = (np.arange(length) + 0.5) * side / length - 0.5
    place = np.clip((pixels - start) / stride, 0, cells - 1)
    lower = place.astype(int)
    return lower, np.minimum(lower + 1, cells - 1), (place - lower).astype(np.float32)


def place_heat_map(
    heat: np.ndarray, shape: tuple[int, int], geometry: ReceptiveField | None = None, box: Box | None = None
) -> np.ndarray:
    """Resizes a heat map to the part of an image that the network sees; it is 0 around that part.

    Args:
        heat: `(h, w)`.
        shape: `(H, W)` of the image.
        geometry: as for `resize_heat_map`.
        box: the rectangle that the network sees; None for the whole image.

    Returns:
        float32 `(H, W)`.
    """
    if box is None:
        return resize_heat_map(heat, shape, geometry)
    placed = np.zeros(shape, np.float32)
    placed[box.slices] = resize_heat_map(heat, placed[box.slices].shape, geometry)
    return placed


def share_inside(heat: np.ndarray, mask: np.ndarray) -> float | None:
    """Computes the share of a heat map that lies inside a mask.

    Args:
        heat: `(H, W)`, values of 0 or more, in the size of the mask.
        mask: bool `(H, W)`.

    Returns:
        The share of the map's sum, in [0, 1]; None for a map that is 0 everywhere.
    """
    heat = np.asarray(heat, np.float64)
    return float(heat[mask].sum() / heat.sum()) if heat.any() else None


def overlay_heat_map(
    image: np.ndarray,
    heat: np.ndarray,
    alpha: float = 0.6,
    geometry: ReceptiveField | None = None,
    box: Box | None = None,
) -> np.ndarray:
    """Blends a heat map into a radiograph; where the map is 0 the radiograph is unchanged.

    Args:
        image: uint8 `(H, W)`.
        heat: `(h, w)` in [0, 1], resized to the image.
        alpha: opacity of the colour, in [0, 1], where the map is 1; proportional to the map elsewhere.
        geometry: as for `resize_heat_map`.
        box: as for `place_heat_map`.

    Returns:
        uint8 RGB `(H, W, 3)`, in the colours of matplotlib's `COLOUR_MAP`.

    Example:
        >>> image = np.full((64, 64), 90, np.uint8)
        >>> heat = np.array([[0.0, 1.0], [0.0, 1.0]])
        >>> picture = semenet.inference.overlay_heat_map(image, heat)
        >>> picture.shape
        (64, 64, 3)
        >>> picture[0, 0]
        array([90, 90, 90], dtype=uint8)
    """
    heat = place_heat_map(heat, image.shape, geometry, box)
    colours = _colours(heat)
    opacity = alpha * heat[..., None]
    return np.rint(image[..., None] * (1 - opacity) + colours * opacity).astype(np.uint8)


def heat_map_layer(
    heat: np.ndarray,
    shape: tuple[int, int],
    geometry: ReceptiveField | None = None,
    box: Box | None = None,
) -> np.ndarray:
    """Colours a heat map as a layer to lay over a radiograph; where the map is 0 it is transparent.

    Shown with an opacity of 0.6, it gives the picture of `overlay_heat_map`, but for rounding.

    Args:
        heat: `(h, w)` in [0, 1], resized to `shape`.
        shape: `(H, W)` of the radiograph.
        geometry: as for `resize_heat_map`.
        box: as for `place_heat_map`.

    Returns:
        uint8 `(H, W, 4)`: red, green, blue, and the opacity, which is proportional to the map.

    Example:
        >>> layer = semenet.inference.heat_map_layer(np.array([[0.0, 1.0]]), (64, 64))
        >>> layer[0, 0, 3], layer[0, -1, 3]
        (np.uint8(0), np.uint8(255))
    """
    heat = place_heat_map(heat, shape, geometry, box)
    return np.rint(np.concatenate([_colours(heat), 255 * heat[..., None]], axis=-1)).astype(np.uint8)


def _colours(heat: np.ndarray) -> np.ndarray:
    """Returns the colours of a map in [0, 1]: float32 `(H, W, 3)`, in [0, 255]."""
    # The same values as matplotlib's float mapping, in a quarter of the memory.
    table = np.float32(matplotlib.colormaps[COLOUR_MAP](np.arange(256))[:, :3] * 255)
    return table[np.minimum(heat * 256, 255).astype(np.uint8)]


def encode_image(image: np.ndarray, suffix: str = ".png") -> bytes:
    """Encodes a uint8 image, grey `(H, W)` or RGB `(H, W, 3)`, as the bytes of a PNG or JPEG file."""
    options = []
    if suffix == ".jpg":
        # Thin coloured lines need colours at full resolution.
        options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, encoded = cv2.imencode(suffix, image if image.ndim == 2 else image[..., ::-1], options)
    return encoded.tobytes()
