"""Finds bright marks outside the lungs, such as burnt-in letters, and describes their appearance.

A mark is small, bright and thin: a letter, an arrow, a wire. The white top-hat transform (the image minus its
morphological opening) keeps such structures; what remains bright, has the size of a letter and is clear of
the lungs is a mark. Dark letters on a bright background are not found.

Reference:
    Serra, "Image Analysis and Mathematical Morphology", 1982 (the top-hat).
"""

import concurrent.futures
import os
from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np

from semenet.data.pipeline.resized import read_image_and_mask
from semenet.data.transforms.lung_view_on_host import Box

# All in pixels of an image resized to this side: a letter is 3 to 13 % of it high.
SIDE = 256
_STROKE = 13
_MIN_SIZE, _MAX_SIZE = 0.03 * SIDE, 0.13 * SIDE
_CONTRAST = 40
_CLEARANCE = 7
_PATCH = 16


def find_marks(image: np.ndarray, mask: np.ndarray) -> list[dict[str, Any]]:
    """Finds the marks of an image.

    Args:
        image: uint8 `(H, W)`, values in [0, 255].
        mask: `(H, W)` of the lungs, 0 outside.

    Returns:
        list of dicts, the mark with the highest contrast first: `box`, (x, y, width, height) as shares of
        the image's sides; `contrast`, its mean difference from the surroundings, in grey levels; `patch`,
        float32 `(16, 16)`, a square crop of the mark, normalised to mean 0 and standard deviation 1.
    """
    height, width = image.shape
    method = cv2.INTER_AREA if max(height, width) > SIDE else cv2.INTER_CUBIC
    image = cv2.resize(image, (SIDE, SIDE), interpolation=method)
    mask = resize_mask_for_marks(mask)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_STROKE, _STROKE))
    top_hat = cv2.morphologyEx(image, cv2.MORPH_TOPHAT, kernel)
    top_hat[cv2.dilate(mask, np.ones((_CLEARANCE, _CLEARANCE), np.uint8)) > 0] = 0
    count, labels, boxes, _ = cv2.connectedComponentsWithStats((top_hat > _CONTRAST).astype(np.uint8))
    marks = []
    for number in range(1, count):
        x, y, wide, high, _ = boxes[number].tolist()
        if _MIN_SIZE <= high <= _MAX_SIZE and wide <= _MAX_SIZE:
            inside = labels[y : y + high, x : x + wide] == number
            marks.append(
                {
                    "box": (x / SIDE, y / SIDE, wide / SIDE, high / SIDE),
                    "contrast": float(top_hat[y : y + high, x : x + wide][inside].mean()),
                    "patch": _patch(top_hat, x, y, wide, high),
                }
            )
    return sorted(marks, key=lambda mark: -mark["contrast"])


def resize_mask_for_marks(mask: np.ndarray) -> np.ndarray:
    """Resizes a mask `(H, W)`, 0 outside, for the search for marks: uint8 `(256, 256)`, nearest neighbour."""
    return cv2.resize(np.asarray(mask, np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)


def mark_features(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Computes the features of an image's marks for a linear classifier.

    Args:
        image: as for `find_marks`.
        mask: as for `find_marks`.

    Returns:
        float32 `(261,)`: the patch of the mark with the highest contrast, its position, height and contrast,
        and the number of marks; all 0 if there is no mark.
    """
    features = np.zeros(_PATCH * _PATCH + 5, np.float32)
    marks = find_marks(image, mask)
    if marks:
        brightest = marks[0]
        x, y, _, height = brightest["box"]
        features[:-5] = brightest["patch"].ravel()
        features[-5:] = x, y, height, brightest["contrast"] / 255, len(marks)
    return features


def marks_of_files(
    images: Iterable[tuple[str, str | np.ndarray, Box | None]],
    total: int,
    progress: Callable[[int, int], object],
) -> np.ndarray:
    """Computes `mark_features` of images and masks read at their own size, several in parallel.

    Args:
        images: (path, mask, box) of each image; the mask is a path or an array bool `(h, w)` of any size, of
            the rectangle `box` of the image, or of the whole image where that is None.
        total: number of images.
        progress: called with the number done and the total.

    Returns:
        float32 `(total, 261)`.

    Raises:
        ImageError: an image or mask cannot be read.
    """

    def read(item: tuple[str, str | np.ndarray, Box | None]) -> np.ndarray:
        path, mask, box = item
        image, found = read_image_and_mask(path, mask if isinstance(mask, str) else None)
        image = image if box is None else image[box.slices]
        return mark_features(image, mask if found is None else found)

    features = []
    # OpenCV releases Python's global interpreter lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for vector in pool.map(read, images):
            features.append(vector)
            progress(len(features), total)
    return np.stack(features)


def _patch(top_hat: np.ndarray, x: int, y: int, width: int, height: int) -> np.ndarray:
    side = max(width, height) + 4
    patch = cv2.getRectSubPix(top_hat, (side, side), (x + width / 2 - 0.5, y + height / 2 - 0.5))
    patch = cv2.resize(patch, (_PATCH, _PATCH), interpolation=cv2.INTER_AREA).astype(np.float32)
    return (patch - patch.mean()) / (patch.std() + np.float32(1e-3))
