"""Processes that run at the same time, and end with their test or their time limit."""

import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any


class ProcessGroup:
    """A context manager that starts commands, and kills those that still run at its end.

    Args:
        commands: one list of arguments per rank.
        environment: environment variables of all processes.
        folder: folder for the output of each process, `out{rank}.txt` and `err{rank}.txt`.
        seconds: time limit of all calls of `wait` and `wait_for` together.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[Any]],
        environment: Mapping[str, str],
        folder: pathlib.Path | str,
        seconds: float,
    ) -> None:
        self.commands = commands
        self.environment = environment
        self.folder = pathlib.Path(folder)
        self.seconds = seconds
        self.processes = []

    def __enter__(self) -> "ProcessGroup":
        self.deadline = time.monotonic() + self.seconds
        for rank, command in enumerate(self.commands):
            with self._path("out", rank).open("wb") as out, self._path("err", rank).open("wb") as err:
                process = subprocess.Popen(command, env=self.environment, stdout=out, stderr=err)
            self.processes.append(process)
        return self

    def __exit__(self, *_: Any) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _path(self, stream: str, rank: int) -> pathlib.Path:
        return self.folder / f"{stream}{rank}.txt"

    def output(self, rank: int) -> str:
        return self._path("out", rank).read_text()

    def errors(self, rank: int) -> str:
        return self._path("err", rank).read_text()

    def wait(self, rank: int) -> int:
        """Waits for a rank to end, and returns its exit status."""
        return self.processes[rank].wait(max(self.deadline - time.monotonic(), 0.01))

    def wait_for(self, rank: int, text: str) -> None:
        """Waits until a rank has written a text."""
        while text not in self.output(rank):
            assert self.processes[rank].poll() is None, self.errors(rank)
            assert time.monotonic() < self.deadline, f"rank {rank} has not written {text!r}"
            time.sleep(0.05)

    def kill(self, rank: int) -> None:
        self.processes[rank].send_signal(signal.SIGKILL)


def free_port() -> int:
    """Returns a free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
