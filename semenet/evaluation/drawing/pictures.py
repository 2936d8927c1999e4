"""Plots with title and alternative text, ready for the page templates."""

from matplotlib.figure import Figure

from semenet.evaluation.drawing.plots import svg_uri


def picture(title: str, figure: Figure, alt: str, note: str | None = None) -> dict[str, str | None]:
    """Returns a matplotlib Figure as a template variable.

    Args:
        title: heading of the plot.
        figure: the plot.
        alt: a description of its content for readers who cannot see it.
        note: how to read it; or None.
    """
    return {"title": title, "uri": svg_uri(figure), "alt": alt, "note": note}
