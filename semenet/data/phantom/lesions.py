"""What pneumonia adds to a phantom's lungs, by class, as it is described for frontal radiographs.

- bacteria: a dense, sharply bounded consolidation of one lobe, with air bronchograms, that hides the borders
  it touches (Franquet, "Imaging of community-acquired pneumonia", J Thorac Imaging 2018).
- virus, other_viral: a diffuse reticular pattern and thickened bronchial walls in both lungs, without a focus
  (Koo et al., "Radiographic and CT features of viral pneumonia", RadioGraphics 2018).
- COVID-19: hazy ground glass in both lungs, at the periphery and in the lower zones, through which vessels
  are still seen (Wong et al., "Frequency and distribution of chest radiographic findings in patients positive
  for COVID-19", Radiology 2020).
"""

import numpy as np

from semenet.data.phantom.canvas import SIDES, draw_segments, texture

# Lobes: side, then where they lie in the lung: middle as (height, reach), radii as the same, and the
# heights of the fissures that bound them above and below (None: no fissure seen from the front).
_LOBES = {
    "right upper": (-1, (0.22, 0.62), (0.30, 0.50), (None, 0.46)),
    "right middle": (-1, (0.60, 0.50), (0.22, 0.36), (0.46, None)),
    "right lower": (-1, (0.74, 0.60), (0.26, 0.46), (None, None)),
    "left upper": (1, (0.28, 0.60), (0.30, 0.46), (None, None)),
    "left lower": (1, (0.74, 0.74), (0.26, 0.40), (None, None)),
}


def lesion(label, anatomy, pose, projection, rng):
    """The share of the lungs' air that disease replaces, by pixel.

    Args:
        label: a class of `semenet.data.phantom.dataset.LETTERS`.
        anatomy: the patient's `Anatomy`.
        pose: the `Pose`.
        projection: the `Projection` of both.
        rng: numpy Generator of the patient's disease.

    Returns:
        (opacity, mask): float32 (size, size) in [0, 1], which counts only where there is air, and
        bool (size, size), the lesion's extent inside the lungs.
    """
    lungs = projection.lungs.any(axis=0)
    if label == "normal":
        return np.zeros(lungs.shape, np.float32), np.zeros(lungs.shape, bool)
    height = (projection.v - np.float32(anatomy.apex)) / np.float32(anatomy.base - anatomy.apex)
    reach = np.abs(projection.u) / anatomy.wall(height).astype(np.float32)
    place = _Place(height, reach, projection.u, anatomy, pose)
    opacity, extent = _PATTERNS[label](place, rng)
    mask = extent & lungs
    return np.clip(opacity, 0, 1).astype(np.float32), mask


class _Place:
    """Where a pixel lies in its lung: height 0 (apex) to 1 (base), reach 0 (midline) to 1 (chest wall)."""

    def __init__(self, height, reach, u, anatomy, pose):
        self.height, self.reach = height, reach
        self._u, self._anatomy, self._pose = u, anatomy, pose

    def side(self, side):
        return self._u * side > 0

    def texture(self, rng, cells):
        return texture(rng, cells, self._pose, len(self.height))

    def bronchi(self):
        return draw_segments(*self._anatomy.bronchi, self._pose, len(self.height))


def _consolidation(place, rng):
    name = list(_LOBES)[rng.integers(len(_LOBES))]
    side, middle, radii, (above, below) = _LOBES[name]
    middle = np.array(middle) + rng.normal(0, 0.04, 2)
    radii = np.array(radii) * rng.uniform(0.85, 1.15)
    field = 1 - ((place.height - middle[0]) / radii[0]) ** 2 - ((place.reach - middle[1]) / radii[1]) ** 2
    field = field + 0.30 * place.texture(rng, 7) + 0.10 * place.texture(rng, 22)
    share = _sigmoid(field * np.float32(rng.uniform(3.5, 7.0)))
    tilt = np.float32(rng.uniform(-0.04, 0.04)) * place.reach
    if above is not None:
        share = share * _sigmoid((place.height - above - tilt) / 0.010)
    if below is not None:
        share = share * _sigmoid((below + tilt - place.height) / 0.010)
    share = share * place.side(side)
    bronchogram = np.clip(1.2 * place.bronchi(), 0, 1)
    mottled = 1 + 0.10 * place.texture(rng, 30)
    opacity = np.float32(rng.uniform(0.62, 0.90)) * share * mottled * (1 - 0.40 * bronchogram)
    return opacity, share > 0.5


def _interstitial(place, rng):
    # The zero lines of a smooth random field close into a net; a second field breaks its meshes open.
    coarse, fine = (
        np.exp(-np.square(place.texture(rng, cells) / width))
        * np.clip(0.75 + 0.5 * place.texture(rng, cells // 2), 0.1, 1.3)
        for cells, width in ((40, 0.9), (96, 0.75))
    )
    central = np.exp(-(((place.reach - 0.35) / 0.45) ** 2) - ((place.height - 0.55) / 0.42) ** 2)
    envelope = _sigmoid(4.0 * (0.15 + central - 0.35 + 0.35 * place.texture(rng, 6)))
    cuffs = np.clip(place.bronchi() * 1.4, 0, 1)
    strength = np.float32(rng.uniform(0.30, 0.60))
    opacity = strength * envelope * (0.20 * coarse + 0.36 * fine + 0.16 + 0.45 * cuffs)
    return opacity, envelope > 0.4


def _ground_glass(place, rng):
    share = np.zeros_like(place.height)
    ragged = 0.25 * place.texture(rng, 8) + 0.12 * place.texture(rng, 20)
    for side in SIDES:
        patches = np.zeros_like(share)
        for _ in range(rng.integers(2, 5)):
            height, reach = rng.uniform(0.46, 0.88), rng.uniform(0.72, 0.98)
            tall, wide = rng.uniform(0.09, 0.18), rng.uniform(0.14, 0.30)
            field = 1 - ((place.height - height) / tall) ** 2 - ((place.reach - reach) / wide) ** 2
            patches = np.maximum(patches, _sigmoid(2.6 * (field + ragged)))
        share += patches * place.side(side)
    hazy = 1 + 0.12 * place.texture(rng, 40)
    return np.float32(rng.uniform(0.32, 0.55)) * share * hazy, share > 0.5


def _sigmoid(values):
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))


_PATTERNS = {
    "bacteria": _consolidation,
    "virus": _interstitial,
    "other_viral": _interstitial,
    "COVID-19": _ground_glass,
}
