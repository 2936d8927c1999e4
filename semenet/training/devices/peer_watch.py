"""Waits until all processes of a training have started, and ends them when one of them dies.

JAX exchanges all data between the processes, and its coordination service has timeouts and heartbeats. They
do not cover two cases (JAX 0.10). Where a process does not start, `jax.distributed.initialize` aborts the
others with a C++ stack trace that does not name the missing rank. Where a process dies, the others are
aborted likewise, after the heartbeat timeout and without advice on how to resume. Therefore each process
keeps a connection to rank 0, which the operating system closes as soon as the process ends for any reason.
"""

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

from semenet.training.devices.cluster import ClusterError, ProcessPlace

# A magic number, the rank, and the number of processes: anything else is not one of our processes.
_HELLO, _MAGIC = struct.Struct("!8sII"), b"semenet1"
_HELLO_SECONDS, _RETRY_SECONDS = 5, 0.2
# Rank 0's reply once all are there: the port of JAX's coordination service.
_PORT = struct.Struct("!I")
_NOTICE, _FINISHED, _LOST = struct.Struct("!cI"), b"f", b"l"
# A machine that loses power closes nothing: after 15 s of silence the kernel asks three times within 15 s.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}


class PeerWatch:
    """Connects the processes of a training, and notices when one of them ends too early.

    Args:
        place: the place of this process, one of several.
        join_seconds: how long the processes wait for each other.
        jax_port: rank 0's free port for JAX, which the others receive.
        on_loss: called in another thread with a `ClusterError` when a process has ended without `close`; None
            prints the message and ends this process with status 1, because a process that waits for the
            arrays of a dead one cannot be woken.

    Attributes:
        jax_port: the port that rank 0 chose.

    Raises:
        ClusterError: not all processes have started in time, or some were started with other options.
    """

    def __init__(
        self,
        place: ProcessPlace,
        join_seconds: float,
        jax_port: int = 0,
        on_loss: Callable[[ClusterError], None] | None = None,
    ) -> None:
        self._place = place
        self._on_loss = on_loss or _end_process
        self._closed = False
        deadline = time.monotonic() + join_seconds
        if place.rank == 0:
            self._lines = _accept_all(place, deadline)
            for line in self._lines.values():
                line.sendall(_PORT.pack(jax_port))
            self.jax_port = jax_port
        else:
            self._lines, self.jax_port = _join(place, deadline)
        for rank, line in self._lines.items():
            _keep_alive(line)
            threading.Thread(target=self._listen, args=(rank, line), daemon=True).start()

    def close(self, finished: bool) -> None:
        """Closes the connections.

        Args:
            finished: whether this process has done its work. If not, the others are told that it has ended.
        """
        self._closed = True
        for line in self._lines.values():
            with contextlib.suppress(OSError):
                if finished:
                    line.sendall(_NOTICE.pack(_FINISHED, self._place.rank))
                # Wakes the listening thread, which `close` alone would leave waiting.
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def _listen(self, rank: int, line: socket.socket) -> None:
        """Waits for the one notice of a process, or for the end of its connection."""
        try:
            kind, lost = _NOTICE.unpack(_read(line, _NOTICE.size))
        except OSError:
            kind, lost = _LOST, rank
        if kind == _LOST and not self._closed:
            self._report(lost)

    def _report(self, lost: int) -> None:
        for rank, line in self._lines.items():
            if rank != lost:
                with contextlib.suppress(OSError):
                    line.sendall(_NOTICE.pack(_LOST, lost))
        self._on_loss(
            ClusterError(
                f"All {self._place.processes} processes must run until the training ends. Received: rank "
                f"{lost} has ended, as rank {self._place.rank} noticed. Read the last output of rank {lost}; "
                "then start all processes again with the same command to resume from the last checkpoint."
            )
        )


def _accept_all(place: ProcessPlace, deadline: float) -> dict[int, socket.socket]:
    """Returns rank 0's connections to all other ranks."""
    host, port = place.coordinator
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    try:
        server = socket.create_server(
            ("", port), family=family, dualstack_ipv6=family == socket.AF_INET6, backlog=place.processes
        )
    except OSError as error:
        raise ClusterError(
            f"Rank 0 waits for the others at the coordinator's port. Received: {host}:{port}: {error}. "
            "Choose another port."
        ) from error
    lines = {}
    with server, contextlib.ExitStack() as stack:
        while len(lines) < place.processes - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                line = stack.enter_context(server.accept()[0])
            except TimeoutError:
                missing = [rank for rank in range(1, place.processes) if rank not in lines]
                raise ClusterError(
                    f"All {place.processes} processes must start. Received: nothing from the ranks "
                    f"{', '.join(map(str, missing))}. Start them, and check that they reach {host}:{port}."
                ) from None
            hello = _read_hello(line)
            if hello is None:
                continue
            rank, processes = hello
            if processes != place.processes or rank in lines or not 0 < rank < processes:
                raise ClusterError(
                    f"Each of {place.processes} processes needs its own rank. Received: rank {rank} of "
                    f"{processes}, which has already joined or has another number of processes. Start all "
                    "processes again with the same --processes."
                )
            lines[rank] = line
        # All have joined: the connections stay open.
        stack.pop_all()
    return lines


def _read_hello(line: socket.socket) -> tuple[int, int] | None:
    """Reads rank and number of processes; None if it is not one of our processes, such as a port scanner."""
    line.settimeout(_HELLO_SECONDS)
    try:
        magic, rank, processes = _HELLO.unpack(_read(line, _HELLO.size))
    except OSError:
        return None
    line.settimeout(None)
    return (rank, processes) if magic == _MAGIC else None


def _join(place: ProcessPlace, deadline: float) -> tuple[dict[int, socket.socket], int]:
    """Returns the connection to rank 0, once all have joined, and the port of JAX."""
    host, port = place.coordinator
    while True:
        try:
            line = socket.create_connection((host, port), timeout=max(deadline - time.monotonic(), 0.01))
            break
        except OSError as error:
            if time.monotonic() + _RETRY_SECONDS > deadline:
                raise ClusterError(
                    f"Rank {place.rank} must reach rank 0 at the coordinator. Received: {host}:{port}: "
                    f"{error}. Start rank 0 on that host, and check that this machine can reach it."
                ) from error
            time.sleep(_RETRY_SECONDS)
    try:
        line.sendall(_HELLO.pack(_MAGIC, place.rank, place.processes))
        line.settimeout(max(deadline - time.monotonic(), 0.01))
        (jax_port,) = _PORT.unpack(_read(line, _PORT.size))
    except OSError as error:
        line.close()
        raise ClusterError(
            f"All {place.processes} processes must start. Received: rank 0 at {host}:{port} did not let rank "
            f"{place.rank} join: {error}. Read what rank 0 wrote, and start all processes again."
        ) from error
    line.settimeout(None)
    return {0: line}, jax_port


def _read(line: socket.socket, count: int) -> bytes:
    """Reads a number of bytes; OSError if the connection ends before."""
    content = b""
    while len(content) < count:
        part = line.recv(count - len(content))
        if not part:
            raise ConnectionError("the connection was closed")
        content += part
    return content


def _keep_alive(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        # Other systems than Linux do not have all of these options, and use their own times.
        if hasattr(socket, name):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _end_process(error: ClusterError) -> None:
    """Ends this process with one message, as the command line does for an error."""
    # Written directly to the file, because a thread that waits in JAX may hold Python's own streams.
    os.write(sys.__stderr__.fileno(), f"semenet: {error}\n".encode())
    os._exit(1)
