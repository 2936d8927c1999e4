"""The server's settings."""

import dataclasses
import pathlib
import re

from semenet.errors import SemenetError

_HOST_NAME = re.compile(r"[\w.-]+")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[\w.-]+)(:\d+)?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Address and limits of the server.

    Attributes:
        host: Address to listen at. The default is this machine only: the server has no encryption, and no
            users but one token.
        port: Port to listen at; 0 for a free one.
        max_batch: Largest number of items in one call of the network.
        batch_timeout_ms: Milliseconds that the first item of a batch waits for others.
        batch_threads: Batches computed at the same time.
        max_queue: Largest number of items that wait for their batch; beyond it, requests are answered 503.
        max_request_bytes: Largest body of a request; beyond it, 413.
        timeout: Seconds from a request's last byte to its answer; beyond them, 504.
        read_timeout: Seconds that a client has for its headers, and again for its body; beyond them, 408.
        drain: Seconds for which the server still accepts requests after SIGTERM, while its health check
            answers 503: as long as a load balancer needs to notice.
        grace: Seconds after SIGTERM and `drain` until the process ends, even if a computation still runs.
        allow_host: Names under which clients reach the server, besides addresses, localhost and `host`.
        allow_origin: Sites whose pages may use the server, such as https://viewer.example.org.
        token_file: Text file of the token that clients must send as "Authorization: Bearer TOKEN". The
            environment variable SEMENET_SERVE_TOKEN may hold it instead.
        grpc_port: Port of TF Serving's gRPC interface; 0 for a free one, None for none.
        page: Answer / with a page on which a person looks at images.

    Raises:
        SemenetError: a value out of range.

    Example:
        >>> from semenet.serving import ServerOptions
        >>> ServerOptions(port=0, max_batch=8).max_queue
        256
    """

    host: str = "127.0.0.1"
    port: int = 8501
    max_batch: int = 16
    batch_timeout_ms: float = 5.0
    batch_threads: int = 2
    max_queue: int = 256
    max_request_bytes: int = 32 << 20
    timeout: float = 60.0
    read_timeout: float = 30.0
    drain: float = 0.0
    grace: float = 90.0
    allow_host: tuple[str, ...] = ()
    allow_origin: tuple[str, ...] = ()
    token_file: pathlib.Path | None = None
    grpc_port: int | None = None
    page: bool = True

    def __post_init__(self) -> None:
        for port in (self.port, self.grpc_port or 0):
            if not 0 <= port < 1 << 16:
                raise SemenetError(
                    f"A port must be from 0 to 65535. Received: {port}. Give 0 for a free one."
                )
        for name, value in dataclasses.asdict(self).items():
            may_be_zero = name in ("port", "grpc_port", "batch_timeout_ms", "drain")
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if is_number and not (value >= 0 if may_be_zero else value > 0):
                rule = "0 or more" if may_be_zero else "more than 0"
                raise SemenetError(f"{name} must be {rule}. Received: {value}. Leave it out for the default.")
        if self.max_batch > self.max_queue:
            raise SemenetError(
                "The queue must hold at least one batch. Received: "
                f"max_queue {self.max_queue} with max_batch {self.max_batch}. Raise max_queue."
            )
        for host in self.allow_host:
            if not _HOST_NAME.fullmatch(host):
                raise SemenetError(
                    "--allow-host takes names without scheme and port. "
                    f"Received: {host!r}. Give a name such as radiology.example.org."
                )
        for origin in self.allow_origin:
            if not _ORIGIN.fullmatch(origin):
                raise SemenetError(
                    "An origin must be a scheme and a host, with a port if it is not the usual one, and "
                    f"without a path. Received: {origin!r}. Give one such as https://viewer.example.org."
                )
