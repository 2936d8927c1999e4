"""Attacks a server of its own, and prints what was tried, what survived and what it cost.

Usage: python tools/attack/server.py SAVED_MODEL [--requests 1000]

Starts `semenet serve` in its own process. While each attack runs, a good client in another process asks for
/healthz twenty times a second; its longest wait is the stall. After each attack the server must still give
the right answer to a good request. Then slow and cut connections follow, and damaged image files in a mixture
with good requests, over which memory is measured. Prints two Markdown tables. The exit status is 1 if
something is answered wrongly, a stall is longer than 2 s, or the server ends. Runs on Linux.
"""

import concurrent.futures
import contextlib
import http.client
import json
import multiprocessing
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tyro
from hostile_requests import Attack, attacks, good_request, mutated

_PAUSE = 0.05
_LONGEST_STALL = 2.0
_LONGEST_WAIT = 120.0
_IDLE_CONNECTIONS = 800
_TOLERANCE = 1e-4


class Target:
    """The server under attack.

    Args:
        folder: as for `semenet serve`.
        *options: options of `semenet serve`.

    Attributes:
        waits: list of the seconds that each answer to the good client took.
    """

    def __init__(self, folder: pathlib.Path, *options: str) -> None:
        command = [
            sys.executable,
            "-m",
            "semenet",
            "serve",
            str(folder),
            "--name",
            "m",
            "--port",
            "0",
            *options,
        ]
        self.waits: list[float] = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)", self.process.stdout.readline())[1])

    def send(
        self, body: bytes, suffix: str = ":predict", headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Sends a request; returns the status and the JSON of its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        with contextlib.closing(connection):
            # A server may answer before it has read all.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request("POST", f"/v1/models/m{suffix}", body, headers or {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def memory(self, field: str) -> float:
        """Returns the resident memory in MiB, now (VmRSS) or at its peak (VmHWM)."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024

    def forget_peak(self) -> None:
        """Sets the peak of the memory to the memory now."""
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def connect(self, sent: bytes = b"") -> socket.socket:
        """Opens a connection and sends bytes."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(sent)
        return connection


def ask_for_health(port: int, found: Any, ends: Any) -> None:
    """Asks for /healthz on a new connection each time, and sends how long each answer took."""
    waits = []
    while not ends.is_set():
        start = time.monotonic()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LONGEST_WAIT)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            connection.close()
        except OSError:
            waits.append(_LONGEST_WAIT)
        waits.append(time.monotonic() - start)
        if len(waits) == 1:
            found.send("started")
        time.sleep(_PAUSE)
    found.send(waits)


@contextlib.contextmanager
def watched(target: Target) -> Iterator[dict[str, float]]:
    """Measures a block: its seconds, the longest stall of a good client, and memory above that before it."""
    context = multiprocessing.get_context("spawn")
    ends, (receiver, sender) = context.Event(), context.Pipe(duplex=False)
    good = context.Process(target=ask_for_health, args=(target.port, sender, ends))
    good.start()
    receiver.recv()
    target.forget_peak()
    before, start = target.memory("VmRSS"), time.monotonic()
    found: dict[str, float] = {}
    yield found
    found["seconds"] = time.monotonic() - start
    time.sleep(2 * _PAUSE)
    ends.set()
    waits = receiver.recv()
    good.join()
    target.waits += waits
    found["stall"] = max(waits)
    found["memory"] = target.memory("VmHWM") - before


def main(folder: tyro.conf.Positional[pathlib.Path], requests: int = 1000, only: str = "") -> None:
    """Attacks the server of a SavedModel.

    Args:
        folder: As for `semenet serve`.
        requests: Number of requests with damaged files, half as many good ones among them.
        only: Run only attacks whose names contain this.
    """
    image = _radiograph()
    target = Target(folder)
    wrong = []
    try:
        good = good_request(image)
        expected = target.send(good)
        assert expected[0] == 200, expected
        print("| attack | answer | seconds | longest wait for /healthz, s | memory during it, MiB |")
        print("| --- | --- | --- | --- | --- |")
        for attack in attacks(image):
            if only in attack.name:
                wrong += _try(target, attack, good, expected)
        if not only:
            wrong += _hold_connections(target, good, expected)
            wrong += _send_damaged(target, image, requests, good, expected)
        print(
            f"| seconds of {len(target.waits):,} requests for /healthz: median, 95th percentile, longest | "
            f"{_times(target.waits)} |"
        )
        target.process.send_signal(signal.SIGTERM)
        if target.process.wait(120):
            wrong.append(f"the server ended with {target.process.returncode}")
    finally:
        if target.process.poll() is None:
            target.process.kill()
            target.process.wait()
    if wrong:
        raise SystemExit("\n".join(wrong))


def _radiograph() -> np.ndarray:
    """Returns a bright oval with two dark ones, with noise."""
    rows, columns = np.mgrid[-1:1:512j, -1:1:512j]
    image = 40 + 150 * (rows**2 + columns**2 < 0.9)
    for side in (-0.4, 0.4):
        image = np.where((columns - side) ** 2 / 0.08 + rows**2 / 0.35 < 1, 60, image)
    noise = np.random.default_rng(0).normal(0, 8, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _try(target: Target, attack: Attack, good: bytes, expected: tuple[int, Any]) -> list[str]:
    body = attack.body()
    with watched(target) as found, concurrent.futures.ThreadPoolExecutor(attack.clients) as clients:
        sent = [
            clients.submit(target.send, body, attack.suffix, attack.headers) for _ in range(attack.clients)
        ]
        answers = [future.result() for future in sent]
    statuses = sorted({status for status, _ in answers})
    shown = ", ".join(map(str, statuses))
    print(_row(f"{attack.name} ({len(body) / 1e6:.1f} MB)", shown, found), flush=True)
    wrong = [
        f"{attack.name}: {status} {str(answer)[:200]}"
        for status, answer in answers
        if status not in attack.statuses or not attack.check(answer)
    ]
    return wrong + _still_good(target, attack.name, found, good, expected)


def _hold_connections(target: Target, good: bytes, expected: tuple[int, Any]) -> list[str]:
    """Connections that send nothing, half of their headers, half of a body, or are cut."""
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    wrong = []
    with contextlib.ExitStack() as stack:
        with watched(target) as found:
            for sent in (b"", head[:40], head, head + good[:50]):
                for _ in range(_IDLE_CONNECTIONS // 4):
                    stack.enter_context(target.connect(sent))
            time.sleep(2)
        name = f"{_IDLE_CONNECTIONS} connections that send nothing, half of their headers, or half of a body"
        print(_row(name, "none in 2 s", found), flush=True)
        wrong += _still_good(target, name, found, good, expected)
    with watched(target) as found:
        for _ in range(200):
            target.connect(head + good[:50]).close()
        time.sleep(1)
    name = "200 connections that are cut"
    print(_row(name, "none", found), flush=True)
    return wrong + _still_good(target, name, found, good, expected)


def _send_damaged(
    target: Target, image: np.ndarray, requests: int, good: bytes, expected: tuple[int, Any]
) -> list[str]:
    """Damaged files from eight clients, while a ninth sends good requests."""
    bodies = mutated(image, requests)
    seconds, wrong, ends = [], [], threading.Event()

    def send_good() -> None:
        while not ends.is_set():
            start = time.monotonic()
            if not _agrees(target.send(good), expected):
                wrong.append("a good request among damaged files got another answer")
            seconds.append(time.monotonic() - start)

    with watched(target) as found, concurrent.futures.ThreadPoolExecutor(9) as clients:
        before = target.memory("VmRSS")
        ninth = clients.submit(send_good)
        answers = list(clients.map(target.send, bodies))
        ends.set()
        ninth.result()
    grown = target.memory("VmRSS") - before
    wrong += [f"a damaged file: {status} {answer}" for status, answer in answers if status != 200]
    refused = sum(answer["predictions"][0]["error_code"] != 0 for status, answer in answers if status == 200)
    print(_row(f"{requests} damaged files from 8 clients", "200", found), flush=True)
    per_second = (requests + len(seconds)) / found["seconds"]
    print("\n| damaged files among good requests | |\n| --- | --- |")
    print(f"| with an error_code | {refused} of {requests} |")
    print(f"| requests per second, of 9 clients | {per_second:.0f} |")
    print(f"| seconds of a good request: median, 95th percentile, longest | {_times(seconds)} |")
    print(f"| memory kept per 1,000 requests | {1000 * grown / (requests + len(seconds)):.0f} MiB |")
    return wrong + _still_good(target, "damaged files", found, good, expected)


def _agrees(answer: Any, expected: Any) -> bool:
    """Returns whether answers are equal; probabilities of different batches differ in their last digits."""
    if isinstance(expected, (list, tuple)):
        same_length = isinstance(answer, type(expected)) and len(answer) == len(expected)
        return same_length and all(map(_agrees, answer, expected))
    if isinstance(expected, dict):
        is_same = isinstance(answer, dict) and answer.keys() == expected.keys()
        return is_same and all(_agrees(answer[key], value) for key, value in expected.items())
    if isinstance(expected, float):
        return isinstance(answer, float) and abs(answer - expected) < _TOLERANCE
    return answer == expected


def _times(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f}, {np.percentile(seconds, 95):.2f}, {max(seconds):.2f}"


def _row(name: str, answer: str, found: dict[str, float]) -> str:
    return f"| {name} | {answer} | {found['seconds']:.1f} | {found['stall']:.2f} | {found['memory']:.0f} |"


def _still_good(
    target: Target, name: str, found: dict[str, float], good: bytes, expected: tuple[int, Any]
) -> list[str]:
    wrong = []
    if not _agrees(target.send(good), expected):
        wrong.append(f"{name}: afterwards a good request got another answer")
    if found["stall"] > _LONGEST_STALL:
        wrong.append(f"{name}: a good client waited for {found['stall']:.1f} s")
    return wrong


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
