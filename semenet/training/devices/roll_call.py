"""A line between the processes that train together: who is there, what they tell each other, who has gone.

JAX exchanges arrays on its own. It aborts where a process does not turn up, and where one dies it waits for
minutes or dies with a stack trace; hence a line of our own, which the kernel closes at the moment a process
dies, whatever it dies of.
"""

import contextlib
import json
import os
import queue
import socket
import struct
import sys
import threading
import time

from semenet.training.devices.cluster import ClusterError

_LENGTH = struct.Struct("!Q")
# A hello is a few bytes; whoever sends something else is none of ours.
_HELLO_BYTES, _HELLO_SECONDS = 1000, 5
_RETRY_SECONDS = 0.2
# A machine that loses its power closes nothing: after a silence of 15 s the kernel asks, three times in 15 s.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
_SAY, _END, _LOST = b"s", b"e", b"l"


class RollCall:
    """The line of one process: rank 0 has one to each of the others, they have one to it.

    Args:
        place: `Place`, of several processes.
        join_seconds: how long the processes wait for each other.
        on_loss: function of a `ClusterError`, called in another thread when a process has gone without
            saying that it ends; None writes the message and ends this process with status 1, for what waits
            for a dead process's arrays cannot be woken.

    Raises:
        ClusterError: if not all turn up in time, or some were started otherwise.
    """

    def __init__(self, place, join_seconds, on_loss=None):
        self.place = place
        self._on_loss = on_loss or _end_process
        self._lock = threading.Lock()
        self._ended = False
        deadline = time.monotonic() + join_seconds
        self._lines = _await_others(place, deadline) if place.rank == 0 else {0: _join(place, deadline)}
        self._heard = {rank: queue.Queue() for rank in self._lines}
        self._readers = []
        for rank, line in self._lines.items():
            _keep_alive(line)
            thread = threading.Thread(target=self._listen, args=(rank, line), daemon=True)
            self._readers.append(thread)
            thread.start()

    def gather(self, message):
        """Tells every process what each has to say; all have to call it, and wait for the last one.

        Args:
            message: bytes of this process.

        Returns:
            list of bytes, in the order of the ranks.
        """
        if self.place.rank == 0:
            said = [message, *(self._heard[rank].get() for rank in range(1, self.place.processes))]
            for rank in self._lines:
                for part in said:
                    self._send(rank, _SAY, part)
            return said
        self._send(0, _SAY, message)
        return [self._heard[0].get() for _ in range(self.place.processes)]

    def close(self, finished):
        """Ends the line.

        Args:
            finished: whether this process has done its work: it then waits until all have. Otherwise the
                others notice that it has gone.
        """
        if finished:
            if self.place.rank == 0:
                for reader in self._readers:
                    reader.join()
            for rank in self._lines:
                self._send(rank, _END, b"")
            for reader in self._readers:
                reader.join()
        self._ended = True
        for line in self._lines.values():
            with contextlib.suppress(OSError):
                # Wakes the reader, which a mere close would leave waiting and the line open.
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def _listen(self, rank, line):
        """Takes in what a process says until it ends, or has gone."""
        lost = rank
        try:
            while True:
                kind, message = _receive(line)
                if kind == _END:
                    return
                if kind == _LOST:
                    lost = int(message)
                    break
                self._heard[rank].put(message)
        except OSError:
            # The line is broken: the process at its end has gone.
            lost = rank
        if not self._ended:
            self._report(lost)

    def _report(self, lost):
        with contextlib.suppress(OSError):
            for rank in self._lines:
                if rank != lost:
                    self._send(rank, _LOST, str(lost).encode())
        self._on_loss(
            ClusterError(
                f"All {self.place.processes} processes of a training stay to its end. Received: rank {lost} "
                f"has ended, as rank {self.place.rank} noticed. See what rank {lost} wrote last; then start "
                "all of them with the same command: the run goes on from its last checkpoint."
            )
        )

    def _send(self, rank, kind, message):
        with self._lock:
            self._lines[rank].sendall(_LENGTH.pack(len(message)) + kind + message)


def _await_others(place, deadline):
    """Rank 0 waits for all others; returns a dict of rank to connection."""
    host, port = place.coordinator
    lines = {}
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
    with server:
        while len(lines) < place.processes - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                line, _ = server.accept()
            except TimeoutError:
                absent = [rank for rank in range(1, place.processes) if rank not in lines]
                raise ClusterError(
                    f"All {place.processes} processes turn up. Received: nothing from the ranks "
                    f"{', '.join(map(str, absent))}. Start them, and look whether they reach {host}:{port}."
                ) from None
            hello = _read_hello(line)
            if hello is None:
                line.close()
            elif hello.get("processes") != place.processes or hello["rank"] in lines:
                raise ClusterError(
                    f"Each of {place.processes} processes has a rank of its own. Received: rank "
                    f"{hello['rank']} of {hello.get('processes')}, which is there already or counts "
                    "otherwise. Start all processes anew, with the same --processes."
                )
            else:
                lines[hello["rank"]] = line
    return lines


def _read_hello(line):
    """What a process says first: a dict with `rank` and `processes`; None if it is none of ours."""
    line.settimeout(_HELLO_SECONDS)
    try:
        kind, message = _receive(line, _HELLO_BYTES)
        hello = json.loads(message)
        line.settimeout(None)
        return hello if kind == _SAY and isinstance(hello["rank"], int) else None
    except (OSError, ValueError, KeyError, TypeError):
        # A port scanner or a health check: not one of the processes, and no reason to end.
        return None


def _join(place, deadline):
    """Any other rank says hello to rank 0; returns the connection."""
    address = place.coordinator
    while True:
        try:
            line = socket.create_connection(address, timeout=max(deadline - time.monotonic(), 0.01))
            break
        except OSError as error:
            if time.monotonic() + _RETRY_SECONDS > deadline:
                raise ClusterError(
                    f"Rank {place.rank} joins rank 0 at the coordinator. Received: {address[0]}:"
                    f"{address[1]}: {error}. Start rank 0 on that host, and look whether this one reaches it."
                ) from error
            time.sleep(_RETRY_SECONDS)
    line.settimeout(None)
    hello = json.dumps({"rank": place.rank, "processes": place.processes}).encode()
    line.sendall(_LENGTH.pack(len(hello)) + _SAY + hello)
    return line


def _receive(line, limit=None):
    """The kind and the bytes of the next message; OSError if the line has ended."""
    length, kind = _LENGTH.unpack(_read(line, _LENGTH.size))[0], _read(line, 1)
    if limit is not None and length > limit:
        raise ConnectionError(f"a message of {length} bytes, above {limit}")
    return kind, _read(line, length)


def _read(line, count):
    parts, missing = [], count
    while missing:
        part = line.recv(min(missing, 2**20))
        if not part:
            raise ConnectionError("the line has ended")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _keep_alive(line):
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in _KEEP_ALIVE.items():
        # Other systems than Linux lack some of them, and keep their own times.
        if hasattr(socket, name):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _end_process(error):
    """Ends this process with one message, as the command line ends with an error."""
    # Straight to the file: what waits in JAX may hold Python's own streams.
    os.write(sys.__stderr__.fileno(), f"semenet: {error}\n".encode())
    os._exit(1)
