"""How much of a network's heat maps lies inside the lungs, and in which zones of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from semenet.errors import SemenetError
from semenet.inference.heat_maps.overlays import resize_heat_map, share_inside
from semenet.models.receptive_fields import ReceptiveField

ZONES = ("right", "left", "upper", "middle", "lower", "central", "peripheral")
QUANTILES = (5, 25, 50, 75, 95)
# A second component smaller than this share of the largest is a speck, not a lung.
_MIN_SHARE = 0.1


def lung_zones(mask: np.ndarray) -> dict[str, np.ndarray] | None:
    """Divides a mask of both lungs into zones.

    The two largest connected components are the lungs. If the second is a speck, or lies above or below the
    first instead of beside it, either the lungs touch or only one was found: the largest component is then
    split at the column with the fewest of its pixels, in the middle half of its width, the one nearest to its
    centre of mass. Pixels outside these components belong to no zone.

    Sides are the patient's: the right lung is on the left of a frontal view as radiographs are displayed. A
    mirrored image or dextrocardia is not detected.

    Args:
        mask: uint8 or bool `(H, W)`, not 0 in the lungs.

    Returns:
        dict of bool arrays `(H, W)`: `right` and `left` lung; `upper`, `middle` and `lower`, thirds of each
        lung's own height; `central`, in each row of a lung the half nearer the other lung, including the
        middle pixel, and `peripheral`, the other half. None for an empty mask.

    Raises:
        SemenetError: the mask does not have two dimensions.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise SemenetError(
            f"A mask of the lungs is an array (H, W). Received: shape {mask.shape}. "
            "Remove the batch and channel dimensions."
        )
    lungs = _two_lungs(np.ascontiguousarray(mask != 0))
    if lungs is None:
        return None
    zones = dict(zip(("right", "left"), lungs, strict=True))
    zones |= {name: np.zeros(mask.shape, bool) for name in ZONES[2:]}
    columns = np.arange(mask.shape[1])
    for side, lung in zip(("right", "left"), lungs, strict=True):
        rows = np.flatnonzero(lung.any(axis=1))
        if not rows.size:
            continue
        third = 3 * (np.arange(mask.shape[0]) - rows[0]) // (rows[-1] - rows[0] + 1)
        for number, name in enumerate(("upper", "middle", "lower")):
            zones[name] |= lung & (third == number)[:, None]
        first = lung.argmax(axis=1)
        last = mask.shape[1] - 1 - lung[:, ::-1].argmax(axis=1)
        twice_middle = (first + last)[:, None]
        inner = 2 * columns >= twice_middle if side == "right" else 2 * columns <= twice_middle
        zones["central"] |= lung & inner
        zones["peripheral"] |= lung & ~inner
    return zones


def heat_shares(
    heat: np.ndarray, mask: np.ndarray, geometry: ReceptiveField | None = None
) -> dict[str, Any] | None:
    """Computes the share of a heat map inside the lungs, and of that the share in each zone.

    Args:
        heat: `(h, w)`, values of 0 or more.
        mask: uint8 or bool `(H, W)`, not 0 in the lungs; of the whole image, in any size.
        geometry: as for `semenet.inference.heat_maps.overlays.resize_heat_map`.

    Returns:
        dict: `in_lung`, the share of the map's sum that lies inside the mask; `lung_area`, the mask's share
        of the image; `ratio` of the two, 1 for a uniform map; `zones`, the share of the heat in the lungs
        that lies in each of `ZONES`, of which each pair and triple sums to 1, or None if no heat lies there;
        `zone_areas`, the share of the lungs' area in each zone. None instead of the dict for a map that is 0
        everywhere or an empty mask.

    Raises:
        SemenetError: as for `lung_zones`.
    """
    zones = lung_zones(mask)
    heat = np.asarray(heat)
    if zones is None or not heat.any():
        return None
    inside = np.asarray(mask) != 0
    heat = resize_heat_map(heat, inside.shape, geometry).astype(np.float64)
    lungs = zones["right"] | zones["left"]
    in_zones, area = heat[lungs].sum(), lungs.sum()
    in_lung, lung_area = share_inside(heat, inside), inside.mean()
    return {
        "in_lung": in_lung,
        "lung_area": float(lung_area),
        "ratio": float(in_lung / lung_area),
        "zones": {name: float(heat[zones[name]].sum() / in_zones) for name in ZONES} if in_zones else None,
        "zone_areas": {name: float(zones[name].sum() / area) for name in ZONES},
    }


def heat_by_class(
    heats: Sequence[np.ndarray] | np.ndarray,
    masks: Sequence[np.ndarray | None],
    class_index: Sequence[int] | np.ndarray,
    class_names: Sequence[str],
    geometry: ReceptiveField | None = None,
) -> dict[str, Any]:
    """Summarises for each class where its heat maps lie.

    Args:
        heats: N maps `(h, w)`, as from `semenet.inference.heat_maps.class_activation`.
        masks: N lung masks, as for `heat_shares`, or None for images without a mask.
        class_index: int array `(N,)`, the class that each map belongs to.
        class_names: K str.
        geometry: as for `heat_shares`.

    Returns:
        dict from class name to a dict: `count`, the number of measured maps; `empty_maps`, the number left
        out because they are all 0; `without_lungs`, the number of others left out because their mask is empty
        or None; `in_lung`, `lung_area` and `ratio`, each a dict of `mean` and the percentiles `p5`, `p25`,
        `p50`, `p75` and `p95`; `zones` and `zone_areas`, means by zone. Undefined values are None.

    Raises:
        SemenetError: the numbers of heat maps, masks and classes differ, or as for `lung_zones`.
    """
    if not len(heats) == len(masks) == len(class_index):
        raise SemenetError(
            "Every heat map needs a mask and a class. "
            f"Received: {len(heats)} maps, {len(masks)} masks, {len(class_index)} classes. "
            "Use None for an image without a mask."
        )
    result = {}
    for number, name in enumerate(class_names):
        of_class = np.flatnonzero(np.asarray(class_index) == number).tolist()
        filled = [index for index in of_class if np.any(heats[index])]
        masked = (index for index in filled if masks[index] is not None)
        shares = [heat_shares(heats[index], masks[index], geometry) for index in masked]
        shares = [found for found in shares if found is not None]
        result[name] = {
            "count": len(shares),
            "empty_maps": len(of_class) - len(filled),
            "without_lungs": len(filled) - len(shares),
            **{
                key: _percentiles([found[key] for found in shares])
                for key in ("in_lung", "lung_area", "ratio")
            },
            **{key: _mean_by_zone([found[key] for found in shares]) for key in ("zones", "zone_areas")},
        }
    return result


def _two_lungs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the lungs at the image's left and right, bool arrays; None for an empty mask."""
    count, labels, stats, centres = cv2.connectedComponentsWithStats(mask.view(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count == 1:
        return None
    first, *others = np.argsort(-areas, kind="stable") + 1
    if others and areas[others[0] - 1] >= _MIN_SHARE * areas[first - 1]:
        pair = sorted((first, others[0]), key=lambda label: centres[label, 0])
        # Side by side: neither's centre of mass lies within the width of the other.
        left, width = stats[pair, cv2.CC_STAT_LEFT], stats[pair, cv2.CC_STAT_WIDTH]
        middle = centres[pair, 0]
        if middle[0] < left[1] and middle[1] > left[0] + width[0] - 1:
            return labels == pair[0], labels == pair[1]
    lung = labels == first
    column = _split_column(lung, centres[first, 0])
    before = np.arange(mask.shape[1]) < column
    return lung & before, lung & ~before


def _split_column(lung: np.ndarray, centre: float) -> int:
    """Returns the first column of the right half."""
    columns = np.flatnonzero(lung.any(axis=0))
    begin, width = columns[0], len(columns)
    candidates = np.arange(begin + width // 4, max(begin + width // 4 + 1, begin + width - width // 4))
    counts = lung.sum(axis=0)[candidates]
    fewest = candidates[counts == counts.min()]
    # The split lies between this column and the previous one.
    return int(fewest[np.abs(fewest - 0.5 - centre).argmin()])


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    percentiles = np.percentile(values, QUANTILES)
    return {"mean": float(np.mean(values))} | {
        f"p{quantile}": float(value) for quantile, value in zip(QUANTILES, percentiles, strict=True)
    }


def _mean_by_zone(tables: Sequence[Mapping[str, float] | None]) -> dict[str, float] | None:
    tables = [table for table in tables if table is not None]
    if not tables:
        return None
    return {name: float(np.mean([table[name] for table in tables])) for name in ZONES}
