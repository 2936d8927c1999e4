"""The server's settings."""

import dataclasses

from semenet.errors import SemenetError


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Address and limits of the server.

    Attributes:
        host: Address to listen at. The default is this machine only: the server has no users and no
            encryption.
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

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise SemenetError(
                f"A port must be from 0 to 65535. Received: {self.port}. Give 0 for a free one."
            )
        for name, value in dataclasses.asdict(self).items():
            may_be_zero = name in ("port", "batch_timeout_ms", "drain")
            if name != "host" and not (value >= 0 if may_be_zero else value > 0):
                rule = "0 or more" if may_be_zero else "more than 0"
                raise SemenetError(f"{name} must be {rule}. Received: {value}. Leave it out for the default.")
        if self.max_batch > self.max_queue:
            raise SemenetError(
                "The queue must hold at least one batch. Received: "
                f"max_queue {self.max_queue} with max_batch {self.max_batch}. Raise max_queue."
            )
