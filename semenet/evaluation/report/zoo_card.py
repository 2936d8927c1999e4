"""The card of published weights, made of nothing but their metadata.json."""

from semenet.evaluation.drawing.pages import mean_sd, number, page, with_interval
from semenet.evaluation.report.card import FIGURES, in_code, in_text

_OF_CLASS = ("sensitivity", "specificity", "auroc")


def render(metadata):
    """Writes the card.

    Args:
        metadata: dict, the content of metadata.json.

    Returns:
        str, Markdown; equal metadata give equal cards.
    """
    figures = metadata["metrics"]["figures"]
    by_seed = metadata["metrics"].get("by_seed", {})
    class_names = metadata["network"]["class_names"]
    return page(
        "zoo_card.md.j2",
        **metadata,
        title=f"{metadata['entry']}: {in_text(metadata['name'])}",
        classes=", ".join(in_text(name) for name in class_names),
        command=in_code(metadata["training"]["command"]),
        figure_rows=[(title, _text(figures[name])) for name, title in FIGURES.items() if name in figures],
        class_rows=[
            (in_text(name), *(_text(figures[f"per_class.{name}.{key}"]) for key in _OF_CLASS))
            for name in class_names
            if f"per_class.{name}.auroc" in figures
        ],
        subgroup_rows=[
            (in_text(column), in_text(value), of_value["count"], _main(of_value["figures"]))
            for column, values in metadata["metrics"]["subgroups"].items()
            for value, of_value in values.items()
        ],
        point_rows=[
            (in_text(name), goal, point)
            for name, points in (metadata["calibration"] or {}).get("operating_points", {}).items()
            for goal, point in points.items()
            if point is not None
        ],
        seeds=[f"seed {seed}" for seed in next(iter(by_seed.values()), {})],
        seed_rows=[
            (FIGURES[name], mean_sd(values.values()), *map(number, values.values()))
            for name, values in by_seed.items()
        ],
        size=sum(of["bytes"] for of in metadata["files"].values()) / 1e6,
    )


def _text(figure):
    return with_interval(figure["value"], figure["interval"])


def _main(figures):
    return "; ".join(f"{FIGURES[name]} {_text(figure)}" for name, figure in figures.items())
