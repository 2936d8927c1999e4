"""The server as a client in another process sees it: TF Serving's REST interface, and how it starts."""

import ast
import asyncio
import concurrent.futures
import gzip
import json
import os
import pathlib
import shutil
import socket
import subprocess
import types

import cv2
import numpy as np
import pytest
import tensorflow as tf
from dicom_reference import written
from hand_made_networks import brightness_network
from running_server import RunningServer, encoded

from semenet.cli.main import main
from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image
from semenet.errors import SemenetError
from semenet.serving.exports.saved_model import export
from semenet.serving.exports.warm_up import write_warm_up
from semenet.serving.server.app import Service, create_app
from semenet.serving.server.connections.address import bind_address, listen
from semenet.serving.server.options import ServerOptions
from semenet.serving.server.served_model import ServedModel
from semenet.serving.server.startup import serve

ROOT = pathlib.Path(__file__).parents[3]
CLASSES = ("normal", "bacteria", "virus")


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    run = brightness_network(folder / "network.keras", CLASSES, (-0.01, 0.002, 0.01))
    return export(run, folder / "saved")


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Path of the server's standard error, which is not a terminal."""
    return tmp_path_factory.mktemp("log") / "log"


@pytest.fixture(scope="module")
def server(saved_model, log, tmp_path_factory):
    """Server of the model `chest`, versions 2 and 10; version 2 cannot be loaded."""
    folder = tmp_path_factory.mktemp("versions") / "chest"
    shutil.copytree(saved_model, folder / "10")
    (folder / "2").mkdir()
    (folder / "2" / "saved_model.pb").write_bytes(b"no model")
    with log.open("w") as file, RunningServer(folder, log=file) as running:
        yield running


@pytest.fixture(scope="module")
def direct(saved_model):
    """Function from a signature's name and its input to the SavedModel's outputs, as JSON has them."""
    model = tf.saved_model.load(str(saved_model))

    def call(name, value):
        (key,) = model.signatures[name].structured_input_signature[1]
        outputs = model.signatures[name](**{key: tf.constant(value)})
        return {
            key: array.numpy().astype(str if array.dtype == tf.string else array.numpy().dtype)
            for key, array in outputs.items()
        }

    return call


@pytest.fixture(scope="module")
def images():
    """PNG and JPEG files of several sizes."""
    random = np.random.default_rng(3)
    greys = [
        np.full((size, size + 9), 20 * number + 7, "uint8") for number, size in enumerate((30, 48, 100, 64))
    ]
    greys.append(random.integers(0, 256, (57, 80), "uint8"))
    return [cv2.imencode(kind, grey)[1].tobytes() for grey in greys for kind in (".png", ".jpg")]


def assert_equal(found, expected):
    """Compares outputs by name: texts and integers exactly, floats with a tolerance."""
    assert set(found) == set(expected)
    for name, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(np.array(found[name], "float32"), values, atol=1e-6)
        else:
            assert np.array(found[name]).tolist() == values.tolist()


def by_column(predictions):
    return {name: [row[name] for row in predictions] for name in predictions[0]}


def test_the_status_equals_tf_serving(server):
    expected = {
        "model_version_status": [
            {"version": "10", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    assert server.path == "/v1/models/chest"
    assert server.get("/v1/models/chest") == (200, expected)
    assert server.get("/v1/models/chest/versions/10") == (200, expected)


def test_the_metadata_equal_tf_serving(server):
    status, metadata = server.get("/v1/models/chest/metadata")
    assert status == 200
    assert server.get("/v1/models/chest/versions/10/metadata") == (200, metadata)
    assert metadata["model_spec"] == {"name": "chest", "signature_name": "", "version": "10"}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "explain", "predict_pixels"} < set(signatures)
    pixels = signatures["predict_pixels"]
    assert pixels["method_name"] == "tensorflow/serving/predict"
    assert pixels["inputs"]["pixels"] == {
        "dtype": "DT_UINT8",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}] * 3, "unknown_rank": False},
        "name": "predict_pixels_pixels:0",
    }
    assert pixels["outputs"]["probabilities"]["dtype"] == "DT_FLOAT"


@pytest.mark.parametrize("signature", ["serving_default", "explain"])
@pytest.mark.parametrize("suffix", [":predict", "/versions/10:predict"])
def test_rows_and_columns_equal_a_direct_call_of_the_signature(server, direct, images, signature, suffix):
    sent = [*images, b"", images[0][:50]]
    expected = direct(signature, sent)
    assert expected["error_code"].tolist() == [0] * len(images) + [1, 1]
    asked = {"signature_name": signature}
    for instances in (
        [encoded(image) for image in sent],
        [{"image_bytes": encoded(image)} for image in sent],
    ):
        status, answer = server.predict(asked | {"instances": instances}, suffix)
        assert status == 200
        assert set(answer) == {"predictions"}
        assert_equal(by_column(answer["predictions"]), expected)
    values = [encoded(image) for image in sent]
    for inputs in (values, {"image_bytes": values}):
        status, answer = server.predict(asked | {"inputs": inputs}, suffix)
        assert status == 200
        assert set(answer) == {"outputs"}
        assert_equal(answer["outputs"], expected)


def test_the_default_signature_needs_no_name(server, direct, images):
    for named in ({}, {"signature_name": ""}, {"unknown to TF Serving too": 1}):
        _, answer = server.predict(named | {"instances": [encoded(images[0])]})
        assert_equal(by_column(answer["predictions"]), direct("serving_default", images[:1]))


def test_pixels_are_accepted_as_numbers(server, direct):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 31), "uint8")
    asked = {"signature_name": "predict_pixels", "instances": pixels.tolist()}
    status, answer = server.predict(asked)
    assert status == 200
    assert_equal(by_column(answer["predictions"]), direct("predict_pixels", pixels))


def test_many_clients_each_get_their_own_answer(server, direct, images):
    """Requests of one item and of several, good and bad, to all signatures at the same time."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 1, 16, 16), "uint8")
    cases = []
    for number in range(160):
        image, other = images[number % len(images)], images[number % 7]
        if number % 4 == 0:
            value = pixels[number // 4]
            cases.append(("predict_pixels", value, value.tolist()))
        else:
            value = [image] if number % 4 == 1 else [b"bad", image, other]
            signature = "explain" if number % 4 == 3 else "serving_default"
            cases.append((signature, value, [encoded(part) for part in value]))
    before = server.metric("semenet_batch_size_sum"), server.metric("semenet_batch_size_count")

    def ask(case):
        return server.predict({"signature_name": case[0], "instances": case[2]})

    with concurrent.futures.ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(ask, cases))
    for (signature, value, _), (status, answer) in zip(cases, answers, strict=True):
        assert status == 200
        assert_equal(by_column(answer["predictions"]), direct(signature, value))
    assert server.metric("semenet_batch_size_sum") - before[0] == sum(len(case[2]) for case in cases)
    assert server.metric("semenet_batch_size_count") - before[1] < len(cases)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (b"", "must be JSON"),
        (b'{"instances": [', "must be JSON"),
        (b"\xff\xfe", "must be JSON"),
        (b'{"instances": [NaN]}', "must be JSON"),
        (b"[" * 100_000, "depth limit"),
        ([], "a list of 0"),
        ({}, "one of the keys instances"),
        ({"instances": ["a"], "inputs": ["a"]}, "one of the keys instances"),
        ({"instances": []}, "one item or more"),
        ({"instances": "a"}, "one item or more. Received: 'a'"),
        ({"instances": [1]}, "item 0, 1"),
        ({"instances": [None]}, "must be a JSON string"),
        ({"instances": [["a"]]}, "must be a JSON string"),
        ({"instances": [{"b64": 1}]}, "must be a JSON string"),
        ({"instances": [{"b64": "a"}]}, "standard base64"),
        ({"instances": [{"b64": "YQ==\n"}]}, "base64 -w0"),
        ({"instances": [{"b64": "Ж"}]}, "standard base64"),
        ({"instances": [{"image": "a"}]}, "takes the inputs ['image_bytes']"),
        ({"instances": [{"image_bytes": "a"}, "a"]}, "instance 1, 'a'"),
        ({"instances": [{"image_bytes": "a"}, {}]}, "instance 1, an object of 0"),
        ({"inputs": {}}, "takes the inputs ['image_bytes']"),
        ({"inputs": {"image_bytes": []}}, "list of one item or more"),
        ({"inputs": {"b64": "YQ=="}}, "must be a list"),
        (
            {"signature_name": "train", "instances": ["a"]},
            "There are: embed, explain, predict_pixels, serving_default",
        ),
        ({"signature_name": ["explain"], "instances": ["a"]}, "must be a string"),
        (
            {"signature_name": "predict_pixels", "instances": [[[256]]]},
            "from 0 to 255. Received: values from 256",
        ),
        ({"signature_name": "predict_pixels", "instances": [[[-1]]]}, "from 0 to 255"),
        ({"signature_name": "predict_pixels", "instances": [[[0.5]]]}, "float64"),
        ({"signature_name": "predict_pixels", "instances": [[["1"]]]}, "lists of uint8"),
        ({"signature_name": "predict_pixels", "instances": [[[True]]]}, "the type bool"),
        ({"signature_name": "predict_pixels", "instances": [[[1], [2, 3]]]}, "equal lengths"),
        ({"signature_name": "predict_pixels", "instances": [[[1]], [[1, 2]]]}, "equal lengths"),
        ({"signature_name": "predict_pixels", "instances": [[1]]}, "depth 3. Received: 1"),
        ({"signature_name": "predict_pixels", "instances": [[[]]]}, "no axis of 0"),
        (
            b'{"signature_name": "predict_pixels", "instances": ' + b"[" * 900 + b"]" * 900 + b"}",
            "list among the numbers",
        ),
        ({"instances": ["a"] * 257}, "at most 256 items. Received: 257"),
    ],
)
def test_a_wrong_request_is_answered_400(server, asked, message):
    status, error = server.refusal(asked)
    assert status == 400
    assert message in error


def test_a_wrong_address_or_method_is_answered_404_or_405_in_json(server):
    instances = {"instances": ["a"]}
    # Python refuses to convert so many digits to a number.
    long = "/versions/" + "1" * 5000
    for suffix in ("x:predict", "/versions/2:predict", "/versions/2:predict_dicom", f"{long}:predict"):
        status, error = server.refusal(instances, suffix)
        assert status == 404
        assert "model served is chest, version 10. Received: 'chest" in error
        assert len(error) < 300
    for path in (
        "/v1/models/other",
        "/v1/models/chest/versions/2",
        f"/v1/models/chest{long}",
        f"/v1/models/chest{long}/metadata",
        "/v1/models/other/metadata",
        "/docs",
    ):
        status, answer = server.get(path)
        assert status == 404
        assert "Received: " in answer["error"]
    status, _, content = server.send("DELETE", server.path)
    assert status == 405
    assert "Received: DELETE" in json.loads(content)["error"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH"])
@pytest.mark.parametrize("suffix", [":predict", ":predict_dicom", "/versions/10:predict"])
def test_a_prediction_by_another_method_than_post_is_answered_405(server, method, suffix):
    status, headers, _ = server.send(method, server.path + suffix)
    assert status == 405
    assert headers["Allow"] == "POST"


@pytest.mark.parametrize("path", ["/healthz", "/healthz/ready", "/healthz/live"])
def test_health_is_answered_without_a_body_too(server, path):
    status, headers, content = server.send("HEAD", path)
    assert (status, content) == (200, b"")
    assert int(headers["Content-Length"]) == len(server.send("GET", path)[2])


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_a_request_for_another_protocol_is_answered_in_http(server, log, protocol):
    before = log.read_text()
    status, _, content = server.send("GET", "/healthz", None, {"Connection": "Upgrade", "Upgrade": protocol})
    assert (status, json.loads(content)) == (200, {"status": "ready"})
    assert log.read_text() == before


def test_the_log_shows_each_step_until_clients_can_connect(server, log):
    steps = [line for line in log.read_text().splitlines() if line.endswith(" ...")]
    assert steps == ["loading ...", "warming up ..."]


def test_a_compressed_body_is_refused(server, images):
    body = json.dumps({"instances": [encoded(images[0])]}).encode()
    for coding in ("gzip", "identity, gzip", "br"):
        for suffix in (":predict", ":predict_dicom"):
            status, headers, content = server.send(
                "POST", server.path + suffix, gzip.compress(body), {"Content-Encoding": coding}
            )
            assert status == 415
            assert headers["Accept-Encoding"] == "identity"
            assert f"Received: Content-Encoding: '{coding}'" in json.loads(content)["error"]
    plain = server.send("POST", f"{server.path}:predict", body, {"Content-Encoding": "Identity"})
    assert plain[0] == 200


def test_a_defect_is_answered_and_counted_500(capsys):
    """The model's status raises an unexpected error."""

    def fail():
        raise RuntimeError("a defect")

    model = types.SimpleNamespace(name="chest", version=1, compute=None, status=fail)
    service = Service(model, ServerOptions())
    scope = {"type": "http", "method": "GET", "path": "/v1/models/chest", "query_string": b"", "headers": []}
    sent = []

    async def send(message):
        sent.append(message)

    async def ask():
        # The server logs the traceback.
        with pytest.raises(RuntimeError, match="a defect"):
            await create_app(service)(scope, None, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 500
    assert "raised RuntimeError." in json.loads(sent[1]["body"])["error"]
    counted = b'semenet_requests_total{route="/v1/models/{name}",status="500"} 1.0'
    assert counted in service.metrics.text()


def test_a_dicom_file_is_read_as_elsewhere_in_semenet(server, direct):
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    contents = written(ramp, PhotometricInterpretation="MONOCHROME1", WindowCenter=900, WindowWidth=600)
    expected = direct("predict_pixels", read_image(contents)[np.newaxis])
    as_body = server.send("POST", f"{server.path}:predict_dicom", contents)
    form = (
        b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.dcm"\r\n\r\n'
        + contents
        + b"\r\n--x--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    in_form = server.send("POST", f"{server.path}/versions/10:predict_dicom", form, headers)
    for status, _, content in (as_body, in_form):
        assert status == 200, content
        (row,) = json.loads(content)["predictions"]
        assert_equal(by_column([row]), expected)


def test_a_bad_dicom_file_is_refused_with_the_error_of_the_reader(server):
    broken = written()[:-5000]
    with pytest.raises(ImageError) as reader:
        read_image(broken, name="the file sent")
    assert server.refusal(broken, ":predict_dicom") == (400, str(reader.value))
    for contents in (b"", b"no DICOM", cv2.imencode(".png", np.zeros((9, 9), "uint8"))[1].tobytes()):
        status, error = server.refusal(contents, ":predict_dicom")
        assert status == 400
        assert "must be a DICOM file" in error


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"no form"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n',
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nb\r\n' * 2 + b"--x--\r\n",
        ),
    ],
)
def test_a_form_must_have_one_file(server, kind, form):
    status, _, content = server.send("POST", f"{server.path}:predict_dicom", form, {"Content-Type": kind})
    assert status == 400
    assert "form-data with one file. Received: " in json.loads(content)["error"]


def test_health_and_metrics(server, images):
    for path in ("/healthz", "/healthz/ready"):
        assert server.get(path) == (200, {"status": "ready"})
    assert server.get("/healthz/live") == (200, {"status": "live"})
    route = 'route="/v1/models/{name}:predict"'
    counted = {
        f'semenet_requests_total{{{route},status="200"}}': 1,
        f'semenet_requests_total{{{route},status="400"}}': 1,
        f"semenet_request_seconds_count{{{route}}}": 2,
        'semenet_bad_items_total{error_code="1"}': 2,
        "semenet_batch_size_count": 1,
        "semenet_batch_size_sum": 3,
        'semenet_batch_size_bucket{le="2.0"}': 0,
        'semenet_batch_size_bucket{le="4.0"}': 1,
    }
    before = {name: server.metric(name) for name in counted}
    server.predict({"instances": ["bad", encoded(images[0]), "bad"]})
    server.refusal(b"")
    assert {name: server.metric(name) - before[name] for name in counted} == counted
    assert server.metric("semenet_queue_length") == 0
    _, headers, content = server.send("GET", "/metrics")
    assert headers["Content-Type"].startswith("text/plain")
    assert b"# TYPE semenet_request_seconds histogram" in content


def test_the_commands_in_the_documentation_work(server, images, tmp_path):
    page = (ROOT / "docs" / "serving.md").read_text()
    blocks = page.split("## The server of semenet")[1].split("### Statuses")[0].split("```")[1::2]
    commands = [block.removeprefix("bash\n") for block in blocks if block.startswith("bash\ncurl")]
    assert len(commands) >= 4
    (tmp_path / "radiograph.png").write_bytes(images[0])
    (tmp_path / "radiograph.dcm").write_bytes(written())
    for command in commands:
        local = command.replace(
            "http://127.0.0.1:8501/v1/models/savedmodel", f"http://127.0.0.1:{server.port}{server.path}"
        )
        local = local.replace("http://127.0.0.1:8501", f"http://127.0.0.1:{server.port}")
        result = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", local], cwd=tmp_path, capture_output=True, text=True
        )
        assert result.returncode == 0, (command, result.stderr)
        assert '"error"' not in result.stdout, (command, result.stdout)
        assert result.stdout


def test_the_server_imports_no_network_of_the_zoo():
    """Follows the imports of semenet at the top of its modules."""
    found, waiting = set(), ["semenet.serving.server.startup", "semenet.serving.server.process"]
    while waiting:
        name = waiting.pop()
        path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
        if name in found or not path.is_file():
            continue
        found.add(name)
        nodes = ast.parse(path.read_text()).body
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and "semenet" in node.module]
        waiting += [f"{node.module}.{alias.name}" for node in imports for alias in node.names]
        waiting += [node.module for node in imports]
    assert {
        "semenet.serving.server.app",
        "semenet.serving.server.batching",
        "semenet.data.images.reading",
    } < found
    assert {name.split(".")[1] for name in found} == {"serving", "data", "storage", "errors"}
    assert not {"semenet.serving.exports.saved_model", "semenet.serving.exports.servables"} & found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Received: {folder}, which is neither"),
        # Another folder, because `semenet export` refuses one that is not empty.
        ([], "`semenet export RUN {folder}_savedmodel`"),
        (["--port", "70000"], "0 to 65535. Received: 70000"),
        (["--max-batch", "0"], "max_batch must be more than 0. Received: 0"),
        (["--batch-timeout-ms", "-1"], "batch_timeout_ms must be 0 or more"),
        (["--max-batch", "9", "--max-queue", "8"], "max_queue 8 with max_batch 9"),
    ],
)
def test_a_server_that_cannot_start_reports_the_reason(options, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_status:
        main(["serve", str(tmp_path), "--port", "0", *options])
    assert exit_status.value.code == 1
    assert message.format(folder=tmp_path) in capsys.readouterr().err


def test_an_invalid_name_or_address_is_refused(saved_model, server, capsys):
    for options, message in (
        (["--name", "a/b"], "Received: 'a/b'"),
        (["--host", "no.such.host.invalid"], "Received: no.such.host.invalid"),
    ):
        with pytest.raises(SystemExit):
            main(["serve", str(saved_model), "--port", "0", *options])
        assert message in capsys.readouterr().err


def test_a_port_in_use_is_reported_before_the_model_is_loaded(saved_model, server, monkeypatch, capsys):
    monkeypatch.setattr(tf.saved_model, "load", lambda path: pytest.fail("it was loaded"))
    with pytest.raises(SystemExit):
        main(["serve", str(saved_model), "--port", str(server.port)])
    received = f"Received: 127.0.0.1, port {server.port} (Address already in use). Give another"
    assert received in capsys.readouterr().err


def test_when_two_servers_start_at_the_same_time_the_second_fails():
    with bind_address("127.0.0.1", 0) as first, bind_address("127.0.0.1", first.getsockname()[1]) as second:
        listen(first)
        with pytest.raises(
            SemenetError, match=r"Received: 127\.0\.0\.1, port \d+ \(Address already in use\)\."
        ):
            listen(second)


def test_clients_cannot_connect_before_the_model_is_warm(saved_model, monkeypatch):
    with bind_address("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    steps = []

    def check_refused(step, done, total):
        steps.append((step, done))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

    def run(model, options, listener, started, token):
        assert listener.getsockname() == ("127.0.0.1", port)
        steps.append("clients can connect")

    monkeypatch.setattr("semenet.serving.server.process.run", run)
    serve(saved_model, ServerOptions(port=port), progress=check_refused)
    assert steps == [
        ("loading", 0),
        ("loading", 1),
        *(("warming up", done) for done in range(5)),
        "clients can connect",
    ]


def test_a_broken_model_is_reported_in_one_message(tmp_path, capsys):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(SystemExit):
        main(["serve", str(tmp_path), "--port", "0"])
    assert f"must be a complete SavedModel. Received: {tmp_path / '1'}" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [0, 0.5])
def test_truncated_variables_are_reported_in_one_message(saved_model, tmp_path, capsys, kept):
    folder = tmp_path / "saved"
    shutil.copytree(saved_model, folder)
    variables = folder / "variables" / "variables.data-00000-of-00001"
    os.truncate(variables, int(kept * variables.stat().st_size))
    with pytest.raises(SystemExit):
        main(["serve", str(folder), "--port", "0"])
    assert f"must be a complete SavedModel. Received: {folder}: " in capsys.readouterr().err


def test_a_model_answers_its_warm_up_requests_before_it_is_served(saved_model, monkeypatch):
    model = ServedModel(saved_model)
    answered, steps = [], []
    compute = model.compute
    monkeypatch.setattr(
        model, "compute", lambda name, inputs: answered.append((name, compute(name, inputs)["error_code"]))
    )
    model.warm_up(lambda *step: steps.append(step))
    assert answered == [("serving_default", [0]), ("predict_pixels", [0]), ("explain", [0]), ("embed", [0])]
    assert steps == [("warming up", done, 4) for done in range(5)]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([b"no message"], "PredictionLog messages. Received: {file}"),
        (["another"], "request 1 of 1: A signature must be one of the model's. Received: 'another'"),
    ],
)
def test_wrong_warm_up_requests_are_refused(records, message, saved_model, tmp_path, capsys):
    folder = tmp_path / "saved"
    shutil.copytree(saved_model, folder)
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    if isinstance(records[0], bytes):
        with tf.io.TFRecordWriter(str(file)) as writer:
            writer.write(records[0])
    else:
        write_warm_up(file, records)
    with pytest.raises(SystemExit):
        main(["serve", str(folder), "--port", "0"])
    assert message.format(file=file) in " ".join(capsys.readouterr().err.split())


def test_a_model_without_warm_up_requests_is_served_too(saved_model, tmp_path):
    folder = tmp_path / "saved"
    shutil.copytree(saved_model, folder)
    (folder / "assets.extra" / "tf_serving_warmup_requests").unlink()
    steps = []
    ServedModel(folder).warm_up(lambda *step: steps.append(step))
    assert steps == [("warming up", 0, 0)]


def test_a_missing_package_is_reported_with_the_command_that_installs_it(monkeypatch, tmp_path, capsys):
    from semenet.serving.server import startup as server

    find_spec = server.importlib.util.find_spec
    monkeypatch.setattr(
        server.importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find_spec(name)
    )
    with pytest.raises(SystemExit):
        main(["serve", str(tmp_path)])
    assert "without uvicorn. Run pip install 'semenet[serve]'" in capsys.readouterr().err
