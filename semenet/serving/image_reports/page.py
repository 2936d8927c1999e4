"""Renders reports as one page that needs nothing else, and as a part of a notebook."""

from __future__ import annotations

import base64
import datetime
import hashlib
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jinja2
import markupsafe

from semenet.serving.image_reports import sentences
from semenet.serving.image_reports.pictures import OUTLINE_UNITS
from semenet.storage.atomic import output_folder, replacing, write_bytes

if TYPE_CHECKING:
    from semenet.serving.image_reports.image_report import ImageReport
    from semenet.serving.image_reports.report_list import ImageReports

RESEARCH_USE = (
    "Research use only: not a medical device. "
    "Do not use anything here to guide the diagnosis or treatment of a patient."
)
# The outcomes in the order of the page's filters, with their names and signs.
OUTCOMES = {
    "answer": ("Answered", "●"),
    "abstain": ("No answer", "◐"),
    "rejected": ("Not accepted", "⊘"),
    "error": ("Not read", "✕"),
}

# From the bytes of a WebP file and a name for it to the address of the picture.
AddressOf = Callable[[bytes, str], str]


def render_reports(reports: Sequence[ImageReport], more: int = 0) -> str:
    """Renders reports for a notebook: with all pictures, without a script.

    Args:
        reports: the reports.
        more: the number of reports that are left out.

    Returns:
        HTML.
    """
    environment = _environment(_data_address)
    style = markupsafe.Markup(_source(environment, "report.css"))
    return environment.get_template("notebook.html.j2").render(reports=reports, more=more, style=style)


def write_page(reports: ImageReports, out: pathlib.Path, assets: bool) -> pathlib.Path:
    """Writes the page; see `ImageReports.save`."""
    address = _data_address
    if assets:
        folder = output_folder(out.with_name(f"{out.stem}_files"))

        def address(picture: bytes, name: str) -> str:
            write_bytes(folder / name, picture)
            return quote(f"{folder.name}/{name}")

    environment = _environment(address)
    styles = [_source(environment, name) for name in ("report.css", "page.css")]
    script = _source(environment, "page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    counts = reports.counts()
    parts = environment.get_template("page.html.j2").generate(
        reports=reports,
        reader=reports.reader,
        counts={name: counts[name] for name in OUTCOMES if name in counts},
        answers=_answers(reports),
        style=markupsafe.Markup("\n".join(styles)),
        script=markupsafe.Markup(script),
        script_hash=f"sha256-{digest}",
        date=datetime.datetime.now(datetime.UTC),
        version=_version(),
    )
    with replacing(out) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.writelines(parts)
    return out


def _answers(reports: Iterable[ImageReport]) -> list[str]:
    """Returns the different answers, sorted."""
    return sorted({report.predicted for report in reports if report.outcome == "answer"})


def _data_address(picture: bytes, name: str) -> str:
    """Returns the address of a picture that lies in the page itself."""
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def _environment(address: AddressOf) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"words": sentences.shown_class, "percent": sentences.percent}
    environment.globals |= {
        "address": address,
        "outcomes": OUTCOMES,
        "outline_units": OUTLINE_UNITS,
        "research_use": RESEARCH_USE,
        "doubt": doubt,
        "zip": zip,
    }
    return environment


def doubt(report: ImageReport) -> float:
    """Returns how unsure a report is, from 0 to 1: 1 minus the highest probability; 1 without any."""
    return 1 - max(report.probabilities.values()) if report.probabilities else 1.0


def _source(environment: jinja2.Environment, name: str) -> str:
    return environment.loader.get_source(environment, name)[0]


def _version() -> Any:
    import semenet

    return semenet.__version__
