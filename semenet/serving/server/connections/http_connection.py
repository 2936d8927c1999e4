"""A client's connection: uvicorn's, with a time limit for request headers and errors in JSON.

uvicorn limits only the time between two requests (`timeout_keep_alive`): a client that sends half of its
headers keeps its connection for ever. Its own errors are plain text.
"""

import asyncio
from typing import Any

import h11
import orjson
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol


class HttpConnection(H11Protocol):
    """One connection of a client.

    Args:
        *args: arguments of uvicorn's class.
        read_timeout: seconds within which the headers of a request must arrive.
        **kwargs: arguments of uvicorn's class.
    """

    def __init__(self, *args: Any, read_timeout: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_timeout = read_timeout
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio when a client connects."""
        super().connection_made(transport)
        self._update_header_timer()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio with the bytes that a client sent."""
        super().data_received(data)
        self._update_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio when the connection was closed or cut."""
        super().connection_lost(exc)
        self._stop_header_timer()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for bytes that are not HTTP; answers in JSON, as TF Serving does."""
        self._send_error(400, "A request must be HTTP/1.1. Received: other bytes. Use an HTTP client.")

    def _update_header_timer(self) -> None:
        """Runs the timer exactly while headers are awaited."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop_header_timer()
        elif self._header_timer is None:
            message = (
                f"A request's headers must arrive within {self._read_timeout:g} s. Received: incomplete "
                "headers. Send them faster, or raise --read-timeout."
            )
            self._header_timer = self.loop.call_later(self._read_timeout, self._send_error, 408, message)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _send_error(self, status: int, message: str) -> None:
        # h11 refuses a second answer while one is being sent.
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self.transport.is_closing():
            body = orjson.dumps({"error": message})
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            response = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
        self.transport.close()
