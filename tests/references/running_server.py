"""`semenet serve` in a separate process, and a client that uses only the standard library."""

import base64
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

# Seconds that only a server that hangs exceeds.
PATIENCE = 120


class RunningServer:
    """A server's process on a free port of the loopback interface.

    Args:
        folder: the exported model to serve.
        *options: further command-line options.
        log: file for standard error; None for standard error of the tests.

    Attributes:
        process: the process.
        port: its port.
        path: path of its model, /v1/models/NAME.
    """

    def __init__(self, folder: Any, *options: Any, log: TextIO | None = None) -> None:
        command = [sys.executable, "-m", "semenet", "serve", str(folder), "--port", "0", *map(str, options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        self.port, self.path = re.search(r"http://127\.0\.0\.1:(\d+)(/\S+)", line).groups()

    def __enter__(self) -> "RunningServer":
        return self

    def __exit__(self, *error: Any) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, bytes]:
        """Sends one request, and returns the status, the headers and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, Any]:
        """Returns the status and the JSON of a GET request."""
        status, _, content = self.send("GET", path)
        return status, json.loads(content)

    def predict(self, request: Any, suffix: str = ":predict") -> tuple[int, Any]:
        """Returns the status and the JSON of a prediction; `request` is bytes, or is written as JSON."""
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        status, headers, content = self.send("POST", self.path + suffix, body)
        assert headers["Content-Type"] == "application/json"
        return status, json.loads(content)

    def refusal(self, request: Any, suffix: str = ":predict") -> tuple[int, str]:
        """Returns the status and the message of a rejected request."""
        status, content = self.predict(request, suffix)
        assert set(content) == {"error"}, content
        assert "Received: " in content["error"]
        return status, content["error"]

    def connect(self, *sent: bytes) -> socket.socket:
        """Opens a connection and sends bytes."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        for part in sent:
            connection.sendall(part)
        return connection

    def head(self, *headers: str, suffix: str = ":predict") -> bytes:
        """Returns the request line and headers of a POST request."""
        lines = [f"POST {self.path}{suffix} HTTP/1.1", "Host: localhost", *headers]
        return "\r\n".join([*lines, "", ""]).encode()

    def metric(self, name: str) -> float:
        """Returns the sum of a metric over its labels, or its value for given labels: `name{route="..."}`."""
        _, _, content = self.send("GET", "/metrics")
        lines = [line for line in content.decode().splitlines() if re.match(rf"{re.escape(name)}[ {{]", line)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def memory(self) -> float:
        """Returns the resident memory in MiB."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


def wait_until(condition: Callable[[], Any]) -> None:
    """Waits until a function returns a true value."""
    due = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < due, "the condition did not become true in time"
        time.sleep(0.02)


def received(connection: socket.socket) -> tuple[int, Any]:
    """Reads a response until the server closes the connection, and returns its status and JSON."""
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    connection.close()
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def encoded(contents: bytes) -> dict[str, str]:
    """Returns bytes in the form of a JSON request."""
    return {"b64": base64.b64encode(contents).decode()}
