"""A connection of the server: uvicorn's, which closes those that send no request, and answers in JSON."""

import h11
import orjson
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol


class HttpConnection(H11Protocol):
    """One connection of a client.

    Args:
        *arguments: uvicorn's.
        read_timeout: float, seconds that a request's headers may take.
        **named: uvicorn's.
    """

    def __init__(self, *arguments, read_timeout, **named):
        super().__init__(*arguments, **named)
        self._read_timeout = read_timeout
        self._headers_due = None

    def connection_made(self, transport):
        """Called by asyncio when a client connects."""
        super().connection_made(transport)
        self._watch_headers()

    def data_received(self, data):
        """Called by asyncio with what a client sends."""
        super().data_received(data)
        self._watch_headers()

    def connection_lost(self, exc):
        """Called by asyncio when the connection is closed or cut."""
        super().connection_lost(exc)
        self._stop_watching()

    def send_400_response(self, msg):
        """Called by uvicorn for what is not HTTP: answers as TF Serving does, in JSON."""
        self._refuse(
            400, f"A request must be HTTP/1.1. Received: something else ({msg}) Send it by a client of HTTP."
        )

    def _should_upgrade(self):
        """Called by uvicorn: answers in HTTP what asks for another protocol, as HTTP lets a server do.

        uvicorn's own would advise a package for WebSockets in the log.

        Reference:
            RFC 9110, "HTTP Semantics", section 7.8.
        """
        return False

    def _watch_headers(self):
        """Starts the clock where headers are awaited; stops it where they have come."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop_watching()
        elif self._headers_due is None:
            self._headers_due = self.loop.call_later(self._read_timeout, self._headers_late)

    def _stop_watching(self):
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None

    def _headers_late(self):
        self._refuse(
            408,
            f"A request's headers must arrive within {self._read_timeout:g} s. Received: less than that. "
            "Send them faster, or raise --read-timeout.",
        )

    def _refuse(self, status, message):
        # While an answer is under way no other can be sent.
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self.transport.is_closing():
            body = orjson.dumps({"error": message})
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            events = (
                h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status]),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            for event in events:
                self.transport.write(self.conn.send(event))
        self.transport.close()
