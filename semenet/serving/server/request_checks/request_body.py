"""Request bodies: read within limits of size, time and memory.

Starlette's `RequestBodyLimitMiddleware` limits only the size, and answers in plain text. Neither it nor
uvicorn limits the time of a body, or the memory of all bodies together.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from semenet.serving.server.request_errors import RequestError, invalid, shortened

# All bodies in memory together may be this many times the longest one allowed.
MAX_BODIES = 8
# A client that is refused may send for so long until its connection is closed. If the server closed it at
# once, a client that is still sending would not see the answer.
LINGER_SECONDS = 2.0
_CHUNK_BYTES = 1 << 16


class BodyReader:
    """Reads request bodies and counts the bytes of those in use.

    Args:
        max_bytes: longest body.
        timeout: seconds for a whole body.
    """

    def __init__(self, max_bytes: int, timeout: float) -> None:
        self.max_bytes, self._timeout = max_bytes, timeout
        self._bytes_in_use = 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytearray]:
        """Reads a request's body, which counts as in use until the block ends.

        Yields:
            The body.

        Raises:
            RequestError: 400 for a body with two declared lengths; 415 for a compressed one; 413 for one
                that is too long; 408 for one that does not arrive in time; 503 when all bodies together take
                too much memory.
            ClientDisconnect: the connection was cut.
        """
        _check_headers(request.headers)
        # uvicorn accepts numbers only.
        declared = int(request.headers.get("content-length", "0"))
        if declared > self.max_bytes:
            raise self._too_long(f"a declared length of {declared:,}")
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(self._timeout):
                    async for chunk in request.stream():
                        self._append(body, chunk)
            except TimeoutError as error:
                raise RequestError(
                    408,
                    f"A request's body must arrive within {self._timeout:g} s. "
                    f"Received: {len(body):,} bytes. Send it faster, or raise --read-timeout.",
                ) from error
            yield body
        finally:
            self._bytes_in_use -= len(body)

    def _append(self, body: bytearray, chunk: bytes) -> None:
        if len(body) + len(chunk) > self.max_bytes:
            raise self._too_long("a longer one")
        if self._bytes_in_use + len(chunk) > MAX_BODIES * self.max_bytes:
            raise RequestError(
                503,
                f"The bodies of all requests must have at most {MAX_BODIES * self.max_bytes:,} bytes. "
                "Received: more, from several clients. Try again later.",
            )
        self._bytes_in_use += len(chunk)
        body += chunk

    def _too_long(self, received: str) -> RequestError:
        return RequestError(
            413,
            f"A request's body must have at most {self.max_bytes:,} bytes. Received: {received}. "
            "Send fewer items per request, or raise --max-request-bytes.",
        )


def _check_headers(headers: Headers) -> None:
    """Refuses a body whose end a proxy may see elsewhere (RFC 9112, section 6.1), or that is compressed."""
    if "content-length" in headers and "transfer-encoding" in headers:
        raise invalid(
            "A request must have only one of the headers Content-Length and Transfer-Encoding. "
            "Received: both. Leave one out."
        )
    codings = ", ".join(headers.getlist("content-encoding"))
    if {coding.strip().lower() for coding in codings.split(",")} - {"", "identity"}:
        raise RequestError(
            415,
            "A request's body must not be compressed. "
            f"Received: Content-Encoding: {shortened(codings)}. Send it without compression.",
        )


async def uploaded_file(headers: Headers, body: bytearray) -> bytes:
    """Returns the file in a body: the body itself, or the only file of `multipart/form-data`.

    Args:
        headers: headers of the request.
        body: body of the request.

    Raises:
        RequestError: 400, the form is broken or does not have exactly one file.
    """
    if not headers.get("content-type", "").startswith("multipart/form-data"):
        return bytes(body)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), _CHUNK_BYTES):
            yield bytes(body[start : start + _CHUNK_BYTES])
            # Lets other requests run in between.
            await asyncio.sleep(0)

    try:
        form = await MultiPartParser(headers, chunks(), max_files=1, max_fields=16).parse()
    except (MultiPartException, KeyError) as error:
        raise _wrong_form(getattr(error, "message", "a form without a boundary")) from error
    try:
        files = [value for value in form.values() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise _wrong_form("a form without a file")
        return await files[0].read()
    finally:
        await form.close()


def _wrong_form(received: str) -> RequestError:
    return invalid(
        f"A form must be multipart/form-data with one file. Received: {received.rstrip('.')}. "
        "Send it with `curl --form file=@radiograph.dcm`, or send the file as the body."
    )


class UnreadBodyMiddleware:
    """ASGI middleware that closes the connection after an answer to a request whose body was not read.

    Otherwise the client could send for ever after its answer. The rest of the body is discarded for
    `LINGER_SECONDS` first, so that a client that sends before it reads sees the answer.

    Args:
        app: ASGI application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        unread = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])

        async def receive_and_note_end() -> Message:
            nonlocal unread
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                unread = False
            return message

        async def discard_body() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    while unread:
                        await receive_and_note_end()

        async def send_and_close(message: Message) -> None:
            if unread and message["type"] == "http.response.start":
                message = message | {"headers": [*message["headers"], (b"connection", b"close")]}
            if unread and message["type"] == "http.response.body" and not message.get("more_body", False):
                await send(message | {"more_body": True})
                await discard_body()
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self.app(scope, receive_and_note_end, send_and_close)
