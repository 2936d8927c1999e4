"""A sheet of radiographs with changes of their acquisition, to see what training makes of them."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd

from semenet.data.pipeline.resized import ResizedImages
from semenet.data.transforms.acquisition_draw import change_acquisition
from semenet.data.transforms.augmentation import Augmentation

TOGETHER = 4
_GAP = 4
_HEADING_HEIGHT = 24
_BACKGROUND = 255


def acquisition_sheet(
    rows: pd.DataFrame, augmentation: Augmentation, *, side: int = 256, count: int = 6, seed: int = 0
) -> np.ndarray:
    """Draws radiographs, evenly spaced over the rows, with each change of acquisition alone and with all.

    Args:
        rows: rows of a manifest: `path`.
        augmentation: `acquisition`, the probability of each change where all are drawn together, and
            `acquisition_changes`, their names.
        side: height and width of each picture in pixels, which should be a network's input size.
        count: the number of radiographs, or of all rows if there are fewer.
        seed: an integer of 0 or more that determines the draws.

    Returns:
        uint8 (height, width): a line of headings, then a line for each radiograph: as it is, after each
        change alone, and after `TOGETHER` draws of all.

    Raises:
        ImageError: an image cannot be read.
    """
    images = ResizedImages(rows, (side, side))
    names = augmentation.acquisition_changes
    alone = [Augmentation(acquisition=1.0, acquisition_changes=(name,)) for name in names]
    lines = []
    for row in np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)):
        image = images[row][0]
        changed = [change_acquisition(image, each, (0, seed, int(row))) for each in alone]
        drawn = [change_acquisition(image, augmentation, (e, seed, int(row))) for e in range(1, TOGETHER + 1)]
        lines.append([image, *changed, *drawn])
    headings = ["original", *names, *[f"all, {augmentation.acquisition:g}"] * TOGETHER]
    return np.vstack([_headings(headings, side), *(_line(pictures) for pictures in lines)])


def _line(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return np.hstack([np.pad(picture, (0, _GAP), constant_values=_BACKGROUND) for picture in pictures])


def _headings(texts: Sequence[str], side: int) -> np.ndarray:
    headings = np.full((_HEADING_HEIGHT, len(texts) * (side + _GAP)), _BACKGROUND, np.uint8)
    for index, text in enumerate(texts):
        origin = (index * (side + _GAP), _HEADING_HEIGHT - 8)
        cv2.putText(headings, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 0, 1, cv2.LINE_AA)
    return headings
