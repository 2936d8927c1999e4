"""A report as JSON, and its pictures by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semenet.serving.image_reports.image_report import ImageReport, NetworkReport

_FIELDS = (
    *("file", "outcome", "predicted", "sentences", "probabilities", "cautions", "size", "lungs_outline"),
    "box",
)
_NETWORK_FIELDS = (
    *("title", "question", "name", "given", "input_size", "class_names", "probabilities", "confidence"),
    *("thresholds", "explained", "in_lungs", "lung_area"),
)


def report_json(report: ImageReport) -> dict[str, Any]:
    """Returns a report's fields, ready for JSON: all but the pictures and the table's row."""
    return {
        **{name: getattr(report, name) for name in _FIELDS},
        "facts": dict(report.facts),
        "networks": [_network_json(network) for network in report.networks],
    }


def report_pictures(report: ImageReport) -> dict[str, bytes]:
    """Returns the pictures of a report, with the names that pages give them.

    Returns:
        The film and its thumbnail, and for the first network `input1`, what it received, `map1`, the film
        with its heat map, and `layer1`, the heat map alone; `input2` ... for the second one.
    """
    pictures = {"film": report.film, "thumbnail": report.thumbnail}
    for number, network in enumerate(report.networks, 1):
        pictures |= {
            f"input{number}": network.input_picture,
            f"map{number}": network.map_picture,
            f"layer{number}": network.map_layer,
        }
    return {name: picture for name, picture in pictures.items() if picture is not None}


def _network_json(network: NetworkReport) -> dict[str, Any]:
    heat = network.heat_map
    fields = {name: getattr(network, name) for name in _NETWORK_FIELDS}
    return fields | {"heat_map": None if heat is None else heat.tolist()}
