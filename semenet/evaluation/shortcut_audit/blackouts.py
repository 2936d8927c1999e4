"""Images with parts taken away, to see what a prediction hangs on."""

import cv2
import numpy as np

from semenet.inference.lung_masks import keep_only_lungs

# Shares of the image's side: by how much the lungs' masks are widened before the rest is held to be free of
# lungs; height and width of a corner, where letters stand; width of the border.
MARGIN = 0.02
CORNER = (0.3, 0.25)
BORDER = 0.1
_GREY = 128


def without_lungs(images, masks):
    """Blacks out the lungs, and a margin around them of 2 % of the side, which hides their exact outline.

    Args:
        images: uint8 `(n, H, W, C)`.
        masks: bool `(n, H, W)` of the lungs.

    Returns:
        uint8 `(n, H, W, C)`.
    """
    return np.where(widened(masks)[..., np.newaxis], np.uint8(0), images)


def outlines_alone(images, masks):
    """Leaves nothing but the lungs' outline: mid-grey inside, black outside; arguments as `without_lungs`."""
    return np.broadcast_to(masks[..., np.newaxis], images.shape) * np.uint8(_GREY)


def without_corners(images, masks):
    """Flattens the four corners, where letters stand, as far as they are clear of the lungs.

    A corner, 30 % of the height and 25 % of the width, gets the median of its own grey levels.

    Args:
        images: uint8 `(n, H, W, C)`.
        masks: bool `(n, H, W)` of the lungs.

    Returns:
        uint8 `(n, H, W, C)`.
    """
    height, width = masks.shape[1:]
    high, wide = round(CORNER[0] * height), round(CORNER[1] * width)
    places = [
        (rows, columns)
        for rows in (slice(high), slice(-high, None))
        for columns in (slice(wide), slice(-wide, None))
    ]
    return _flattened(images, masks, places)


def without_border(images, masks):
    """Flattens a border of 10 % on each side, as far as it is clear of the lungs; as `without_corners`."""
    height, width = masks.shape[1:]
    high, wide = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    everything = slice(None)
    places = [
        (slice(high), everything),
        (slice(-high, None), everything),
        (everything, slice(wide)),
        (everything, slice(-wide, None)),
    ]
    return _flattened(images, masks, places)


def widened(masks):
    """Masks, bool `(n, H, W)`, grown by `MARGIN` of the longer side."""
    reach = max(1, round(MARGIN * max(masks.shape[1:])))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.stack([cv2.dilate(mask.astype(np.uint8), kernel) for mask in masks]) > 0


def views_of(feeds_on_lungs):
    """The views that an audit looks at: dict of name to function of images and masks, as `without_lungs`.

    Args:
        feeds_on_lungs: whether the network is fed lungs alone, to which corners and border are black anyway.
    """
    if feeds_on_lungs:
        return {"as_fed": keep_only_lungs, "without_lungs": outlines_alone}
    return {
        "as_fed": lambda images, masks: images,
        "without_lungs": without_lungs,
        "lungs_alone": keep_only_lungs,
        "without_corners": without_corners,
        "without_border": without_border,
    }


def _flattened(images, masks, places):
    flattened = images.copy()
    clear = ~widened(masks)
    for image, free in zip(flattened, clear, strict=True):
        for place in places:
            if free[place].any():
                # A view of the copy: what is assigned here lands in it.
                part = image[place]
                part[free[place]] = np.rint(np.median(part[free[place]], axis=0)).astype(np.uint8)
    return flattened
