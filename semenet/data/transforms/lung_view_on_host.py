"""The lungs' box and standard grey levels of NumPy arrays, by the specification in `lung_view`."""

from typing import NamedTuple

import numpy as np

from semenet.data.transforms import host as host_transforms
from semenet.data.transforms.lung_plausibility import CHECKS, SIDE, check_lungs
from semenet.data.transforms.lung_view import HIGH_LEVEL, HIGH_PERCENT, LOW_LEVEL, LOW_PERCENT, LungView


class Box(NamedTuple):
    """A rectangle of an image, in pixels; `bottom` and `right` are the first row and column outside."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rows and columns of the rectangle, as an index of arrays."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


class ViewedImage(NamedTuple):
    """An image as a network sees it, before CLAHE, and what was found on the way.

    Attributes:
        image: uint8 of the input size.
        mask: uint8 of the input size, values in {0, 1}; 1 everywhere where the mask is implausible.
        box: the rectangle of the original image that is shown.
        failed: bool (3,), the checks of `semenet.data.transforms.lung_plausibility.CHECKS` that the mask
            failed. If it failed any, the whole image is shown.
    """

    image: np.ndarray
    mask: np.ndarray
    box: Box
    failed: np.ndarray

    @property
    def flags(self) -> str:
        """The names of the failed checks, separated by spaces."""
        return " ".join(name for name, fails in zip(CHECKS, self.failed, strict=True) if fails)


def view_lungs(image: np.ndarray, mask: np.ndarray, size: tuple[int, int], view: LungView) -> ViewedImage:
    """Cuts an image to its lungs, resizes it and standardises its grey levels, as far as a view does so.

    Args:
        image: uint8 (height, width), values in [0, 255].
        mask: uint8 or bool (height, width), not 0 inside the lungs.
        size: (height, width) of the network's input, in pixels.
        view: what to do.

    Returns:
        The image and its mask in the input size.
    """
    box, failed = find_box(mask, view)
    resized = host_transforms.resize(np.ascontiguousarray(image[box.slices]), size)
    if failed.any():
        inside = np.ones(size, np.uint8)
    else:
        inside = host_transforms.resize_mask((mask[box.slices] != 0).astype(np.uint8), size)
    if view.standardize:
        resized = standardize(resized, inside)
    return ViewedImage(resized, inside, box, failed)


def find_box(mask: np.ndarray, view: LungView) -> tuple[Box, np.ndarray]:
    """Finds the rectangle of an image that a view shows.

    Args:
        mask: `(height, width)`, not 0 inside the lungs.
        view: what to do.

    Returns:
        The rectangle, the whole image for an implausible mask or a view without a box; and bool (3,), the
        checks that the mask failed.
    """
    failed, cells = check_lungs(mask)
    if failed.any() or not view.box:
        return Box(0, 0, *mask.shape), failed
    return lung_box(mask, cells, view.margin_thousandths), failed


def lung_box(mask: np.ndarray, cells: np.ndarray, margin_thousandths: int) -> Box:
    """Finds the box of the lungs.

    Args:
        mask: `(height, width)`, not 0 inside the lungs.
        cells: bool (64, 64), the cells of the lungs without specks.
        margin_thousandths: the margin on each side, in thousandths of the box's side.

    Returns:
        The box; the whole image if there is no pixel or no cell in it.
    """
    near = tuple(
        slice(*_near_pixels(cells.any(axis=1 - axis), length)) for axis, length in enumerate(mask.shape)
    )
    part = mask[near] != 0
    if not part.any():
        return Box(0, 0, *mask.shape)
    limits = []
    for axis, length in enumerate(mask.shape):
        first, end = _bounds(part.any(axis=1 - axis))
        margin = ((end - first) * margin_thousandths + 500) // 1000
        first, end = first + near[axis].start, end + near[axis].start
        limits.append((max(first - margin, 0), min(end + margin, length)))
    (top, bottom), (left, right) = limits
    return Box(top, left, bottom, right)


def standardize(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Stretches grey levels so that two percentiles inside a mask reach fixed levels.

    Args:
        image: uint8 (height, width), values in [0, 255].
        mask: uint8 (height, width), 1 inside. If it is 0 everywhere, all pixels count.

    Returns:
        A uint8 array of the image's shape; the same values where the two percentiles are equal.
    """
    inside = image[mask != 0]
    counts = np.cumsum(np.bincount(inside if inside.size else image.ravel(), minlength=256))
    low, high = (
        int(np.searchsorted(100 * counts, percent * counts[-1])) for percent in (LOW_PERCENT, HIGH_PERCENT)
    )
    if low == high:
        return image
    stretch = 2 * (HIGH_LEVEL - LOW_LEVEL)
    levels = LOW_LEVEL + (stretch * (np.arange(256) - low) + high - low) // (2 * (high - low))
    return host_transforms.change_tone(image, np.clip(levels, 0, 255).astype(np.uint8))


def _near_pixels(is_used: np.ndarray, length: int) -> tuple[int, int]:
    """Returns the pixels from one cell before the first used cell to one cell behind the last one."""
    if not is_used.any():
        return 0, length
    first, end = _bounds(is_used)
    return max(first - 1, 0) * length // SIDE, -(-min(end + 1, SIDE) * length // SIDE)


def _bounds(is_used: np.ndarray) -> tuple[int, int]:
    """Returns the first true position and the one after the last."""
    return int(is_used.argmax()), len(is_used) - int(is_used[::-1].argmax())
