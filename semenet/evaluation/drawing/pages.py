"""Self-contained pages: templates, and how numbers are written in them."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import jinja2

from semenet.evaluation.drawing.markdown import escape_markdown
from semenet.evaluation.drawing.private_text import shown_command, shown_path, shown_text

RESEARCH_USE = (
    "Research use only: not a medical device. "
    "Do not use anything here to guide the diagnosis or treatment of a patient."
)


def render_page(template: str, **variables: Any) -> str:
    """Fills a template of this package.

    Args:
        template: its file name in `templates`; files ending in `.html.j2` are escaped as HTML.
        **variables: the variables of the template.

    Returns:
        str.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("semenet.evaluation.drawing", "templates"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "markdown": escape_markdown,
        "shown_text": shown_text,
        "shown_path": shown_path,
        "shown_command": shown_command,
    }
    return environment.get_template(template).render(research_use=RESEARCH_USE, **variables)


def number(value: float | None, digits: int = 3) -> str:
    """Formats a number with a fixed number of decimals; None as "undefined"."""
    # z: a change of -0.0001 is written 0.000, without a sign.
    return "undefined" if value is None else f"{value:z.{digits}f}"


def mean_sd(values: Iterable[float | None], digits: int = 3) -> str:
    """Formats mean ± standard deviation (n - 1); one value without it; "undefined" if any value is None."""
    values = list(values)
    defined = [value for value in values if value is not None]
    if len(defined) < len(values):
        return number(None)
    mean = number(statistics.mean(defined), digits)
    return mean if len(defined) == 1 else f"{mean} ± {number(statistics.stdev(defined), digits)}"


def percent(share: float, digits: int = 0) -> str:
    """Formats a share in [0, 1] as per cent with a fixed number of decimals."""
    return f"{100 * share:.{digits}f} %"


def with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    """Formats a value and its 95 % interval; None for what is undefined."""
    if interval is None:
        return number(value)
    return f"{number(value)} (95 % interval {number(interval[0])} to {number(interval[1])})"


def cell(value: float | None, interval: Sequence[float] | None = None) -> dict[str, Any]:
    """Returns a table cell that shows a value, with its interval below if there is one."""
    return {"value": value, "interval": interval}
