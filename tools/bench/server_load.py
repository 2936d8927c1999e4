"""Sends `semenet serve` valid and invalid requests from many clients, and checks every answer.

Usage: python tools/bench/server_load.py SAVED_MODEL IMAGE ... [--clients 16] [--requests 400] [--rounds 3]

Starts the server in its own process. First, in alternating rounds, the images are computed one after the
other by direct calls of the SavedModel's signature, and then through the server, one per request, from all
clients. Then mixed requests follow: single images, several images, heat maps, pixels, images that cannot be
decoded, bodies that are refused, connections that are cut. Every answer is compared with a direct call of the
same signature. Prints the ratio of throughputs, percentiles of the latency and the server's memory over time.
The exit status is 1 if an answer is wrong or missing.
"""

import base64
import concurrent.futures
import http.client
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tyro

from semenet.serving.server.served_model import find_version

TOLERANCE = 1e-4
REFUSED = {
    "JSON that breaks off": (b'{"instances": [', 400),
    "an unknown signature": (b'{"signature_name": "x", "instances": ["a"]}', 400),
    "no items": (b'{"instances": []}', 400),
    "wrong base64": (b'{"instances": [{"b64": "?"}]}', 400),
    "deep nesting": (b"[" * 50_000, 400),
    "too long": (b" " * (33 << 20), 413),
}
CUT = "cut"
# The mixed requests are sent in parts; memory is measured after each.
PARTS = 5


class Direct:
    """The SavedModel, called directly with one item at a time.

    Args:
        folder: as for `semenet serve`.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        # A signature works only as long as its model exists.
        self._model = tf.saved_model.load(str(find_version(folder)[1]))

    def __call__(self, signature: str, value: bytes | np.ndarray) -> dict[str, Any]:
        """Returns the outputs for one item as JSON has them."""
        function = self._model.signatures[signature]
        (name,) = function.structured_input_signature[1]
        outputs = function(**{name: tf.constant(value)[tf.newaxis]})
        return {key: _json_value(key, array.numpy()[0]) for key, array in outputs.items()}


def _json_value(key: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if key.endswith("_bytes") else value.decode()
    return [_json_value(key, entry) for entry in value] if value.dtype == object else value.tolist()


class Client:
    """A client that keeps its connection.

    Args:
        address: http://HOST:PORT/v1/models/NAME.
    """

    def __init__(self, address: str) -> None:
        self._host, self._port, self._path = re.fullmatch(r"http://([\d.]+):(\d+)(/.*)", address).groups()
        self._connection = http.client.HTTPConnection(self._host, int(self._port), timeout=600)

    def post(self, body: bytes) -> tuple[int, dict, float]:
        """Sends a predict request; returns the status, the JSON of the answer, and the seconds."""
        start = time.monotonic()
        self._connection.request("POST", f"{self._path}:predict", body)
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        return answer.status, content, time.monotonic() - start

    def cut(self, body: bytes) -> None:
        """Sends a request with half of its body, and closes the connection."""
        head = f"POST {self._path}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((self._host, int(self._port))) as connection:
            connection.sendall(head.encode() + body[: len(body) // 2])


def main(
    folder: tyro.conf.Positional[pathlib.Path],
    images: tyro.conf.Positional[list[pathlib.Path]],
    clients: int = 16,
    requests: int = 400,
    rounds: int = 3,
    max_batch: int = 16,
    batch_threads: int = 2,
) -> None:
    """Prints the measurements.

    Args:
        folder: As for `semenet serve`.
        images: PNG or JPEG files.
        clients: Number of connections.
        requests: Number of mixed requests.
        rounds: Alternating rounds of direct calls and of the server.
        max_batch: As for `semenet serve`.
        batch_threads: As for `semenet serve`.
    """
    contents = [path.read_bytes() for path in images]
    command = [sys.executable, "-m", "semenet", "serve", str(folder), "--name", "loaded", "--port", "0"]
    command += ["--max-batch", str(max_batch), "--batch-threads", str(batch_threads), "--timeout", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().split()[-1]
            direct = Direct(folder)
            pool = [Client(address) for _ in range(clients)]
            _compare_throughput(direct, pool, contents, rounds)
            wrong = _send_mixed(direct, pool, contents, requests, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
        status = process.wait()
    print(f"exit status of the server: {status}")
    if wrong or status:
        raise SystemExit("\n".join(wrong[:10]) or 1)


def _compare_throughput(direct: Direct, pool: list[Client], contents: list[bytes], rounds: int) -> None:
    bodies = [_body("serving_default", [encoded(image)]) for image in contents]
    # Both trace and optimise their graphs before the measurement.
    direct("serving_default", contents[0])
    _spread(pool, bodies[: len(pool)], Client.post)
    ratios = []
    for _ in range(rounds):
        start = time.monotonic()
        for image in contents:
            direct("serving_default", image)
        alone = len(contents) / (time.monotonic() - start)
        start = time.monotonic()
        answers = _spread(pool, bodies, Client.post)
        served = len(contents) / (time.monotonic() - start)
        assert all(status == 200 for status, _, _ in answers)
        ratios.append(served / alone)
        print(f"direct calls {alone:.2f} images/s, served {served:.2f} images/s, ratio {ratios[-1]:.2f}")
    print(f"throughput, served over direct, median of {rounds}: {statistics.median(ratios):.2f}")


def _send_mixed(
    direct: Direct, pool: list[Client], contents: list[bytes], requests: int, pid: int
) -> list[str]:
    """Sends mixed requests; returns descriptions of the wrong answers."""
    cases = _cases(direct, contents)
    names = list(itertools.islice(itertools.cycle(cases), requests))
    np.random.default_rng(0).shuffle(names)
    memory = [_memory(pid)]

    def send(client: Client, name: str) -> tuple[int, dict, float] | None:
        body, expected = cases[name]
        return client.cut(body) if expected == CUT else client.post(body)

    start = time.monotonic()
    answers = []
    for part in np.array_split(names, PARTS):
        answers += _spread(pool, part, send)
        memory.append(_memory(pid))
    seconds = time.monotonic() - start
    wrong = [
        f"{name}: {difference}"
        for name, answer in zip(names, answers, strict=True)
        if (difference := _difference(answer, cases[name][1]))
    ]
    latencies = [answer[2] for answer in answers if answer and answer[0] == 200]
    percentiles = np.percentile(latencies, [50, 90, 95, 99])
    print(f"mixed: {requests} requests of {len(pool)} clients in {seconds:.1f} s, {len(wrong)} wrong answers")
    print(
        "latency of requests answered 200, s: "
        + ", ".join(f"p{name} {value:.3f}" for name, value in zip((50, 90, 95, 99), percentiles, strict=True))
    )
    sizes = ", ".join(f"{mebibytes:.0f}" for mebibytes in memory)
    print(f"memory of the server before, and after each of {PARTS} equal parts, MiB: {sizes}")
    return wrong


def _cases(direct: Direct, contents: list[bytes]) -> dict[str, tuple[bytes, list | int | str]]:
    """Returns the body of each kind of request, and the expected predictions or status."""
    cases = {}
    for number, image in enumerate(contents[:8]):
        answer = direct("serving_default", image)
        cases[f"image {number}"] = _body("serving_default", [encoded(image)]), [answer]
        bad = direct("serving_default", image[:100])
        items = [encoded(image[:100]), encoded(image), encoded(b"")]
        cases[f"image {number} among bad ones"] = _body("serving_default", items), [bad, answer, bad]
    cases["heat maps"] = _body("explain", [encoded(contents[0])]), [direct("explain", contents[0])]
    for side in (96, 128):
        pixels = np.random.default_rng(side).integers(0, 256, (side, side), "uint8")
        cases[f"pixels {side}"] = (
            _body("predict_pixels", [pixels.tolist()]),
            [direct("predict_pixels", pixels)],
        )
    cases["cut connection"] = cases["image 0"][0], CUT
    return cases | REFUSED


def encoded(image: bytes) -> dict[str, str]:
    """Returns the bytes of an image as TF Serving's JSON has them."""
    return {"b64": base64.b64encode(image).decode()}


def _body(signature: str, instances: list) -> bytes:
    return json.dumps({"signature_name": signature, "instances": instances}).encode()


def _spread(pool: list[Client], items: Iterable[Any], send: Callable[[Client, Any], Any]) -> list[Any]:
    """Calls `send(client, item)` for all items, one per client at a time; returns the results in order."""
    waiting, answers = iter(list(enumerate(items))), [None] * len(items)

    def work(client: Client) -> None:
        # Threads can share a list's iterator.
        for number, item in waiting:
            answers[number] = send(client, item)

    with concurrent.futures.ThreadPoolExecutor(len(pool)) as threads:
        for future in [threads.submit(work, client) for client in pool]:
            future.result()
    return answers


def _difference(answer: tuple[int, dict, float] | None, expected: list | int | str) -> str | None:
    """Returns the difference of an answer from the expected one, or None."""
    if expected == CUT:
        return None
    status, content, _ = answer
    if isinstance(expected, int):
        return None if status == expected and "error" in content else f"status {status}, not {expected}"
    if status != 200 or len(content["predictions"]) != len(expected):
        return f"status {status}, {str(content)[:200]}"
    for found, wanted in zip(content["predictions"], expected, strict=True):
        if set(found) != set(wanted):
            return f"outputs {sorted(found)}"
        for key, value in wanted.items():
            numeric = not isinstance(value, (str, dict)) and np.asarray(value).dtype.kind == "f"
            equal = np.allclose(found[key], value, atol=TOLERANCE) if numeric else found[key] == value
            if not equal:
                return f"{key} {str(found[key])[:100]}, not {str(value)[:100]}"
    return None


def _memory(pid: int) -> float:
    """Returns the resident memory of a process in MiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
