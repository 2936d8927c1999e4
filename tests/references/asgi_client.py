"""Sends requests to an ASGI application in this process, without a socket."""

import asyncio
import dataclasses
import json
import types
from collections.abc import Callable
from typing import Any

from semenet.serving.server.app import Service, create_app
from semenet.serving.server.options import ServerOptions
from semenet.serving.server.served_model import Signature


@dataclasses.dataclass
class Answer:
    """The answer to a request: its status, its headers in lower case, and its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def service_of(
    compute: Callable, inputs: dict[str, Any], options: ServerOptions | None = None, token: str | None = None
) -> Service:
    """Returns the service of a model `m`, whose one signature is a Python function."""
    model = types.SimpleNamespace(
        name="m",
        version=1,
        compute=compute,
        metadata={},
        signature=lambda name: Signature("serving_default", inputs, None),
        status=lambda: {"state": "AVAILABLE"},
    )
    return Service(model, options or ServerOptions(), token)


async def send(
    app: Callable, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Answer:
    """Sends one request; headers of an empty string are left out."""
    headers = {"host": "127.0.0.1:8501"} | (headers or {})
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items() if value],
    }
    sent, parts = [], [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict:
        # After its body, the client waits for the answer.
        return parts.pop() if parts else await asyncio.Event().wait()

    async def keep(message: dict) -> None:
        sent.append(message)

    await app(scope, receive, keep)
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, b"".join(part.get("body", b"") for part in sent[1:]))


def ask(service: Service, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """Sends one request to a service; `sec_fetch_site="none"` is the header sec-fetch-site."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def ask_while_batches_are_computed() -> Answer:
        batches = asyncio.create_task(service.batcher.run())
        try:
            return await send(create_app(service), method, path, body, headers)
        finally:
            batches.cancel()

    return asyncio.run(ask_while_batches_are_computed())


def predict(service: Service, request: Any) -> Answer:
    """Sends a request for predictions; `request` is bytes, or is written as JSON."""
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return ask(service, "POST", "/v1/models/m:predict", body)
