"""Renders the card of published weights from their metadata.json alone."""

from typing import Any

from semenet.data.transforms.lung_view import LungView
from semenet.evaluation.drawing.pages import mean_sd, number, render_page, with_interval
from semenet.evaluation.report.model_card import METRIC_NAMES, code_span, escape_markdown

_CLASS_METRICS = ("sensitivity", "specificity", "auroc")


def render_zoo_card(metadata: dict[str, Any]) -> str:
    """Renders the card.

    Args:
        metadata: the content of metadata.json.

    Returns:
        str, Markdown; equal metadata yields equal cards.
    """
    values = metadata["metrics"]["figures"]
    by_seed = metadata["metrics"].get("by_seed", {})
    class_names = metadata["network"]["class_names"]
    return render_page(
        "zoo_card.md.j2",
        **metadata,
        title=f"{metadata['entry']}: {escape_markdown(metadata['name'])}",
        lung_view=LungView.from_settings(metadata["network"].get("lung_view", {})).describe(),
        classes=", ".join(escape_markdown(name) for name in class_names),
        command=code_span(metadata["training"]["command"]),
        metric_rows=[(title, _text(values[name])) for name, title in METRIC_NAMES.items() if name in values],
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
            for column, of_column in metadata["metrics"]["subgroups"].items()
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


def _text(metric: dict[str, Any]) -> str:
    return with_interval(metric["value"], metric["interval"])


def _main_metrics(values: dict[str, Any]) -> str:
    return "; ".join(f"{METRIC_NAMES[name]} {_text(metric)}" for name, metric in values.items())
