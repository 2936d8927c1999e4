"""`semenet serve` in a process of its own, and a client made of the standard library alone."""

import base64
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time

# So long that only a server that hangs reaches it.
PATIENCE = 120


class RunningServer:
    """A server's process on a free port of loopback.

    Args:
        folder: what it serves.
        *options: its command line.
        log: file that standard error goes to; None for that of the tests.

    Attributes:
        process: `subprocess.Popen`.
        port: int.
        path: str, the path of its model, /v1/models/NAME.
    """

    def __init__(self, folder, *options, log=None):
        command = [sys.executable, "-m", "semenet", "serve", str(folder), "--port", "0", *map(str, options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        self.port, self.path = re.search(r"http://127\.0\.0\.1:(\d+)(/\S+)", line).groups()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def send(self, method, path, body=None, headers=None):
        """Sends one request; returns the status, the headers and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path):
        """The status and the JSON of a GET."""
        status, _, content = self.send("GET", path)
        return status, json.loads(content)

    def predict(self, asked, suffix=":predict"):
        """The status and the JSON of a prediction; `asked` is JSON's, or bytes."""
        body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        status, headers, content = self.send("POST", self.path + suffix, body)
        assert headers["Content-Type"] == "application/json"
        return status, json.loads(content)

    def refusal(self, asked, suffix=":predict"):
        """The status and the message of a request that is refused."""
        status, content = self.predict(asked, suffix)
        assert set(content) == {"error"}, content
        assert "Received: " in content["error"]
        return status, content["error"]

    def connect(self, *sent):
        """A bare connection on which bytes were sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        for part in sent:
            connection.sendall(part)
        return connection

    def head(self, *headers, suffix=":predict"):
        """The head of a POST, as bytes."""
        lines = [f"POST {self.path}{suffix} HTTP/1.1", "Host: localhost", *headers]
        return "\r\n".join([*lines, "", ""]).encode()

    def metric(self, name):
        """The sum of a metric over its labels, or of those of one label set: `name{route="..."}`."""
        _, _, content = self.send("GET", "/metrics")
        lines = [line for line in content.decode().splitlines() if re.match(rf"{re.escape(name)}[ {{]", line)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def memory(self):
        """Resident memory in MiB."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


def wait_until(condition):
    """Waits until a function without arguments gives something true."""
    due = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < due, "it never came"
        time.sleep(0.02)


def received(connection):
    """All that a connection gives until the other side closes it, as status and JSON."""
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    connection.close()
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def encoded(contents):
    """Bytes as JSON has them."""
    return {"b64": base64.b64encode(contents).decode()}
