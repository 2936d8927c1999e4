"""Commands that run side by side, none of which outlives its time or its test."""

import pathlib
import signal
import socket
import subprocess
import time


class ProcessGroup:
    """Starts commands at once; leaving it kills what still runs.

    Args:
        commands: list of argument lists, one a rank.
        environment: dict, the environment of all.
        folder: where each writes `out{rank}.txt` and `err{rank}.txt`.
        seconds: the time in which all of `wait` and `wait_for` must have come to an end.
    """

    def __init__(self, commands, environment, folder, seconds):
        self.commands = commands
        self.environment = environment
        self.folder = pathlib.Path(folder)
        self.seconds = seconds
        self.processes = []

    def __enter__(self):
        self.deadline = time.monotonic() + self.seconds
        for rank, command in enumerate(self.commands):
            with self._path("out", rank).open("wb") as out, self._path("err", rank).open("wb") as err:
                process = subprocess.Popen(command, env=self.environment, stdout=out, stderr=err)
            self.processes.append(process)
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _path(self, stream, rank):
        return self.folder / f"{stream}{rank}.txt"

    def output(self, rank):
        return self._path("out", rank).read_text()

    def errors(self, rank):
        return self._path("err", rank).read_text()

    def wait(self, rank):
        """The exit status of a rank."""
        return self.processes[rank].wait(max(self.deadline - time.monotonic(), 0.01))

    def wait_for(self, rank, text):
        """Waits until a rank has written a text."""
        while text not in self.output(rank):
            assert self.processes[rank].poll() is None, self.errors(rank)
            assert time.monotonic() < self.deadline, f"rank {rank} has not written {text!r}"
            time.sleep(0.05)

    def kill(self, rank):
        self.processes[rank].send_signal(signal.SIGKILL)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
