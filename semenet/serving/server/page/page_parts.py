"""The page as HTML: the page itself, what it says of the model, and an image in its list."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import markupsafe

from semenet.serving.image_reports.image_report import ImageReport
from semenet.serving.image_reports.page import (
    OUTCOMES,
    RESEARCH_USE,
    content_policy,
    page_environment,
    page_sources,
)
from semenet.serving.image_reports.reader_description import ReaderDescription
from semenet.serving.image_reports.sentences import NOT_READ

_WAITING = {"waiting": ("Reading …", "◌")}


class ServedPage(NamedTuple):
    """The page.

    Attributes:
        html: the page.
        headers: the headers of the answer.
    """

    html: str
    headers: dict[str, str]


class PageParts:
    """Renders the page and its parts with the templates of `semenet look`.

    Attributes:
        page: `ServedPage`, the same for every model and every user.
    """

    def __init__(self) -> None:
        # Pictures are sent beside the HTML, by the names of `report_pictures`.
        environment = page_environment(lambda picture, number, name: name)
        environment.globals["outcomes"] = OUTCOMES | _WAITING
        self._environment = environment
        self._parts = environment.get_template("page_parts.html.j2").make_module({"style": ""})
        self.page = self._page()

    def _page(self) -> ServedPage:
        style, script = page_sources()
        waiting = ImageReport("", "waiting", "waiting", ("Waiting for the server.", ""), ())
        failed = ImageReport("", "error", "error", (NOT_READ, "-"), ())
        html = self._environment.get_template("server_page.html.j2").render(
            style=markupsafe.Markup(style),
            script=markupsafe.Markup(script),
            waiting=waiting,
            failed=failed,
        )
        policy = content_policy(
            style, script, "img-src data: blob:", "connect-src 'self'", "frame-ancestors 'none'"
        )
        headers = {
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
        }
        return ServedPage(html, headers)

    def describe(self, reader: ReaderDescription) -> dict[str, Any]:
        """Describes the model, ready for JSON, and as HTML for the page."""
        html = {"reader": str(self._parts.read_by(reader)), "limits": str(self._parts.limits(reader.cards))}
        return dataclasses.asdict(reader) | {"use": RESEARCH_USE, "html": html}

    def row(self, report: ImageReport) -> str:
        """Renders an image in the list."""
        return str(self._parts.row(report, 0))
