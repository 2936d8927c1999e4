"""What a person may set of the server."""

import dataclasses

from semenet.errors import SemenetError


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Where the server listens, and its bounds.

    Attributes:
        host: Address to listen at. The default is this machine alone: the server knows no users and no
            encryption.
        port: Port to listen at; 0 for one that is free.
        max_batch: Most items that one call of the network computes.
        batch_timeout_ms: Milliseconds that the first item of a batch waits for others.
        batch_threads: Batches computed at once.
        max_queue: Most items that wait for their batch; beyond, requests are answered 503.
        max_request_bytes: Longest body of a request; beyond, 413.
        timeout: Seconds from a request's last byte to its answer; beyond, 504.
        read_timeout: Seconds that a client has for its headers, and again for its body; beyond, 408.
        drain: Seconds that the server goes on taking requests after SIGTERM, while it says that it is not
            ready: as long as a load balancer needs to notice.

    Raises:
        ValueError: a value that makes no sense.
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

    def __post_init__(self):
        if not 0 <= self.port < 1 << 16:
            raise SemenetError(
                f"A port is a number from 0 to 65535. Received: {self.port}. Give 0 for one that is free."
            )
        for name in (
            "max_batch",
            "batch_threads",
            "max_queue",
            "max_request_bytes",
            "timeout",
            "read_timeout",
        ):
            if not getattr(self, name) > 0:
                raise SemenetError(
                    f"{name} must be more than 0. Received: {getattr(self, name)}. Leave it out."
                )
        for name in ("batch_timeout_ms", "drain"):
            if not getattr(self, name) >= 0:
                raise SemenetError(
                    f"{name} must be 0 or more. Received: {getattr(self, name)}. Leave it out."
                )
        if self.max_batch > self.max_queue:
            raise SemenetError(
                "A queue must hold one batch or more. Received: "
                f"max_queue {self.max_queue} with max_batch {self.max_batch}. Raise max_queue."
            )
