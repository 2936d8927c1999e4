"""Renders the card of published weights from their metadata.json alone."""

from collections.abc import Sequence
from typing import Any

from semenet.data.transforms.lung_view import LungView
from semenet.evaluation.drawing.markdown import code_span, escape_markdown
from semenet.evaluation.drawing.pages import mean_sd, number, render_page, with_interval
from semenet.evaluation.drawing.private_text import shown_command
from semenet.evaluation.report.evidence_table import (
    HELD_OUT_ROW,
    NOT_MEASURED,
    OTHER_HOSPITALS,
    headline_names,
    validation_row,
)
from semenet.evaluation.report.model_card import METRIC_NAMES

_CLASS_METRICS = ("sensitivity", "specificity", "auroc")


def render_zoo_card(metadata: dict[str, Any]) -> str:
    """Renders the card.

    Args:
        metadata: the content of metadata.json.

    Returns:
        str, Markdown; equal metadata yields equal cards.
    """
    validation = metadata["metrics"]["validation"]
    values = validation["figures"]
    by_seed = validation.get("by_seed", {})
    class_names = metadata["network"]["class_names"]
    return render_page(
        "zoo_card.md.j2",
        **metadata | {"metrics": validation},
        title=f"{metadata['entry']}: {escape_markdown(metadata['name'])}",
        lung_view=LungView.from_settings(metadata["network"].get("lung_view", {})).describe(),
        classes=", ".join(escape_markdown(name) for name in class_names),
        command=code_span(shown_command(metadata["training"]["command"])),
        evidence_columns=[METRIC_NAMES[name] for name in headline_names(values)],
        evidence_rows=_evidence_rows(metadata),
        chosen=", ".join(_chosen(metadata)),
        further=[
            (heading, measured, _metric_rows(measured["figures"]))
            for heading, measured in _measured_elsewhere(metadata["metrics"])
        ],
        metric_rows=_metric_rows(values),
        class_rows=[
            (escape_markdown(name), *(_text(values[f"per_class.{name}.{key}"]) for key in _CLASS_METRICS))
            for name in class_names
            if f"per_class.{name}.auroc" in values
        ],
        subgroup_rows=[
            (
                escape_markdown(column),
                escape_markdown(value),
                of_value["count"],
                _main_metrics(of_value["figures"]),
            )
            for column, of_column in validation["subgroups"].items()
            for value, of_value in of_column.items()
        ],
        point_rows=[
            (escape_markdown(name), goal, point)
            for name, points in (metadata["calibration"] or {}).get("operating_points", {}).items()
            for goal, point in points.items()
            if point is not None
        ],
        seeds=[f"seed {seed}" for seed in next(iter(by_seed.values()), {})],
        seed_rows=[
            (METRIC_NAMES[name], mean_sd(of_seeds.values()), *map(number, of_seeds.values()))
            for name, of_seeds in by_seed.items()
        ],
        size=sum(file["bytes"] for file in metadata["files"].values()) / 1e6,
    )


def _evidence_rows(metadata: dict[str, Any]) -> list[tuple[str, ...]]:
    """Returns one row for each measurement, and "not measured" for a kind of evidence without one."""
    measured = metadata["metrics"]
    names = headline_names(measured["validation"]["figures"])
    rows = [_evidence_row(validation_row(_chosen(metadata)), measured["validation"], names)]
    for title, key in ((HELD_OUT_ROW, "held_out"), (OTHER_HOSPITALS, "other_hospitals")):
        rows += [_evidence_row(f"{title}: {_described(found)}", found, names) for found in measured[key]] or [
            (title, NOT_MEASURED, "", *([""] * len(names)))
        ]
    return rows


def _chosen(metadata: dict[str, Any]) -> list[str]:
    """Returns what was chosen on the split of validation."""
    return [
        escape_markdown(name) for name in metadata["chosen_on"][metadata["metrics"]["validation"]["split"]]
    ]


def _evidence_row(title: str, measured: dict[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    values = (_text(measured["figures"][name]) for name in names)
    return title, str(measured["count"]), str(measured["patients"]), *values


def _measured_elsewhere(measured: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    headings = {"held_out": "Held-out", "other_hospitals": "Other hospital"}
    return [
        (f"{heading}: {_described(found)}", found)
        for key, heading in headings.items()
        for found in measured[key]
    ]


def _described(found: dict[str, Any]) -> str:
    if found.get("kind") == "cross-validation":
        return f"cross-validation by {escape_markdown(found['by'])}, {found['folds']} folds"
    name = f"{escape_markdown(found['name'])}, " if "name" in found else ""
    return f"{name}split {escape_markdown(found['split'])}"


def _metric_rows(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(title, _text(values[name])) for name, title in METRIC_NAMES.items() if name in values]


def _text(metric: dict[str, Any]) -> str:
    return with_interval(metric["value"], metric["interval"])


def _main_metrics(values: dict[str, Any]) -> str:
    return "; ".join(f"{METRIC_NAMES[name]} {_text(metric)}" for name, metric in values.items())
