"""The bodies of requests: read within bounds of size, time and memory, and what is left of those refused."""

import asyncio
import contextlib

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from semenet.serving.server.request_errors import RequestError, invalid, shown

# All the bodies that the server holds at once, in bodies of the longest allowed.
BODIES = 8
# How long a client that is refused may go on sending until its connection is closed: one that is cut off
# while it sends would not see the answer.
LINGER_SECONDS = 2.0
_PART_BYTES = 1 << 16


class BodyReader:
    """Reads bodies, and knows how much memory those take that are still worked on.

    Args:
        max_bytes: int, longest body.
        timeout: float, seconds for a whole body.
    """

    def __init__(self, max_bytes, timeout):
        self.max_bytes, self._timeout = max_bytes, timeout
        self.held = 0

    @contextlib.asynccontextmanager
    async def read(self, request):
        """Gives a request's body, which counts as held until the block ends.

        Args:
            request: `starlette.requests.Request`.

        Yields:
            bytearray.

        Raises:
            RequestError: 400 for a body whose length is told in two ways, 415 for one that is compressed; 413
                for one that is longer, or says so; 408 for one that is not there in time; 503 when the bodies
                held take too much memory.
            ClientDisconnect: the connection was cut.
        """
        _check_headers(request.headers)
        declared = request.headers.get("content-length", "0")
        # The HTTP parser has seen to it that this is a number.
        if int(declared) > self.max_bytes:
            raise self._too_long(f"one that says it has {int(declared):,}")
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(self._timeout):
                    async for part in request.stream():
                        self._hold(part, body)
            except TimeoutError as error:
                raise RequestError(
                    408,
                    f"A request's body must arrive within {self._timeout:g} s. "
                    f"Received: {len(body):,} bytes. Send it faster, or raise --read-timeout.",
                ) from error
            yield body
        finally:
            self.held -= len(body)

    def _hold(self, part, body):
        if len(body) + len(part) > self.max_bytes:
            raise self._too_long("one that is longer")
        if self.held + len(part) > BODIES * self.max_bytes:
            raise RequestError(
                503,
                f"The bodies of all requests must be at most {BODIES * self.max_bytes:,} bytes. "
                f"Received: more, from several clients. Try again later.",
            )
        self.held += len(part)
        body += part

    def _too_long(self, received):
        return RequestError(
            413,
            f"A request's body must have at most {self.max_bytes:,} bytes. Received: {received}. "
            "Send fewer items a request, or raise --max-request-bytes.",
        )


def _check_headers(headers):
    """Refuses a body that a proxy may end elsewhere (RFC 9112, section 6.1), or that is compressed."""
    if "content-length" in headers and "transfer-encoding" in headers:
        raise invalid(
            "A request must have one of the headers Content-Length and Transfer-Encoding. Received: both. "
            "Leave one out."
        )
    codings = ", ".join(headers.getlist("content-encoding"))
    if {coding.strip().lower() for coding in codings.split(",")} - {"", "identity"}:
        raise RequestError(
            415,
            "A request's body must be sent as it is. "
            f"Received: Content-Encoding: {shown(codings)}. Send it without compression.",
        )


async def uploaded_file(request, body):
    """The file in a body: the whole of it, or of `multipart/form-data` its one file.

    Args:
        request: `starlette.requests.Request`.
        body: bytearray, what `BodyReader.read` gave.

    Returns:
        bytes.

    Raises:
        RequestError: 400, the form is broken or does not have one file.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return bytes(body)

    async def parts():
        for start in range(0, len(body), _PART_BYTES):
            yield bytes(body[start : start + _PART_BYTES])
            # Other requests have their turn meanwhile.
            await asyncio.sleep(0)

    try:
        form = await MultiPartParser(request.headers, parts(), max_files=1, max_fields=16).parse()
    except (MultiPartException, KeyError) as error:
        received = getattr(error, "message", "a form without boundary")
        raise _no_form(received) from error
    try:
        files = [value for value in form.values() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise _no_form("a form without a file")
        return await files[0].read()
    finally:
        await form.close()


def _no_form(received):
    return invalid(
        f"A form must be multipart/form-data with one file. Received: {received.rstrip('.')}. "
        "Send it with `curl --form file=@radiograph.dcm`, or as the body itself."
    )


class ClosesUnreadBodies:
    """ASGI middleware: answers that leave a body unread close the connection, but not at once.

    Otherwise a client could send for ever after its answer. What still comes is thrown away for
    `LINGER_SECONDS`, so that a client that sends before it reads sees the answer.

    Args:
        app: ASGI application.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        """Handles one connection or event, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        names = {name for name, _ in scope["headers"]}
        unread = bool({b"content-length", b"transfer-encoding"} & names)

        async def watch():
            nonlocal unread
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                unread = False
            return message

        async def discard():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    while unread:
                        await watch()

        async def answer(message):
            if unread and message["type"] == "http.response.start":
                message = message | {"headers": [*message["headers"], (b"connection", b"close")]}
            if unread and message["type"] == "http.response.body" and not message.get("more_body", False):
                await send(message | {"more_body": True})
                await discard()
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self.app(scope, watch, answer)
