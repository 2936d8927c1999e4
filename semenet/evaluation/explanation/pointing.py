"""The pointing score: whether heat maps lie on known regions, such as lesions or the lungs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from semenet.inference.heat_maps.overlays import resize_heat_map
from semenet.metrics.patient_bootstrap import mean_intervals
from semenet.models.receptive_fields import ReceptiveField

SCORES = ("pointing", "energy", "area", "ratio")


def pointing_scores(
    heat: np.ndarray, mask: np.ndarray, geometry: ReceptiveField | None = None
) -> dict[str, float] | None:
    """Compares one heat map with one region.

    Args:
        heat: `(h, w)`, values of 0 or more.
        mask: uint8 or bool `(H, W)`, not 0 in the region; of the whole image, in any size.
        geometry: as for `semenet.inference.resize_heat_map`.

    Returns:
        dict of floats: `pointing`, 1 if the maximum of the map lies inside the region and 0 otherwise (of
        several equal maxima, the share inside); `energy`, the share of the map's sum inside; `area`, the
        region's share of the image, which is what a map without knowledge reaches in both; and `ratio` of
        energy and area. A map that is 0 everywhere points nowhere: `pointing` is 0, `energy` and `ratio` are
        NaN. None instead of the dict for an empty mask.

    Example:
        >>> heat = np.array([[0.0, 0.0], [0.0, 1.0]])
        >>> mask = np.array([[0, 0], [0, 1]])
        >>> semenet.evaluation.pointing_scores(heat, mask)
        {'pointing': 1.0, 'energy': 1.0, 'area': 0.25, 'ratio': 4.0}

    Reference:
        Zhang et al., "Top-down Neural Attention by Excitation Backprop", https://arxiv.org/abs/1608.00507
        (the pointing game); Wang et al., "Score-CAM", https://arxiv.org/abs/1910.01279 (the energy).
    """
    inside = np.asarray(mask) != 0
    area = float(inside.mean())
    if area == 0:
        return None
    heat = resize_heat_map(heat, inside.shape, geometry).astype(np.float64)
    if not heat.any():
        return {"pointing": 0.0, "energy": np.nan, "area": area, "ratio": np.nan}
    energy = float(heat[inside].sum() / heat.sum())
    return {
        "pointing": float(inside[heat == heat.max()].mean()),
        "energy": energy,
        "area": area,
        "ratio": energy / area,
    }


def mean_pointing_scores(
    scores: Sequence[Mapping[str, float] | None], patients: ArrayLike, resamples: int = 2000
) -> dict[str, Any] | None:
    """Computes the means of pointing scores and their intervals over patients.

    Args:
        scores: N results of `pointing_scores`; images without a region (None) are left out.
        patients: N values, the patient of each image.
        resamples: number of times that the patients are resampled.

    Returns:
        dict: `count`, the number of images with a region; `empty`, of these the maps that are 0 everywhere,
        which count in `pointing` alone; each of `SCORES`, its mean, or None without a value; and `intervals`,
        a dict of the same names to `[low, high]` or None, see `semenet.metrics.mean_intervals`. None instead
        of the dict if no image has a region.
    """
    kept = [number for number, found in enumerate(scores) if found is not None]
    if not kept:
        return None
    values = {name: np.array([scores[number][name] for number in kept]) for name in SCORES}
    defined = {name: found[~np.isnan(found)] for name, found in values.items()}
    return {
        "count": len(kept),
        "empty": int(np.isnan(values["energy"]).sum()),
        **{name: float(found.mean()) if len(found) else None for name, found in defined.items()},
        "intervals": mean_intervals(values, np.asarray(patients)[kept], resamples),
    }
