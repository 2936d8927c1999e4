"""Draws which changes of acquisition an image gets, and how strong they are.

The order of the changes is that of an image's way from the X-ray tube into a file: collimation, resolution,
blur, sharpness, CLAHE, tone curve, noise, letters, borders, JPEG. The strengths were chosen so that an image
looks like one that some hospital could have stored; docs/training.md lists them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semenet.data.transforms import acquisition, burnt_in
from semenet.data.transforms.augmentation import ACQUISITION_CHANGES

if TYPE_CHECKING:
    from semenet.data.transforms.augmentation import Augmentation

# The first seed of the random stream; `semenet.data.pipeline.epoch_plan` numbers the others.
_ACQUISITION_STREAM = 6
# Random numbers of an image and a change, the first of which decides whether the change is made.
_NUMBERS = 12
_TEXTS = ("AP", "PA", "PORTABLE", "ERECT", "SUPINE", "AP ERECT", "MOBILE", "SITTING", "BED", "1", "2", "A")


def change_acquisition(image: np.ndarray, augmentation: Augmentation, seeds: Sequence[int]) -> np.ndarray:
    """Changes how an image was acquired and stored.

    Args:
        image: uint8 (height, width), values in [0, 255]; it is not changed.
        augmentation: `acquisition`, the probability of each change, and `acquisition_changes`, their names.
        seeds: integers of 0 or more that determine all random choices: epoch, seed and item.

    Returns:
        A uint8 array of the image's shape: `image` itself if no change was drawn.
    """
    generator = np.random.Generator(np.random.Philox((_ACQUISITION_STREAM, *seeds)))
    # The numbers of all changes are drawn, whichever are used, so that no change affects another one's draw.
    numbers = generator.random((len(ACQUISITION_CHANGES), _NUMBERS)).tolist()
    for name, (share, *strengths) in zip(ACQUISITION_CHANGES, numbers, strict=True):
        if share < augmentation.acquisition and name in augmentation.acquisition_changes:
            image = CHANGES[name](image, strengths)
    return image


def _collimate(image: np.ndarray, numbers: Sequence[float]) -> np.ndarray:
    margins = tuple(_margin(number, 0.08) for number in numbers[:4])
    return burnt_in.collimate(image, margins, _between(-3, 3, numbers[4]), _between(0, 0.15, numbers[5]))


def _change_resolution(image: np.ndarray, numbers: Sequence[float]) -> np.ndarray:
    return acquisition.change_resolution(image, _between(0.35, 0.9, numbers[0]), numbers[1] < 0.5)


def _blur(image: np.ndarray, numbers: Sequence[float]) -> np.ndarray:
    return acquisition.blur(image, _between(0.4, 1.0, numbers[0]))


def _sharpen(image: np.ndarray, numbers: Sequence[float]) -> np.ndarray:
    return acquisition.sharpen(image, _between(0.3, 1.5, numbers[0]), _between(0.7, 2.0, numbers[1]))


def _equalize_locally(image: np.ndarray, numbers: Sequence[float]) -> np.ndarray:
    return acquisition.equalize_locally(image, _between(1, 4, numbers[0]), _one_of(range(2, 9), numbers[1]))


def _change_tone(image: np.ndarray, numbers: Sequence[float]) -> np.ndarray:
    gamma = math.exp(_between(-0.5, 0.5, numbers[0]))
    return acquisition.change_tone(
        image, gamma, _between(0.7, 1.3, numbers[1]), _between(-12, 12, numbers[2])
    )


def _add_noise(image: np.ndarray, numbers: Sequence[float]) -> np.ndarray:
    return acquisition.add_noise(image, _between(0, 8, numbers[0]), (numbers[1], numbers[2]))


def _write_letters(image: np.ndarray, numbers: Sequence[float]) -> np.ndarray:
    """Writes a side marker on its side, a text near the upper or lower edge, or an arrow in the middle."""
    kind, down, right, size, grey, box, which = numbers[:7]
    level = round(_between(190, 255, grey / 0.8) if grey < 0.8 else _between(0, 60, (grey - 0.8) / 0.2))
    if kind < 0.2:
        tip = (_between(0.2, 0.8, down), _between(0.15, 0.85, right))
        return burnt_in.draw_arrow(image, tip, 360 * which, _between(0.06, 0.12, size), level)
    if kind < 0.6:
        # The patient's left is on the image's right.
        text, place = ("L", _between(0.85, 1, right)) if which < 0.5 else ("R", _between(0, 0.15, right))
        place = (_between(0, 0.35, down), place)
        return burnt_in.write_text(image, text, place, _between(0.05, 0.1, size), level, box < 0.3)
    place = (_between(0, 0.08, down) if box < 0.5 else _between(0.92, 1, down), right)
    return burnt_in.write_text(image, _one_of(_TEXTS, which), place, _between(0.04, 0.06, size), level)


def _cover_borders(image: np.ndarray, numbers: Sequence[float]) -> np.ndarray:
    margins = tuple(_margin(number, 0.06) for number in numbers[:4])
    return burnt_in.cover_borders(image, margins, 0 if numbers[4] < 0.7 else 255)


def _compress(image: np.ndarray, numbers: Sequence[float]) -> np.ndarray:
    return acquisition.compress(image, _one_of(range(30, 91), numbers[0]))


CHANGES: dict[str, Callable[[np.ndarray, Sequence[float]], np.ndarray]] = {
    "collimation": _collimate,
    "resolution": _change_resolution,
    "blur": _blur,
    "sharpness": _sharpen,
    "clahe": _equalize_locally,
    "tone": _change_tone,
    "noise": _add_noise,
    "letters": _write_letters,
    "borders": _cover_borders,
    "jpeg": _compress,
}


def _between(low: float, high: float, number: float) -> float:
    return low + (high - low) * number


def _one_of(items: Sequence[Any], number: float) -> Any:
    return items[int(number * len(items))]


def _margin(number: float, largest: float) -> float:
    """Returns a margin: none for half of the numbers in [0, 1), otherwise up to the largest one."""
    return max(0.0, 2 * number - 1) * largest
