"""Pages that need nothing outside themselves: the templates, and how figures are written in them."""

import statistics

import jinja2

RESEARCH_USE = (
    "Research use only: not a medical device. Nothing here may guide the diagnosis or treatment of a patient."
)


def page(template, **variables):
    """Fills a template of this package.

    Args:
        template: its file name in `templates`; what ends in `.html.j2` is escaped as HTML.
        **variables: what it names.

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
    environment.filters["number"] = number
    return environment.get_template(template).render(research_use=RESEARCH_USE, **variables)


def number(value, digits=3):
    """A figure as text: so many digits behind the point, or "undefined" for None."""
    # z: a change of -0.0001 is written 0.000, which has no sign.
    return "undefined" if value is None else f"{value:z.{digits}f}"


def mean_sd(values, digits=3):
    """Mean ± standard deviation (n - 1) as text, of one value without it; "undefined" where one is None."""
    values = list(values)
    if None in values:
        return number(None)
    mean = number(statistics.mean(values), digits)
    return mean if len(values) == 1 else f"{mean} ± {number(statistics.stdev(values), digits)}"


def percent(share, digits=0):
    """A share in [0, 1] as text: per cent, with so many digits behind the point."""
    return f"{100 * share:.{digits}f} %"


def with_interval(value, interval):
    """A figure and its interval as text; None for what is undefined."""
    if interval is None:
        return number(value)
    return f"{number(value)} (95 % interval {number(interval[0])} to {number(interval[1])})"


def cell(value, interval=None):
    """A table's cell of a figure, with its interval below it where there is one."""
    return {"value": value, "interval": interval}
