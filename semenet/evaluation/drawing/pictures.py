"""Plots with title and alternative text, ready for the page templates."""

import warnings

from matplotlib.figure import Figure

from semenet.evaluation.drawing.plots import data_uri, svg_uri

_NOT_DRAWN = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="60" font-family="sans-serif" font-size="14">'
    '<text x="10" y="35">This figure could not be drawn.</text></svg>'
)


class FigureWarning(UserWarning):
    """A figure of a report that could not be drawn. The report and all metrics are complete without it."""


def picture(title: str, figure: Figure, alt: str, note: str | None = None) -> dict[str, str | None]:
    """Returns a matplotlib Figure as a template variable.

    Args:
        title: heading of the plot.
        figure: the plot.
        alt: a description of its content for readers who cannot see it.
        note: how to read it; or None.
    """
    try:
        uri = svg_uri(figure)
    # matplotlib raises many kinds of errors, and none of them is worth more than the report.
    except Exception as error:
        words = f"The figure {title!r} could not be drawn ({type(error).__name__}: {error})."
        warnings.warn(f"{words} The report says so in its place.", FigureWarning, stacklevel=2)
        uri = data_uri(_NOT_DRAWN.encode(), "image/svg+xml")
    return {"title": title, "uri": uri, "alt": alt, "note": note}
