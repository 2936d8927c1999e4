"""The routes of the page: the page itself, what it says of the model, and the report on one file.

What makes and draws reports is imported when the page is first used: a server of programs never needs it.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import fastapi
import orjson
from starlette.datastructures import Headers

from semenet.data.images.errors import ImageError
from semenet.serving.server.request_checks.access import PAGE
from semenet.serving.server.request_checks.request_body import uploaded_file
from semenet.serving.server.served_model import item_shapes

if TYPE_CHECKING:
    from semenet.serving.image_reports.image_report import ImageReport
    from semenet.serving.server.app import Service
    from semenet.serving.server.page.page_parts import PageParts
    from semenet.serving.server.page.served_reports import ServedReports

LOOK = "/look"
_LONGEST_NAME = 200
_NO_STORE = {"Cache-Control": "no-store"}
_PNG = b"\x89PNG"


def page_routes(service: Service) -> fastapi.APIRouter:
    """Returns the routes of the page for a service."""
    router = fastapi.APIRouter()

    @functools.cache
    def served_reports() -> ServedReports:
        from semenet.serving.server.page.served_reports import ServedReports

        # A model that the page cannot show is served all the same.
        return ServedReports(service.model)

    @router.api_route(PAGE, methods=["GET", "HEAD"])
    async def root() -> fastapi.Response:
        page = (await service.in_thread(_page_parts)).page
        return fastapi.responses.HTMLResponse(page.html, headers=page.headers)

    @router.get(LOOK)
    async def describe() -> fastapi.Response:
        reader = (await service.in_thread(served_reports)).reader
        content = (await service.in_thread(_page_parts)).describe(reader) | {
            "model": service.model.name,
            "version": service.model.version,
            "max_request_bytes": service.options.max_request_bytes,
        }
        return fastapi.Response(orjson.dumps(content), headers=_NO_STORE, media_type="application/json")

    @router.post(LOOK)
    async def look(request: fastapi.Request) -> fastapi.Response:
        name = request.query_params.get("name", "")[:_LONGEST_NAME] or "the file sent"
        for_page = request.query_params.get("page", "") == "1"
        reports = await service.in_thread(served_reports)
        answer = await service.respond(request, _answer(service, reports, name, for_page))
        answer.headers.update(_NO_STORE)
        return answer

    return router


def _answer(
    service: Service, reports: ServedReports, name: str, for_page: bool
) -> Callable[[Headers, bytearray], Awaitable[bytes]]:
    """Returns the function that answers with the report on the file in a request's body."""

    async def answer(headers: Headers, body: bytearray) -> bytes:
        contents = await uploaded_file(headers, body)
        try:
            file = await service.in_thread(reports.read, contents, name)
        except ImageError as error:
            report = reports.unreadable(name, error)
        else:
            inputs = file.inputs
            outputs = await service.batcher.submit(
                reports.signature, item_shapes(inputs), inputs, 1, [file.image.size]
            )
            report = await service.in_thread(reports.report, file, outputs)
        return await service.in_thread(_content, report, for_page)

    return answer


@functools.cache
def _page_parts() -> PageParts:
    from semenet.serving.server.page.page_parts import PageParts

    return PageParts()


def _content(report: ImageReport, for_page: bool) -> bytes:
    from semenet.serving.image_reports.page import RESEARCH_USE
    from semenet.serving.image_reports.report_json import report_json, report_pictures

    pictures = {name: _picture(picture) for name, picture in report_pictures(report).items()}
    content = report_json(report) | {"use": RESEARCH_USE, "pictures": pictures}
    return orjson.dumps(content | ({"html": _page_parts().row(report)} if for_page else {}))


def _picture(contents: bytes) -> dict[str, Any]:
    kind = "image/png" if contents.startswith(_PNG) else "image/webp"
    return {"type": kind, "b64": base64.b64encode(contents).decode()}
