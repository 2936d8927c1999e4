"""Bright marks outside the lungs, such as burnt-in letters: where they are, and what they look like.

A mark is small, bright and thin: a letter, an arrow, a wire. What stays of an image after a morphological
opening is taken away ("white top-hat"); what is left bright, of a letter's size and clear of the lungs is a
mark. Dark letters on a bright ground are not found.

Reference:
    Serra, "Image Analysis and Mathematical Morphology", 1982 (the top-hat).
"""

import concurrent.futures
import os

import cv2
import numpy as np

from semenet.data.pipeline.resized import read_image_and_mask

# All in pixels of an image stretched to this side: a letter has 3 to 13 % of it as its height.
SIDE = 256
_STROKE = 13
_LEAST, _MOST = 0.03 * SIDE, 0.13 * SIDE
_CONTRAST = 40
_CLEARANCE = 7
_PATCH = 16


def find_marks(image, mask):
    """Finds the marks of an image.

    Args:
        image: uint8 `(H, W)`, values in [0, 255].
        mask: `(H, W)` of the lungs, 0 outside.

    Returns:
        list of dicts, the brightest mark first: `box`, (x, y, width, height) as shares of the image's sides;
        `contrast`, its mean over its surroundings, in grey levels; `patch`, float32 `(16, 16)`, the mark cut
        out square and brought to mean 0 and standard deviation 1.
    """
    height, width = image.shape
    method = cv2.INTER_AREA if max(height, width) > SIDE else cv2.INTER_CUBIC
    image = cv2.resize(image, (SIDE, SIDE), interpolation=method)
    mask = mask_for_marks(mask)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_STROKE, _STROKE))
    hat = cv2.morphologyEx(image, cv2.MORPH_TOPHAT, kernel)
    hat[cv2.dilate(mask, np.ones((_CLEARANCE, _CLEARANCE), np.uint8)) > 0] = 0
    count, labels, boxes, _ = cv2.connectedComponentsWithStats((hat > _CONTRAST).astype(np.uint8))
    marks = []
    for number in range(1, count):
        x, y, wide, high, _ = boxes[number].tolist()
        if _LEAST <= high <= _MOST and wide <= _MOST:
            inside = labels[y : y + high, x : x + wide] == number
            marks.append(
                {
                    "box": (x / SIDE, y / SIDE, wide / SIDE, high / SIDE),
                    "contrast": float(hat[y : y + high, x : x + wide][inside].mean()),
                    "patch": _patch(hat, x, y, wide, high),
                }
            )
    return sorted(marks, key=lambda mark: -mark["contrast"])


def mask_for_marks(mask):
    """A mask `(H, W)`, 0 outside, as marks are looked for: uint8 `(256, 256)` of the nearest pixels."""
    return cv2.resize(np.asarray(mask, np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)


def mark_features(image, mask):
    """What a linear classifier is told of an image's marks.

    Args:
        image: as for `find_marks`.
        mask: as for `find_marks`.

    Returns:
        float32 `(261,)`: the brightest mark's patch, its place, height and contrast, and the number of marks;
        0 throughout where there is none.
    """
    features = np.zeros(_PATCH * _PATCH + 5, np.float32)
    marks = find_marks(image, mask)
    if marks:
        brightest = marks[0]
        x, y, _, height = brightest["box"]
        features[:-5] = brightest["patch"].ravel()
        features[-5:] = x, y, height, brightest["contrast"] / 255, len(marks)
    return features


def marks_of_files(pairs, total, progress):
    """`mark_features` of images and masks read at their own size, several at a time.

    Args:
        pairs: iterable of (path, mask), the mask a path or an array bool `(h, w)` of any size.
        total: int, the number of pairs.
        progress: called with the number done and of all.

    Returns:
        float32 `(total, 261)`.

    Raises:
        ImageError: an image or mask cannot be read.
    """

    def read(pair):
        path, mask = pair
        image, found = read_image_and_mask(path, mask if isinstance(mask, str) else None)
        return mark_features(image, mask if found is None else found)

    features = []
    # OpenCV works outside Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for vector in pool.map(read, pairs):
            features.append(vector)
            progress(len(features), total)
    return np.stack(features)


def _patch(hat, x, y, width, height):
    side = max(width, height) + 4
    cut = cv2.getRectSubPix(hat, (side, side), (x + width / 2 - 0.5, y + height / 2 - 0.5))
    cut = cv2.resize(cut, (_PATCH, _PATCH), interpolation=cv2.INTER_AREA).astype(np.float32)
    return (cut - cut.mean()) / (cut.std() + np.float32(1e-3))
