"""The opacities of pneumonia in a phantom's lungs, by class, as described for frontal radiographs.

- bacteria: a dense, sharply bounded consolidation of one lobe, with air bronchograms, that obscures adjacent
  borders (Franquet, "Imaging of community-acquired pneumonia", J Thorac Imaging 2018).
- virus, other_viral: a diffuse reticular pattern and thickened bronchial walls in both lungs, without a focus
  (Koo et al., "Radiographic and CT features of viral pneumonia", RadioGraphics 2018).
- COVID-19: hazy ground-glass opacities in both lungs, peripheral and in the lower zones; vessels remain
  visible (Wong et al., "Frequency and distribution of chest radiographic findings in patients positive
  for COVID-19", Radiology 2020).
"""

import numpy as np

from semenet.data.phantom.anatomy import Anatomy
from semenet.data.phantom.canvas import SIDES, Pose, draw_segments, texture
from semenet.data.phantom.projection import Projection

# Lobes: side, centre as (height, reach), radii as (height, reach), and the heights of the upper and lower
# fissure (None if it is not visible in a frontal projection).
_LOBES = {
    "right upper": (-1, (0.22, 0.62), (0.30, 0.50), (None, 0.46)),
    "right middle": (-1, (0.60, 0.50), (0.22, 0.36), (0.46, None)),
    "right lower": (-1, (0.74, 0.60), (0.26, 0.46), (None, None)),
    "left upper": (1, (0.28, 0.60), (0.30, 0.46), (None, None)),
    "left lower": (1, (0.74, 0.74), (0.26, 0.40), (None, None)),
}


def draw_lesion(
    label: str, anatomy: Anatomy, pose: Pose, projection: Projection, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the share of the lungs' air that disease replaces at each pixel.

    Args:
        label: a key of `semenet.data.phantom.arguments.LETTERS`.
        anatomy: the patient's chest.
        pose: pose of the patient.
        projection: the projection of the chest in this pose.
        rng: random generator of the patient's disease.

    Returns:
        (opacity, mask): float32 array (size, size) in [0, 1], relevant only where there is air, and bool
        array (size, size), the extent of the lesion inside the lungs.
    """
    lungs = projection.lungs.any(axis=0)
    if label == "normal":
        return np.zeros(lungs.shape, np.float32), np.zeros(lungs.shape, bool)
    height = (projection.v - np.float32(anatomy.apex)) / np.float32(anatomy.base - anatomy.apex)
    reach = np.abs(projection.u) / anatomy.wall(height).astype(np.float32)
    position = _LungMap(height, reach, projection.u, anatomy, pose)
    opacity, extent = _PATTERNS[label](position, rng)
    mask = extent & lungs
    return np.clip(opacity, 0, 1).astype(np.float32), mask


class _LungMap:
    """Position of each pixel in its lung: height 0 (apex) to 1 (base), reach 0 (midline) to 1 (wall)."""

    def __init__(
        self, height: np.ndarray, reach: np.ndarray, u: np.ndarray, anatomy: Anatomy, pose: Pose
    ) -> None:
        self.height, self.reach = height, reach
        self._u, self._anatomy, self._pose = u, anatomy, pose

    def side(self, side: int) -> np.ndarray:
        """Returns True on the patient's right (-1) or left (1) side."""
        return self._u * side > 0

    def texture(self, rng: np.random.Generator, cells: int) -> np.ndarray:
        return texture(rng, cells, self._pose, len(self.height))

    def bronchi(self) -> np.ndarray:
        return draw_segments(*self._anatomy.bronchi, self._pose, len(self.height))


def _consolidation(position: _LungMap, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    name = list(_LOBES)[rng.integers(len(_LOBES))]
    side, mean_centre, mean_radii, (above, below) = _LOBES[name]
    centre = np.array(mean_centre) + rng.normal(0, 0.04, 2)
    radii = np.array(mean_radii) * rng.uniform(0.85, 1.15)
    field = (
        1 - ((position.height - centre[0]) / radii[0]) ** 2 - ((position.reach - centre[1]) / radii[1]) ** 2
    )
    field = field + 0.30 * position.texture(rng, 7) + 0.10 * position.texture(rng, 22)
    share = _sigmoid(field * np.float32(rng.uniform(3.5, 7.0)))
    tilt = np.float32(rng.uniform(-0.04, 0.04)) * position.reach
    if above is not None:
        share = share * _sigmoid((position.height - above - tilt) / 0.010)
    if below is not None:
        share = share * _sigmoid((below + tilt - position.height) / 0.010)
    share = share * position.side(side)
    bronchogram = np.clip(1.2 * position.bronchi(), 0, 1)
    mottled = 1 + 0.10 * position.texture(rng, 30)
    opacity = np.float32(rng.uniform(0.62, 0.90)) * share * mottled * (1 - 0.40 * bronchogram)
    return opacity, share > 0.5


def _interstitial(position: _LungMap, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    # The zero lines of a smooth random field form a net; a second field interrupts its lines.
    coarse, fine = (
        np.exp(-np.square(position.texture(rng, cells) / width))
        * np.clip(0.75 + 0.5 * position.texture(rng, cells // 2), 0.1, 1.3)
        for cells, width in ((40, 0.9), (96, 0.75))
    )
    central = np.exp(-(((position.reach - 0.35) / 0.45) ** 2) - ((position.height - 0.55) / 0.42) ** 2)
    envelope = _sigmoid(4.0 * (0.15 + central - 0.35 + 0.35 * position.texture(rng, 6)))
    cuffs = np.clip(position.bronchi() * 1.4, 0, 1)
    strength = np.float32(rng.uniform(0.30, 0.60))
    opacity = strength * envelope * (0.20 * coarse + 0.36 * fine + 0.16 + 0.45 * cuffs)
    return opacity, envelope > 0.4


def _ground_glass(position: _LungMap, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    share = np.zeros_like(position.height)
    ragged = 0.25 * position.texture(rng, 8) + 0.12 * position.texture(rng, 20)
    for side in SIDES:
        patches = np.zeros_like(share)
        for _ in range(rng.integers(2, 5)):
            height, reach = rng.uniform(0.46, 0.88), rng.uniform(0.72, 0.98)
            tall, wide = rng.uniform(0.09, 0.18), rng.uniform(0.14, 0.30)
            field = 1 - ((position.height - height) / tall) ** 2 - ((position.reach - reach) / wide) ** 2
            patches = np.maximum(patches, _sigmoid(2.6 * (field + ragged)))
        share += patches * position.side(side)
    hazy = 1 + 0.12 * position.texture(rng, 40)
    return np.float32(rng.uniform(0.32, 0.55)) * share * hazy, share > 0.5


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))


_PATTERNS = {
    "bacteria": _consolidation,
    "virus": _interstitial,
    "other_viral": _interstitial,
    "COVID-19": _ground_glass,
}
