"""Images with regions removed, to find out which regions a prediction depends on."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from semenet.inference.lung_masks import keep_only_lungs

# Shares of the image's side: the margin by which lung masks are dilated before the rest counts as free of
# lungs; height and width of a corner, where letters are usually placed; width of the border.
MARGIN = 0.02
CORNER = (0.3, 0.25)
BORDER = 0.1
_GREY = 128

View = Callable[[np.ndarray, np.ndarray], np.ndarray]


def without_lungs(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Blacks out the lungs and a margin of 2 % of the side around them, which hides their exact outline.

    Args:
        images: uint8 `(n, H, W, C)`.
        masks: bool `(n, H, W)` of the lungs.

    Returns:
        uint8 `(n, H, W, C)`.
    """
    return np.where(dilate_masks(masks)[..., np.newaxis], np.uint8(0), images)


def outlines_alone(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Keeps only the outline of the lungs: mid-grey inside, black outside; arguments as `without_lungs`."""
    return np.broadcast_to(masks[..., np.newaxis], images.shape) * np.uint8(_GREY)


def without_corners(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Flattens the four corners, where letters are usually placed, except for pixels near the lungs.

    A corner, 30 % of the height and 25 % of the width, is filled with the median of its own grey levels.

    Args:
        images: uint8 `(n, H, W, C)`.
        masks: bool `(n, H, W)` of the lungs.

    Returns:
        uint8 `(n, H, W, C)`.
    """
    height, width = masks.shape[1:]
    high, wide = round(CORNER[0] * height), round(CORNER[1] * width)
    regions = [
        (rows, columns)
        for rows in (slice(high), slice(-high, None))
        for columns in (slice(wide), slice(-wide, None))
    ]
    return _flatten(images, masks, regions)


def without_border(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Flattens a border of 10 % on each side, except for pixels near the lungs; as `without_corners`."""
    height, width = masks.shape[1:]
    high, wide = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    everything = slice(None)
    regions = [
        (slice(high), everything),
        (slice(-high, None), everything),
        (everything, slice(wide)),
        (everything, slice(-wide, None)),
    ]
    return _flatten(images, masks, regions)


def dilate_masks(masks: np.ndarray) -> np.ndarray:
    """Dilates masks, bool `(n, H, W)`, by `MARGIN` of the longer side."""
    radius = max(1, round(MARGIN * max(masks.shape[1:])))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.stack([cv2.dilate(mask.astype(np.uint8), kernel) for mask in masks]) > 0


def image_views(takes_lungs_alone: bool) -> dict[str, View]:
    """Returns the views of an image that an audit evaluates, as functions of images and masks by name.

    Args:
        takes_lungs_alone: whether the network's input is the lungs alone, with corners and border already
            black.
    """
    if takes_lungs_alone:
        return {"as_fed": keep_only_lungs, "without_lungs": outlines_alone}
    return {
        "as_fed": lambda images, masks: images,
        "without_lungs": without_lungs,
        "lungs_alone": keep_only_lungs,
        "without_corners": without_corners,
        "without_border": without_border,
    }


def _flatten(images: np.ndarray, masks: np.ndarray, regions: Sequence[tuple[slice, slice]]) -> np.ndarray:
    flattened = images.copy()
    clear = ~dilate_masks(masks)
    for image, free in zip(flattened, clear, strict=True):
        for region in regions:
            if free[region].any():
                # A view of the copy, so that the assignment changes the copy.
                part = image[region]
                part[free[region]] = np.rint(np.median(part[free[region]], axis=0)).astype(np.uint8)
    return flattened
