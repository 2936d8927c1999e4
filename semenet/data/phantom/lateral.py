"""Synthetic lateral chest radiographs: coarse, to try what must tell them from frontal ones."""

import cv2
import numpy as np

from semenet.data.phantom.synthesis import check_seed, check_size


def lateral_radiograph(*, size=256, seed=0):
    """Draws a lateral chest radiograph: one dark field between the spine behind and the breastbone before.

    The trunk is an ellipse-like column of tissue; less of it is in the way where the lungs lie, more where
    the spine, the heart, the hila and the arms are, and below the diaphragm. Half of the seeds face left. It
    has the large shapes of a lateral radiograph, and neither ribs nor vessels.

    Args:
        size: image side in pixels, 64 to 1024.
        seed: non-negative int. Equal seeds give equal images.

    Returns:
        uint8 `(size, size)`, values in [0, 255].

    Raises:
        PhantomError: a size outside 64 to 1024, or a negative seed.
    """
    check_size(size)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    down, across = (np.mgrid[0:size, 0:size].astype("float32") + 0.5) / size
    before, behind = _outline(down, rng)
    body = _step(across - before, 0.017) * _step(behind - across, 0.017)
    # 0 at the breastbone, 1 at the back.
    depth = (across - before) / np.maximum(behind - before, 0.1)
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


def _outline(down, rng):
    """How far from the left the trunk begins and ends at each height, shares of the width."""
    shoulders = np.exp(-(((down - rng.uniform(0.02, 0.12)) / 0.12) ** 2))
    chest = np.sin(np.pi * np.clip((down - 0.1) / 0.9, 0, 1))
    before = rng.uniform(0.08, 0.22) - rng.uniform(0.03, 0.10) * chest + rng.uniform(0.05, 0.15) * shoulders
    behind = rng.uniform(0.80, 0.95) + rng.uniform(0, 0.05) * chest - rng.uniform(0.02, 0.12) * shoulders
    return before, behind


def _diaphragm(depth, rng):
    """How far down the domes lie at each depth: lower behind than before."""
    before, behind = rng.uniform((0.62, 0.80), (0.78, 0.95))
    dome = 0.06 * np.exp(-(((depth - 0.45) / 0.2) ** 2))
    return before + (behind - before) * np.clip(depth, 0, 1) ** 1.5 - dome


def _lungs(depth, down, diaphragm, rng):
    front, back, top = rng.uniform((0.08, 0.86, 0.10), (0.14, 0.93, 0.20))
    across = _step(depth - front, 0.025) * _step(back - depth, 0.025)
    return across * _step(down - top, 0.033) * _step(diaphragm - down, 0.03)


def _spine(depth, down, rng):
    column = rng.uniform(0.74, 0.82) + 0.03 * np.sin(np.pi * down)
    vertebrae = 1 + 0.15 * np.sin(2 * np.pi * down * rng.uniform(14, 18))
    thickness = rng.uniform(0.25, 0.6) * (1.2 - 0.5 * down)
    return thickness * vertebrae * np.exp(-(((depth - column) / 0.06) ** 2))


def _blob(depth, down, centre, radii):
    return np.exp(-(((depth - centre[0]) / radii[0]) ** 2 + ((down - centre[1]) / radii[1]) ** 2))


def _step(values, width):
    return 1 / (1 + np.exp(-values / width))
