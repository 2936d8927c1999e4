"""The server's limits: size, time, queue, memory, cut connections and shutdown.

The model waits for a file, so that the results do not depend on the speed of the machine.
"""

import concurrent.futures
import json
import signal
import socket
import struct
import time

import pytest
from gated_model import write_gated_model
from running_server import RunningServer, encoded, received, wait_until

MAX_BYTES = 1 << 20
READ_TIMEOUT = 3
TIMEOUT = 6


class Gate:
    """The file that the model waits for."""

    def __init__(self, path):
        self.path = path

    def open(self):
        self.path.touch()

    def close(self):
        self.path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    return Gate(tmp_path_factory.mktemp("gate") / "open")


@pytest.fixture(scope="module")
def model(tmp_path_factory, gate):
    return write_gated_model(tmp_path_factory.mktemp("gated") / "gated", gate.path)


@pytest.fixture(scope="module")
def running(model):
    limits = {"--max-request-bytes": MAX_BYTES, "--read-timeout": READ_TIMEOUT, "--timeout": TIMEOUT}
    batches = {"--max-batch": 3, "--max-queue": 4, "--batch-timeout-ms": 1, "--batch-threads": 1}
    options = [str(part) for option in (limits | batches).items() for part in option]
    with RunningServer(model, *options) as running:
        yield running


@pytest.fixture
def server(running, gate):
    """The idle server with the gate closed; checks after each test that it still answers."""
    gate.open()
    wait_until(lambda: ask(running, "warm")[0] == 200)
    wait_until(lambda: running.metric("semenet_computing_items") == 0)
    gate.close()
    yield running
    gate.open()
    wait_until(lambda: running.metric("semenet_active_predictions") == 0)
    assert ask(running, "after") == (200, [{"text": "after", "batch": 1}])


@pytest.fixture
def clients():
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        yield clients


def ask(server, *texts):
    status, answer = server.predict({"instances": list(texts)})
    return status, answer.get("predictions", answer.get("error"))


def start_batch(server, clients):
    """Starts a batch that ends when the gate opens; returns the future of its answer."""
    first = clients.submit(ask, server, "first")
    wait_until(lambda: server.metric("semenet_computing_items") == 1)
    return first


def queue_request(server, clients, *texts):
    """Sends a request and waits until it is queued; returns the future of its answer."""
    before = server.metric("semenet_queue_length")
    waiting = clients.submit(ask, server, *texts)
    wait_until(lambda: server.metric("semenet_queue_length") == before + len(texts))
    return waiting


def test_waiting_requests_are_batched_and_each_gets_its_own_answer(server, gate, clients):
    first = start_batch(server, clients)
    waiting = [queue_request(server, clients, text) for text in ("a", "b", "c", "d")]
    gate.open()
    assert first.result() == (200, [{"text": "first", "batch": 1}])
    answers = [future.result() for future in waiting]
    assert answers == [
        (200, [{"text": text, "batch": batch}]) for text, batch in zip("abcd", (3, 3, 3, 1), strict=True)
    ]


def test_a_long_request_is_split_into_batches_and_reassembled(server, gate):
    gate.open()
    sizes = (3, 3, 3, 1)
    assert ask(server, *"abcd") == (
        200,
        [{"text": text, "batch": size} for text, size in zip("abcd", sizes, strict=True)],
    )


def test_a_full_queue_is_answered_503_with_retry_after(server, gate, clients):
    first = start_batch(server, clients)
    waiting = queue_request(server, clients, "a", "b", "c", "d")
    body = json.dumps({"instances": ["e"]})
    status, headers, content = server.send("POST", f"{server.path}:predict", body)
    assert status == 503
    assert headers["Retry-After"] == "1"
    assert "At most 4 items can wait. Received: 1 more, with 4 waiting" in json.loads(content)["error"]
    # Health and metrics are still answered, and no waiting request is lost.
    assert server.get("/healthz")[0] == 200
    gate.open()
    assert first.result()[0] == 200
    assert [row["text"] for row in waiting.result()[1]] == list("abcd")


def test_a_slow_model_is_answered_504_and_waiting_requests_are_not_computed(server, gate, clients):
    before = server.metric("semenet_batch_size_sum")
    first = start_batch(server, clients)
    waiting = queue_request(server, clients, "a", "b")
    for future in (first, waiting):
        status, error = future.result()
        assert status == 504
        assert f"ready within {TIMEOUT} s. Received: " in error
    assert server.metric("semenet_queue_length") == 0
    gate.open()
    assert ask(server, "next") == (200, [{"text": "next", "batch": 1}])
    assert server.metric("semenet_batch_size_sum") - before == 2


def cut(connection):
    """Closes a connection by a reset, as a machine that fails does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("leave", [cut, socket.socket.close], ids=["cut", "closed"])
def test_the_request_of_a_client_that_went_away_is_not_computed(server, gate, clients, leave):
    before = server.metric("semenet_batch_size_sum")
    gone = 'semenet_requests_total{route="/v1/models/{name}:predict",status="499"}'
    before_gone = server.metric(gone)
    first = start_batch(server, clients)
    body = b'{"instances": ["gone"]}'
    connection = server.connect(server.head(f"Content-Length: {len(body)}"), body)
    wait_until(lambda: server.metric("semenet_queue_length") == 1)
    leave(connection)
    wait_until(lambda: server.metric("semenet_queue_length") == 0)
    gate.open()
    assert first.result()[0] == 200
    assert ask(server, "next")[0] == 200
    assert server.metric("semenet_batch_size_sum") - before == 2
    assert server.metric(gone) - before_gone == 1


def test_an_item_that_the_model_refuses_does_not_affect_other_clients(server, gate, clients):
    first = start_batch(server, clients)

    def add(second):
        instance = {"first": [1, 2.5], "second": second}
        return server.predict({"signature_name": "add", "instances": [instance]})

    futures = []
    for number, second in enumerate((4, -1, 5)):
        futures.append(clients.submit(add, second))
        wait_until(lambda number=number: server.metric("semenet_queue_length") == number + 1)
    gate.open()
    assert first.result()[0] == 200
    good, bad, also_good = (future.result() for future in futures)
    assert good == (200, {"predictions": [[5.0, 6.5]]})
    assert also_good == (200, {"predictions": [[6.0, 7.5]]})
    assert bad[0] == 400
    assert "Received: inputs that add failed on (InvalidArgumentError" in bad[1]["error"]


def test_a_single_output_has_no_name_and_several_inputs_are_named(server):
    rows = [{"first": [0, 1], "second": 1}, {"first": [2, 3], "second": 2}]
    sums = [[1.0, 2.0], [4.0, 5.0]]
    assert server.predict({"signature_name": "add", "instances": rows}) == (200, {"predictions": sums})
    columns = {"first": [[0, 1], [2, 3]], "second": [1, 2]}
    assert server.predict({"signature_name": "add", "inputs": columns}) == (200, {"outputs": sums})
    for inputs, message in (
        (columns | {"second": [1]}, "as many items as the others. Received: {'first': 2, 'second': 1}"),
        (columns | {"first": [[0], [2]]}, "shape (any, 2)"),
        (columns | {"second": [1, 1 << 31]}, "int32, from -2147483648"),
        ([1, 2], "so they must be named"),
    ):
        status, error = server.refusal({"signature_name": "add", "inputs": inputs})
        assert status == 400
        assert message in error


def test_bytes_text_and_nan_are_valid_json(server):
    asked = {"signature_name": "encode", "instances": [encoded(b"\xff"), "é", encoded(b"")]}
    status, answer = server.predict(asked)
    assert status == 200
    # A length of 1 makes 1/0.
    assert answer["predictions"] == [
        {"whole_bytes": encoded(b"\xff"), "kind": "größe", "inverse": None},
        {"whole_bytes": encoded("é".encode()), "kind": "größe", "inverse": 1.0},
        {"whole_bytes": encoded(b""), "kind": "größe", "inverse": -1.0},
    ]


def test_a_body_with_a_declared_length_over_the_limit_is_not_read(server):
    """The answer arrives although no byte of the body is sent."""
    with server.connect(server.head(f"Content-Length: {1 << 40}")) as connection:
        status, answer = received(connection)
    assert status == 413
    assert f"at most {MAX_BYTES:,} bytes. Received: a declared length of {1 << 40:,}" in answer["error"]


def test_an_endless_chunked_body_is_cut_off(server):
    before = server.memory()
    connection = server.connect(server.head("Transfer-Encoding: chunked"))
    chunk = b"%x\r\n" % (1 << 16) + b" " * (1 << 16) + b"\r\n"
    sent = 0
    try:
        # Endless unless the server cuts the connection.
        while sent < 64 << 30:
            connection.sendall(chunk)
            sent += len(chunk)
    except OSError:
        pass
    assert MAX_BYTES < sent < 64 << 30
    assert server.memory() - before < 32
    assert server.metric('semenet_requests_total{route="/v1/models/{name}:predict",status="413"}') >= 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["length first", "length last"])
def test_a_body_with_two_declared_lengths_is_refused_and_smuggled_requests_are_not_read(server, order):
    """A proxy that uses the other header would take the rest for another client's request."""
    lengths = ("Content-Length: 4", "Transfer-Encoding: chunked")
    smuggled = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = server.head(*(lengths[number] for number in order))
    with server.connect(head, b"0\r\n\r\n", smuggled) as connection:
        status, answer = received(connection)
    assert status == 400
    assert "one of the headers Content-Length and Transfer-Encoding. Received: both" in answer["error"]
    # A request that needs no body is answered, and its connection is closed.
    head = head.replace(b"POST", b"GET").replace(f"{server.path}:predict".encode(), b"/healthz")
    with server.connect(head, b"0\r\n\r\n", smuggled) as connection:
        assert received(connection) == (200, {"status": "ready"})


def test_a_client_that_sends_too_much_before_reading_still_gets_the_answer(server):
    status, error = server.refusal(b" " * (MAX_BYTES + 1))
    assert status == 413
    assert "Received: " in error
    body = b" " * (3 * MAX_BYTES)
    chunks = (body[start : start + 50_000] for start in range(0, len(body), 50_000))
    status, _, content = server.send("POST", f"{server.path}:predict", chunks)
    assert status == 413
    assert "Received: a longer one" in json.loads(content)["error"]


def test_a_body_of_exactly_the_largest_size_is_accepted(server, gate):
    gate.open()
    body = b'{"instances": ["x"]}'
    assert server.predict(body + b" " * (MAX_BYTES - len(body)))[0] == 200


def test_slow_clients_are_answered_408_and_delay_nobody(server, gate):
    """One client sends half of its headers, one half of its body, one a byte at a time."""
    gate.open()
    head = server.connect(b"POST /v1/models/gated:pre")
    body = server.connect(server.head("Content-Length: 100"), b'{"instances": ')
    dripping = server.connect(server.head("Content-Length: 100"))
    assert ask(server, "meanwhile")[0] == 200
    dripping.settimeout(0.2)
    sent = 0
    while sent < 60:
        try:
            dripping.recv(1, socket.MSG_PEEK)
            break
        except TimeoutError:
            dripping.sendall(b" ")
            sent += 1
    assert sent < 60, "a client that sends one byte at a time is never cut off"
    dripping.settimeout(None)
    for connection, words in (
        (head, "headers must arrive"),
        (body, "body must arrive"),
        (dripping, "body must"),
    ):
        status, answer = received(connection)
        assert status == 408
        assert f"{words}" in answer["error"]
        assert f"within {READ_TIMEOUT} s. Received: " in answer["error"]


def test_bytes_that_are_not_http_are_answered_400_in_json(server):
    for sent in (b"\x16\x03\x01 hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n", server.head("Content-Length: x")):
        status, answer = received(server.connect(sent))
        assert status == 400
        assert "must be HTTP/1.1. Received: " in answer["error"]
    status, answer = received(server.connect(server.head("Transfer-Encoding: chunked"), b"zz\r\n"))
    assert status == 400
    assert "must be HTTP/1.1. Received: " in answer["error"]


def test_bad_requests_do_not_increase_memory(server, clients):
    wrong = b'{"instances": [{"b64": "' + b"A" * (MAX_BYTES - 100) + b'?"}]}'
    many = json.dumps({"signature_name": "add", "instances": [[]] * (MAX_BYTES // 5)}).encode()

    def misbehave(number):
        kind = number % 4
        if kind == 3:
            half = server.connect(server.head(f"Content-Length: {len(wrong)}"), wrong[: len(wrong) // 2])
            cut(half)
            return
        body, expected = ((wrong, 400), (many, 400), (b" " * (MAX_BYTES + 1), 413))[kind]
        assert server.refusal(body)[0] == expected

    list(clients.map(misbehave, range(80)))
    before = server.memory()
    list(clients.map(misbehave, range(240)))
    wait_until(lambda: server.metric("semenet_active_predictions") == 0)
    # About 200 MiB were received.
    assert server.memory() - before < 40


def test_a_stopped_server_finishes_running_requests(model, gate, clients):
    with RunningServer(model, "--batch-threads", 1) as server:
        gate.open()
        assert ask(server, "warm")[0] == 200
        gate.close()
        first = start_batch(server, clients)
        waiting = queue_request(server, clients, "second")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.get("/healthz") == (503, {"status": "shutting down"}))
        assert server.get("/healthz/live")[0] == 200
        status, headers, content = server.send("POST", f"{server.path}:predict", b'{"instances": ["late"]}')
        assert status == 503
        assert headers["Retry-After"] == "1"
        assert "shutting down takes no requests. Received: one" in json.loads(content)["error"]
        # The process does not end while a request is running.
        time.sleep(0.5)
        assert server.process.poll() is None
        gate.open()
        assert first.result() == (200, [{"text": "first", "batch": 1}])
        assert waiting.result() == (200, [{"text": "second", "batch": 1}])
        assert server.process.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        server.connect()
