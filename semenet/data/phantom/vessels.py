"""The pulmonary vessels and bronchi of phantoms: trees that branch from the hila into the lungs."""

from collections.abc import Callable

import numpy as np

from semenet.data.phantom.canvas import SIDES

_ROOTS = 7
_PIECES = 2  # straight pieces between two forks


def sample_branches(
    hilum: float,
    wall_at: Callable[[np.ndarray], np.ndarray],
    generations: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the trees of both lungs, in body coordinates.

    Args:
        hilum: v of the hila.
        wall_at: function that returns |u| of the chest wall, where branches end, for v, a float array (N,).
        generations: number of forks from the hilum to the thinnest branches.
        rng: random generator.

    Returns:
        (segments, widths): float array (N, 2, 2), the start and end point of each segment, and float array
        (N,), both in units of the image's side.
    """
    trees = [_sample_tree(side, hilum, wall_at, generations, rng) for side in SIDES]
    segments, widths = zip(*trees, strict=True)
    return np.concatenate(segments), np.concatenate(widths)


def _sample_tree(
    side: int,
    hilum: float,
    wall_at: Callable[[np.ndarray], np.ndarray],
    generations: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    angle = np.linspace(-1.25, 1.30, _ROOTS) + rng.normal(0, 0.10, _ROOTS)
    start = np.array([0.08, hilum]) + rng.normal(0, 0.008, (_ROOTS, 2))
    width = rng.uniform(0.011, 0.016, _ROOTS)
    segments, widths = [], []
    for generation in range(generations):
        length = 0.062 * 0.85**generation * rng.uniform(0.75, 1.25, len(angle))
        for _ in range(_PIECES):
            angle = angle + rng.normal(0, 0.09, len(angle))
            along = np.stack([np.cos(angle), np.sin(angle)], axis=1)
            stop = start + (length / _PIECES)[:, None] * along
            segments.append(np.stack([start, stop], axis=1))
            widths.append(width)
            start, width = stop, width * 0.93
        inside = np.repeat(start[:, 0] < wall_at(start[:, 1]), 2)
        spread = np.tile((-1.0, 1.0), len(angle)) * rng.uniform(0.15, 0.55, 2 * len(angle))
        angle = (np.repeat(angle, 2) + spread)[inside]
        width = (np.repeat(width, 2) * rng.uniform(0.60, 0.85, len(spread)))[inside]
        start = np.repeat(start, 2, axis=0)[inside]
    return np.concatenate(segments) * (side, 1), np.concatenate(widths)
