"""Loads `semenet serve` with requests of many clients, good and bad, and checks every answer.

Usage: python tools/bench/server_load.py SAVED_MODEL IMAGE ... [--clients 16] [--requests 400] [--rounds 3]

Starts the server's own process on loopback. First rounds in turn: the images one after the other by direct
calls of the SavedModel's signature, and the same images through the server, one a request, from all clients.
Then mixed requests: single images, several, heat maps, pixels, images that cannot be decoded, bodies that
are refused, connections that are cut. Every answer is compared with a direct call of the same signature.
Prints the throughput ratio, the latency's percentiles and the server's memory as it went on. Exit status 1
for a wrong or a lost answer.
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
# Of the mixed requests: memory is looked at after each.
PARTS = 5


class Direct:
    """The SavedModel by direct calls, one item each.

    Args:
        folder: as of `semenet serve`.
    """

    def __init__(self, folder):
        # A signature lives as long as its model.
        self._model = tf.saved_model.load(str(find_version(folder)[1]))

    def __call__(self, signature, value):
        """The outputs for one item, as lists and str; bytes as they stand in JSON."""
        function = self._model.signatures[signature]
        (name,) = function.structured_input_signature[1]
        outputs = function(**{name: tf.constant(value)[tf.newaxis]})
        return {key: _plain(key, array.numpy()[0]) for key, array in outputs.items()}


def _plain(key, value):
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if key.endswith("_bytes") else value.decode()
    return [_plain(key, entry) for entry in value] if value.dtype == object else value.tolist()


class Client:
    """One client with a connection that it keeps.

    Args:
        address: str, http://HOST:PORT/v1/models/NAME.
    """

    def __init__(self, address):
        self._host, self._port, self._path = re.fullmatch(r"http://([\d.]+):(\d+)(/.*)", address).groups()
        self._connection = http.client.HTTPConnection(self._host, int(self._port), timeout=600)

    def post(self, body):
        """Sends a predict request; returns the status, what the answer holds, and the seconds."""
        began = time.monotonic()
        self._connection.request("POST", f"{self._path}:predict", body)
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        return answer.status, content, time.monotonic() - began

    def cut(self, body):
        """Sends a request, and half of its body, and closes the connection."""
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
    """Prints what was measured.

    Args:
        folder: As of `semenet serve`.
        images: PNG or JPEG files.
        clients: Connections at once.
        requests: Mixed requests.
        rounds: Rounds of direct calls and of the server, in turn.
        max_batch: As of `semenet serve`.
        batch_threads: As of `semenet serve`.
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


def _compare_throughput(direct, pool, contents, rounds):
    bodies = [_body("serving_default", [encoded(image)]) for image in contents]
    # Both have traced and optimised their graphs before the clock starts.
    direct("serving_default", contents[0])
    _spread(pool, bodies[: len(pool)], Client.post)
    ratios = []
    for _ in range(rounds):
        began = time.monotonic()
        for image in contents:
            direct("serving_default", image)
        alone = len(contents) / (time.monotonic() - began)
        began = time.monotonic()
        answers = _spread(pool, bodies, Client.post)
        served = len(contents) / (time.monotonic() - began)
        assert all(status == 200 for status, _, _ in answers)
        ratios.append(served / alone)
        print(f"direct calls {alone:.2f} images/s, served {served:.2f} images/s, ratio {ratios[-1]:.2f}")
    print(f"throughput, served over direct, median of {rounds}: {statistics.median(ratios):.2f}")


def _send_mixed(direct, pool, contents, requests, pid):
    """Sends mixed requests; returns what was wrong, a list of str."""
    cases = _cases(direct, contents)
    names = list(itertools.islice(itertools.cycle(cases), requests))
    np.random.default_rng(0).shuffle(names)
    memory = [_memory(pid)]

    def send(client, name):
        body, expected = cases[name]
        return client.cut(body) if expected == CUT else client.post(body)

    began = time.monotonic()
    answers = []
    for part in np.array_split(names, PARTS):
        answers += _spread(pool, part, send)
        memory.append(_memory(pid))
    seconds = time.monotonic() - began
    wrong = [
        f"{name}: {found}"
        for name, answer in zip(names, answers, strict=True)
        if (found := _difference(answer, cases[name][1]))
    ]
    latencies = [answer[2] for answer in answers if answer and answer[0] == 200]
    percentiles = np.percentile(latencies, [50, 90, 95, 99])
    print(f"mixed: {requests} requests of {len(pool)} clients in {seconds:.1f} s, {len(wrong)} wrong answers")
    print(
        "latency of those answered 200, s: "
        + ", ".join(f"p{name} {value:.3f}" for name, value in zip((50, 90, 95, 99), percentiles, strict=True))
    )
    told = ", ".join(f"{mebibytes:.0f}" for mebibytes in memory)
    print(f"memory of the server before, and after each of {PARTS} equal parts, MiB: {told}")
    return wrong


def _cases(direct, contents):
    """dict of what is sent to its body, and the predictions or the status expected."""
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


def encoded(image):
    """The bytes of an image as JSON has them."""
    return {"b64": base64.b64encode(image).decode()}


def _body(signature, instances):
    return json.dumps({"signature_name": signature, "instances": instances}).encode()


def _spread(pool, items, send):
    """Calls `send(client, item)` for all items, each client one at a time; returns its results, in order."""
    waiting, answers = iter(list(enumerate(items))), [None] * len(items)

    def work(client):
        # `next` of a list's iterator is one step for Python's threads.
        for number, item in waiting:
            answers[number] = send(client, item)

    with concurrent.futures.ThreadPoolExecutor(len(pool)) as threads:
        for done in [threads.submit(work, client) for client in pool]:
            done.result()
    return answers


def _difference(answer, expected):
    """What is wrong with an answer, or None."""
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


def _memory(pid):
    """Resident memory of a process, in MiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
