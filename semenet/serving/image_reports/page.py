"""Renders reports as one page that needs nothing else, and as a part of a notebook."""

from __future__ import annotations

import base64
import datetime
import hashlib
import pathlib
from collections.abc import Callable, Sequence
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

# From the bytes of a picture, the number of its image and its own name to the address of the picture.
AddressOf = Callable[[bytes, int, str], str]
# The scripts that both pages have.
_LIST_SCRIPTS = ("list.js", "viewer.js")


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

        def address(picture: bytes, number: int, name: str) -> str:
            file = f"{number:05d}_{name}.webp"
            write_bytes(folder / file, picture)
            return quote(f"{folder.name}/{file}")

    environment = page_environment(address)
    style, script = page_sources((*_LIST_SCRIPTS, "findings.js"))
    parts = environment.get_template("page.html.j2").generate(
        reports=reports,
        reader=reports.reader,
        style=markupsafe.Markup(style),
        script=markupsafe.Markup(script),
        policy=markupsafe.Markup(content_policy(style, script, "img-src data: file: 'self'")),
        date=datetime.datetime.now(datetime.UTC),
    )
    with replacing(out) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.writelines(parts)
    return out


def page_environment(address: AddressOf) -> jinja2.Environment:
    """Returns the templates of a page, whose script sets sizes and shows the controls of a film."""
    environment = _environment(address)
    environment.globals |= {"sizes": "data-size", "controls": True, "version": _version()}
    return environment


def page_sources(scripts: Sequence[str] = (*_LIST_SCRIPTS, "upload.js")) -> tuple[str, str]:
    """Returns the style sheet of a page, and its script, joined from several files."""
    environment = _environment(_data_address)
    style = "\n".join(_source(environment, name) for name in ("report.css", "page.css"))
    script = "\n".join(_source(environment, name) for name in scripts)
    return style, f'"use strict";\n(() => {{\n{script}}})();\n'


def content_policy(style: str, script: str, *sources: str) -> str:
    """Returns the Content-Security-Policy of a page: its own style and script by their hashes, and no other.

    Args:
        style: the text of its style sheet.
        script: the text of its script.
        sources: further directives, such as where pictures come from.
    """
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    own = f"style-src 'sha256-{hashes[0]}'", f"script-src 'sha256-{hashes[1]}'"
    return "; ".join(("default-src 'none'", *own, *sources, "base-uri 'none'", "form-action 'none'"))


def _data_address(picture: bytes, number: int, name: str) -> str:
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
        # A notebook has no script that could set sizes, and no policy that forbids them in attributes.
        "sizes": "style",
        "controls": False,
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
