import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import cv2
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from hand_made_networks import brightness_network
from saved_operations import foreign_operations
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from semenet.cli.main import main
from semenet.data.phantom.frontal import draw_radiograph
from semenet.errors import SemenetError
from semenet.serving.exports.tf_serving import export_for_tf_serving
from semenet.serving.prediction.any_network import predict

CLASSES = ("normal", "bacteria", "virus")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "one.keras"
    return brightness_network(path, CLASSES, [0.0, 0.01, 0.02])


@pytest.fixture(scope="module")
def models(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "models"
    main(["export", str(run), str(folder), "--tf-serving", "chest"])
    return folder


def test_the_folder_has_the_files_that_the_server_needs(models):
    assert (models / "chest" / "1" / "saved_model.pb").is_file()
    config = text_format.Parse(
        (models / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    (served,) = config.model_config_list.config
    assert (served.name, served.base_path, served.model_platform) == ("chest", "/models/chest", "tensorflow")
    lines = [line for line in (models / "batching.config").read_text().splitlines() if line[0] != "#"]
    # Fields of session_bundle_config.proto, each an Int64Value.
    values = dict(re.fullmatch(r"(\w+) \{ value: (\d+) \}", line).groups() for line in lines)
    assert set(values) == {
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
    }
    compose = (models / "compose.yaml").read_text()
    for used in ("models.config", "batching.config", "127.0.0.1:8501"):
        assert used in compose


def test_another_export_is_the_next_version_and_keeps_an_edited_configuration(run, tmp_path):
    export_for_tf_serving(run, tmp_path, "chest")
    (tmp_path / "batching.config").write_text("max_batch_size { value: 4 }\n")
    (tmp_path / "chest" / "7").mkdir()
    assert export_for_tf_serving(run, tmp_path, "chest") == tmp_path / "chest" / "8"
    export_for_tf_serving(run, tmp_path, "another")
    assert (tmp_path / "batching.config").read_text() == "max_batch_size { value: 4 }\n"
    config = text_format.Parse(
        (tmp_path / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    assert [served.name for served in config.model_config_list.config] == ["another", "chest"]
    with pytest.raises(SemenetError, match=r"name has letters.*Received: '\.\./x'"):
        export_for_tf_serving(run, tmp_path, "../x")


def test_the_model_answers_its_warm_up_requests(models):
    saved = models / "chest" / "1"
    file = saved / "assets.extra" / "tf_serving_warmup_requests"
    records = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    requests = [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]
    assert [request.model_spec.signature_name for request in requests] == [
        "serving_default",
        "predict_pixels",
        "explain",
        "embed",
    ]
    model = tf.saved_model.load(str(saved))
    for request in requests:
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        answer = model.signatures[request.model_spec.signature_name](**inputs)
        assert answer["error_code"].numpy().tolist() == [0]


def test_a_plain_server_has_every_operation_of_the_graph(models, tmp_path):
    assert foreign_operations(models / "chest" / "1") == set()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def call_python(values):
        return {"values": tf.numpy_function(lambda array: array, [values], tf.float32)}

    tf.saved_model.save(tf.Module(), str(tmp_path), signatures=call_python.get_concrete_function())
    assert foreign_operations(tmp_path) == {"PyFunc"}


@pytest.mark.slow
def test_saved_model_cli_runs_it(models, run, tmp_path):
    """TensorFlow's tool, on a radiograph and on a file that is not an image."""
    radiograph_file = tmp_path / "chest.png"
    cv2.imwrite(str(radiograph_file), draw_radiograph("virus", size=96, seed=4).image)
    np.savez(tmp_path / "in.npz", image_bytes=np.array([radiograph_file.read_bytes(), b"none"]))
    tool = os.path.join(os.path.dirname(sys.executable), "saved_model_cli")
    command = [tool, "run", "--dir", models / "chest" / "1", "--tag_set", "serve", "--signature_def"]
    command += ["serving_default", "--inputs", f"image_bytes={tmp_path / 'in.npz'}[image_bytes]"]
    command += ["--outdir", tmp_path / "out"]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    expected = predict(run, [radiograph_file], gated=False)[list(CLASSES)].to_numpy()
    found = np.load(tmp_path / "out" / "probabilities.npy")
    np.testing.assert_allclose(found, [expected[0], [0, 0, 0]], atol=1e-5)
    assert np.load(tmp_path / "out" / "error_code.npy").tolist() == [0, 1]


@pytest.mark.skipif(
    "SEMENET_TF_SERVING" not in os.environ,
    reason="SEMENET_TF_SERVING is not set to a tensorflow_model_server",
)
def test_tensorflow_serving_returns_the_results_of_predict(models, run, tmp_path):
    file = tmp_path / "chest.png"
    cv2.imwrite(str(file), draw_radiograph("virus", size=96, seed=4).image)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    base = f"--model_base_path={models / 'chest'}"
    server = subprocess.Popen(
        [os.environ["SEMENET_TF_SERVING"], "--model_name=chest", base, f"--rest_api_port={port}", "--port=0"]
    )
    try:
        address = f"http://127.0.0.1:{port}/v1/models/chest"
        for _ in range(120):
            try:
                urllib.request.urlopen(address, timeout=5).read()
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.5)
        encoded = base64.b64encode(file.read_bytes()).decode()
        body = json.dumps({"instances": [{"image_bytes": {"b64": encoded}}]}).encode()
        answer = json.loads(urllib.request.urlopen(f"{address}:predict", data=body, timeout=60).read())
    finally:
        server.terminate()
        server.wait()
    (row,) = answer["predictions"]
    expected = predict(run, [file], gated=False)[list(CLASSES)].to_numpy()[0]
    np.testing.assert_allclose(row["probabilities"], expected, atol=1e-5)
    assert row["class_names"] == list(CLASSES)
