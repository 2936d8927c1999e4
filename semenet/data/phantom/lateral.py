"""Coarse synthetic lateral chest radiographs, for tests of what must distinguish them from frontal ones."""

from collections.abc import Sequence

import cv2
import numpy as np

from semenet.data.phantom.arguments import check_seed, check_size


def draw_lateral_radiograph(*, size: int = 256, seed: int = 0) -> np.ndarray:
    """Draws a lateral chest radiograph: one dark field between the spine and the sternum.

    The trunk is an ellipse-like column of tissue. The lungs attenuate less; the spine, the heart, the hila,
    the arms and the abdomen attenuate more. Half of the seeds face left. The image has the large shapes of a
    lateral radiograph, but no ribs and no vessels.

    Args:
        size: image side in pixels, 64 to 1024.
        seed: non-negative int. Equal seeds return equal images.

    Returns:
        uint8 array (size, size), values in [0, 255].

    Raises:
        PhantomError: `size` is outside 64 to 1024, or `seed` is negative.

    Example:
        >>> from semenet.data.phantom import draw_lateral_radiograph
        >>> draw_lateral_radiograph(size=64, seed=2).shape
        (64, 64)
    """
    check_size(size)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    down, across = (np.mgrid[0:size, 0:size].astype("float32") + 0.5) / size
    front, back = _outline(down, rng)
    body = _step(across - front, 0.017) * _step(back - across, 0.017)
    # 0 at the sternum, 1 at the back.
    depth = (across - front) / np.maximum(back - front, 0.1)
    roundness = np.sqrt(np.clip(1 - 0.8 * (2 * depth - 1) ** 2, 0, 1))
    attenuation = rng.uniform(1.3, 1.9) * body * roundness
    diaphragm = _diaphragm(depth, rng)
    lungs = _lungs(depth, down, diaphragm, rng)
    attenuation -= rng.uniform(0.7, 1.1) * lungs
    attenuation += body * _spine(depth, down, rng)
    attenuation += (
        lungs
        * rng.uniform(0.5, 0.9)
        * _blob(depth, down, rng.uniform((0.30, 0.56), (0.42, 0.68)), rng.uniform((0.14, 0.11), (0.20, 0.16)))
    )
    hila = (0.5, rng.uniform(0.40, 0.48))
    attenuation += lungs * rng.uniform(0.1, 0.4) * _blob(depth, down, hila, (0.10, 0.07))
    arms = ((down - rng.uniform(0, 0.06)) / rng.uniform(0.05, 0.10)) ** 2
    attenuation += body * rng.uniform(0.2, 0.8) * np.exp(-arms)
    attenuation += body * rng.uniform(0.3, 0.7) * _step(down - diaphragm, 0.03)
    attenuation += body * 0.15 * np.exp(-(((depth - 0.02) / 0.04) ** 2))
    mottle = cv2.GaussianBlur(rng.normal(size=(size, size)), (0, 0), size / 32)
    attenuation += rng.uniform(0, 0.04) * mottle / mottle.std()
    grey = attenuation - attenuation.min()
    grey = np.clip(grey / np.percentile(grey, 99.5), 0, 1) ** rng.uniform(0.7, 1.4)
    if rng.random() < 0.5:
        grey = grey[:, ::-1]
    return np.rint(grey * 255).astype("uint8")


def _outline(down: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns the trunk's front and back edge at each height, from the left, in units of the image's side."""
    shoulders = np.exp(-(((down - rng.uniform(0.02, 0.12)) / 0.12) ** 2))
    chest = np.sin(np.pi * np.clip((down - 0.1) / 0.9, 0, 1))
    front = rng.uniform(0.08, 0.22) - rng.uniform(0.03, 0.10) * chest + rng.uniform(0.05, 0.15) * shoulders
    back = rng.uniform(0.80, 0.95) + rng.uniform(0, 0.05) * chest - rng.uniform(0.02, 0.12) * shoulders
    return front, back


def _diaphragm(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the height of the domes at each depth, from the top; they are lower at the back."""
    front, back = rng.uniform((0.62, 0.80), (0.78, 0.95))
    dome = 0.06 * np.exp(-(((depth - 0.45) / 0.2) ** 2))
    return front + (back - front) * np.clip(depth, 0, 1) ** 1.5 - dome


def _lungs(
    depth: np.ndarray, down: np.ndarray, diaphragm: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    front, back, top = rng.uniform((0.08, 0.86, 0.10), (0.14, 0.93, 0.20))
    across = _step(depth - front, 0.025) * _step(back - depth, 0.025)
    return across * _step(down - top, 0.033) * _step(diaphragm - down, 0.03)


def _spine(depth: np.ndarray, down: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    column = rng.uniform(0.74, 0.82) + 0.03 * np.sin(np.pi * down)
    vertebrae = 1 + 0.15 * np.sin(2 * np.pi * down * rng.uniform(14, 18))
    thickness = rng.uniform(0.25, 0.6) * (1.2 - 0.5 * down)
    return thickness * vertebrae * np.exp(-(((depth - column) / 0.06) ** 2))


def _blob(depth: np.ndarray, down: np.ndarray, centre: Sequence[float], radii: Sequence[float]) -> np.ndarray:
    return np.exp(-(((depth - centre[0]) / radii[0]) ** 2 + ((down - centre[1]) / radii[1]) ** 2))


def _step(values: np.ndarray, width: float) -> np.ndarray:
    return 1 / (1 + np.exp(-values / width))
