"""The report's section on where the heat maps lie, and on their randomisation check."""

from collections.abc import Mapping
from typing import Any

from semenet.evaluation.drawing.example_sheets import METHOD_NAMES
from semenet.evaluation.drawing.pages import number
from semenet.evaluation.drawing.pictures import picture
from semenet.evaluation.explanation.heat_map_analysis import plot_heat_in_lungs
from semenet.evaluation.explanation.lung_zones import ZONES
from semenet.evaluation.explanation.randomization import MAX_CORRELATION, plot_randomization
from semenet.inference.heat_maps.explained_layers import LAST


def heat_map_section(found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the heat map section of a classifier's report.

    Args:
        found: dict of `semenet.evaluation.explanation.heat_map_analysis.analyse_heat_maps`.

    Returns:
        dict of template variables.
    """
    sanity = found["sanity"]
    pictures = [
        picture(
            "Randomisation check",
            plot_randomization(sanity),
            "Rank correlation of heat maps with those of the trained network after randomising "
            + ", ".join(f"{group['group']}: {number(group['correlation'], 2)}" for group in sanity["groups"]),
            "How similar the maps remain while the weights are randomised, from the last layers (left) down "
            "to the first; 1 is identical, 0 is unrelated. The band is the 95 % interval.",
        )
    ]
    method = (METHOD_NAMES | {"cam": "CAM"})[found["method"]]
    if sanity["layer"] != LAST:
        method += f" of {sanity['layer']}"
    words = (
        f"Heat maps ({method}) for the predicted class. Maps that stay the same when the network's weights "
        "are randomised do not show what the network has learnt (Adebayo et al. 2018). "
        f"{_verdict(sanity)}"
    )
    if found["classes"] is None:
        words += " The location of the heat is not measured, because there are no lung masks (use --lungs)."
        return {"words": words, "pictures": pictures, "zones": []}
    measured = {name: of_class for name, of_class in found["classes"].items() if of_class["count"]}
    maps = sum(of_class["count"] for of_class in measured.values())
    words += (
        f" The location of {maps} maps is measured with {found['masks']}. For a uniform map, the share "
        "inside the lungs equals the lungs' share of the image."
    )
    if measured:
        shares = "; ".join(
            f"{name}: median {of_class['in_lung']['p50']:.2f}, lungs {of_class['lung_area']['mean']:.2f}"
            for name, of_class in measured.items()
        )
        alt = f"Share of the heat maps inside the lungs. {shares}"
        note = (
            "By predicted class. Line: median; box: the middle half of the maps; whiskers: 5th to 95th "
            "percentile; diamond: the lungs' share of the image."
        )
        pictures.insert(0, picture("Heat inside the lungs", plot_heat_in_lungs(measured), alt, note))
    rows = [
        [
            name,
            of_class["count"],
            number(of_class["in_lung"]["mean"], 2),
            *(f"{of_class['zones'][zone]:.2f} ({of_class['zone_areas'][zone]:.2f})" for zone in ZONES),
        ]
        for name, of_class in measured.items()
        if of_class["zones"] is not None
    ]
    columns = ["Predicted class", "Maps", "In the lungs", *(zone.capitalize() for zone in ZONES)]
    return {"words": words, "pictures": pictures, "zones": rows, "zone_columns": columns}


def _verdict(sanity: Mapping[str, Any]) -> str:
    """Returns whether the maps pass the randomisation check, with the value that decides it."""
    if sanity["passes"] is None:
        return f"Fewer than two maps could be compared, so it is undecided whether, {sanity['rule']}."
    high = sanity["groups"][-1]["high"]
    shown = f"{high:.3f}"
    if float(shown) == MAX_CORRELATION != high:
        shown = f"{high:.6f}"
    ends = f"With all weights randomised, the 95 % interval of the mean rank correlation ends at {shown}"
    if sanity["passes"]:
        return f"{ends}, which is below {MAX_CORRELATION}: the maps pass this check."
    return f"{ends}, which is not below {MAX_CORRELATION}: the maps fail this check."
