"""A TF Serving gRPC client, made of tensorflow-serving-api, against the services in this process."""

import asyncio
import concurrent.futures
import contextlib
import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from gated_model import write_gated_model
from running_server import wait_until
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from semenet.errors import SemenetError
from semenet.serving.server.app import Service
from semenet.serving.server.interfaces.grpc_services import start_grpc
from semenet.serving.server.options import ServerOptions
from semenet.serving.server.served_model import ServedModel

TOKEN = "0123456789abcdef"
MAX_BYTES = 1 << 20


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grpc")
    (folder / "gate").touch()
    return ServedModel(write_gated_model(folder / "gated", folder / "gate"))


@contextlib.contextmanager
def serving(model, token=None, **options):
    """Runs the services in a thread; yields the service and a channel to them."""
    service = Service(model, ServerOptions(max_request_bytes=MAX_BYTES, **options), token)
    started, ended = concurrent.futures.Future(), threading.Event()

    async def run():
        batches = asyncio.create_task(service.batcher.run())
        server, port = await start_grpc(service, "127.0.0.1", 0)
        started.set_result(port)
        while not ended.is_set():
            await asyncio.sleep(0.02)
        await server.stop(grace=1)
        batches.cancel()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{started.result(30)}") as channel:
            yield service, channel
    finally:
        ended.set()
        thread.join(30)


@pytest.fixture(scope="module")
def served(model):
    with serving(model, timeout=20) as (service, channel):
        yield service, channel


@pytest.fixture
def predict(served):
    return prediction_service_pb2_grpc.PredictionServiceStub(served[1]).Predict


def request(signature, name="gated", **inputs):
    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = name, signature
    for key, values in inputs.items():
        message.inputs[key].CopyFrom(tf.make_tensor_proto(values))
    return message


def refusal(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as raised:
        call(*arguments, **options)
    return raised.value.code().name, raised.value.details()


def test_a_client_gets_what_the_model_computes(predict, model):
    values = np.array([[1, 2], [3, 4]], np.float32), np.array([10, 20], np.int32)
    answer = predict(request("add", first=values[0], second=values[1]))
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["sum"]), [[11, 12], [23, 24]])
    spec = answer.model_spec
    assert (spec.name, spec.signature_name, spec.version.value) == ("gated", "add", model.version)


def test_strings_and_numbers_that_json_lacks_arrive_as_they_are(predict):
    answer = predict(request("encode", text=[b"\xff\x00", b"a"]))
    assert tf.make_ndarray(answer.outputs["whole_bytes"]).tolist() == [b"\xff\x00", b"a"]
    assert tf.make_ndarray(answer.outputs["kind"]).tolist() == ["größe".encode()] * 2
    assert tf.make_ndarray(answer.outputs["inverse"]).tolist() == [1.0, np.inf]


def test_the_default_signature_and_a_choice_of_outputs(predict):
    message = request("", text=[b"a"])
    assert set(predict(message).outputs) == {"text", "batch"}
    message.output_filter.append("batch")
    assert set(predict(message).outputs) == {"batch"}
    message.output_filter.append("other")
    assert refusal(predict, message) == (
        "INVALID_ARGUMENT",
        "output_filter must name outputs of serving_default. Received: a list of 1. There are: batch, text.",
    )


def test_calls_of_several_clients_share_a_batch(model):
    with serving(model, batch_timeout_ms=2000, max_batch=2) as (_, channel):
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        calls = [predict.future(request("", text=[text])) for text in (b"a", b"b")]
        batches = [tf.make_ndarray(call.result(timeout=30).outputs["batch"]).tolist() for call in calls]
    assert batches == [[2], [2]]


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (request("other", text=[b"a"]), "INVALID_ARGUMENT", "A signature must be one of the model's"),
        (request("add", first=[[1.0, 2.0]]), "INVALID_ARGUMENT", "takes the inputs ['first', 'second']"),
        (request("", text=[1]), "INVALID_ARGUMENT", "text must be of type string. Received: int32"),
        (request("", text=b"a"), "INVALID_ARGUMENT", "must have the shape"),
        (
            request("add", first=np.zeros((2, 2), np.float32), second=np.zeros(3, np.int32)),
            "INVALID_ARGUMENT",
            "Received: {'first': 2, 'second': 3}",
        ),
        (
            request("add", first=np.zeros((1, 2), np.float32), second=np.array([-1], np.int32)),
            "INVALID_ARGUMENT",
            "Below zero",
        ),
        (request("", name="other", text=[b"a"]), "NOT_FOUND", "Received: 'other'"),
    ],
)
def test_a_wrong_request_is_told(predict, message, code, words):
    found, told = refusal(predict, message)
    assert found == code
    assert words in told


def declared(shape, **values):
    """A tensor that declares a shape and holds other values."""
    message = request("add", first=np.zeros((1, 2), np.float32), second=np.zeros(1, np.int32))
    tensor = message.inputs["second"]
    tensor.Clear()
    tensor.dtype = tf.int32.as_datatype_enum
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    for name, value in values.items():
        field = getattr(tensor, name)
        if isinstance(field, bytes):
            setattr(tensor, name, value)
        else:
            field.extend(value)
    return message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        # A message of some bytes that would become gigabytes.
        (declared([1 << 40], int_val=[7]), "at most 1048576 bytes"),
        (declared([3], tensor_content=b"1234"), "must hold the values of its shape"),
        (declared([-1], int_val=[1]), "no axis of 0"),
        (declared([0]), "no axis of 0"),
        (declared([]), "must have the shape"),
    ],
)
def test_a_tensor_that_contradicts_its_shape_is_refused(predict, message, words):
    code, told = refusal(predict, message)
    assert code == "INVALID_ARGUMENT"
    assert words in told


def test_strings_are_never_repeated_to_fill_a_shape(predict):
    message = request("", text=[b"a"])
    message.inputs["text"].tensor_shape.dim[0].size = 3
    assert "3 items with 1 strings" in refusal(predict, message)[1]


def test_a_version_that_is_not_served(predict):
    message = request("", text=[b"a"])
    message.model_spec.version.value = 7
    assert refusal(predict, message)[0] == "NOT_FOUND"
    message.model_spec.version.value = 1
    predict(message)


def test_a_message_beyond_the_limit_is_refused(predict):
    code, _ = refusal(predict, request("", text=[b"x" * (MAX_BYTES + 1)]))
    assert code == "RESOURCE_EXHAUSTED"


def test_metadata_and_status_are_those_of_the_model(served, model):
    _, channel = served
    asked = get_model_metadata_pb2.GetModelMetadataRequest()
    asked.model_spec.name = "gated"
    asked.metadata_field.append("signature_def")
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    answer = stub.GetModelMetadata(asked)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(found)
    assert set(found.signature_def) == {*model.signatures, "__saved_model_init_op"}
    assert found.signature_def["add"].inputs["second"].dtype == tf.int32.as_datatype_enum
    del asked.metadata_field[:]
    assert refusal(stub.GetModelMetadata, asked)[0] == "INVALID_ARGUMENT"
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "gated"
    (state,) = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status).model_version_status
    assert (state.version, state.state) == (1, get_model_status_pb2.ModelVersionStatus.State.AVAILABLE)


def test_the_token_is_asked_for(model):
    with serving(model, token=TOKEN) as (_, channel):
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        message = request("", text=[b"a"])
        assert refusal(predict, message)[0] == "UNAUTHENTICATED"
        assert refusal(predict, message, metadata=[("authorization", "Bearer no")])[0] == "UNAUTHENTICATED"
        predict(message, metadata=[("authorization", f"Bearer {TOKEN}")])


def test_a_server_that_shuts_down_refuses_and_counts_its_calls(served, predict):
    service, _ = served
    service.accepts = False
    try:
        assert refusal(predict, request("", text=[b"a"]))[0] == "UNAVAILABLE"
    finally:
        service.accepts = True
    # The answer arrives before the call has ended.
    wait_until(lambda: service.active == 0)


def test_a_call_beyond_its_time_ends(model, tmp_path):
    closed = ServedModel(write_gated_model(tmp_path / "closed", tmp_path / "gate"))
    with serving(closed, timeout=0.5) as (_, channel):
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        code, told = refusal(predict, request("", name="closed", text=[b"a"]))
        (tmp_path / "gate").touch()
    assert code == "DEADLINE_EXCEEDED"
    assert "within 0.5 s" in told


def test_a_port_in_use_is_told(model):
    async def start(port):
        server, bound = await start_grpc(Service(model, ServerOptions()), "127.0.0.1", port)
        try:
            if port:
                return bound
            with pytest.raises(SemenetError, match=f"port {bound}. Give another --grpc-port"):
                await start(bound)
        finally:
            await server.stop(0)

    asyncio.run(start(0))
