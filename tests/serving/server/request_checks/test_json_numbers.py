"""JSON numbers: types are checked before anything is converted, within limits of memory."""

import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from asgi_client import predict, service_of

from semenet.serving.server.request_checks import json_numbers
from semenet.serving.server.request_checks.json_numbers import number_array
from semenet.serving.server.request_errors import RequestError


@pytest.mark.parametrize(
    ("values", "dtype", "shape"),
    [
        ([[1, 2], [3, 4], [5, 255]], tf.uint8, [None, None]),
        ([[1, 2.5], [-3, 4]], tf.float32, [None, 2]),
        ([1 << 63, (1 << 64) - 1], tf.uint64, [None]),
        ([True, False], tf.bool, [None]),
        ([[[]], [[]]], tf.float32, [None, None, None]),
    ],
)
def test_numbers_become_an_array(values, dtype, shape):
    array = number_array(values, tf.TensorSpec(shape, dtype), "x")
    np.testing.assert_array_equal(array, np.array(values, dtype.as_numpy_dtype), strict=True)


def test_blocks_are_joined(monkeypatch):
    monkeypatch.setattr(json_numbers, "_BLOCK", 7)
    values = np.arange(240).reshape(4, 6, 10)
    array = number_array(values.tolist(), tf.TensorSpec([None, 6, 10], tf.uint8), "x")
    np.testing.assert_array_equal(array, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["A" * 400_000, 1, 1], "type text"),
        ([1, None], "type null"),
        ([1, {"b64": ""}], "type object"),
        ([1, True], "type bool"),
        ([1, 2.0], "type float64"),
        ([1, [2]], "a list among the numbers"),
        ([[1], [2]], "a list among the numbers"),
        ([300], "values from 300 to 300"),
        ([-1], "from 0 to 255"),
    ],
)
def test_other_values_are_refused(values, message):
    with pytest.raises(RequestError, match=message) as refused:
        number_array(values, tf.TensorSpec([None], tf.uint8), "x")
    assert refused.value.status == 400
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("value", [1e39, -1e39, 10**40])
def test_numbers_that_float32_cannot_hold_are_refused(value):
    with pytest.raises(RequestError, match="must be float32, from"):
        number_array([1, value], tf.TensorSpec([None], tf.float32), "x")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, [2]], "Received: 1 at depth 1"),
        ([[1], [2, 3]], "lists of 1 and of 2 at depth 1"),
        ([[1], "AB"], "Received: 'AB' at depth 1"),
    ],
)
def test_unequal_lists_are_refused(values, message):
    with pytest.raises(RequestError, match=message):
        number_array(values, tf.TensorSpec([None, None], tf.uint8), "x")


PIXELS = {"pixels": tf.TensorSpec([None, None, None], tf.uint8)}


def model(name, inputs):
    return {"sum": inputs["pixels"].sum(axis=(1, 2), dtype=np.int64)}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"instances": ["' + b"A" * 400_000 + b'"' + b", 1" * 100_000 + b"]}", "depth 3"),
        (b'{"instances": [[["' + b"A" * 400_000 + b'"' + b", 1" * 100_000 + b"]]]}", "type text"),
        (b'{"instances": ' + b"[" * 1000 + b"]" * 1000 + b"}", "list among the numbers"),
        (b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "depth limit"),
        (b'{"instances": [' + b"[]," * 1_000_001 + b"[]]}", "lists, objects and strings"),
        (b'{"instances": [' + b"{}," * 1_000_001 + b"{}]}", "lists, objects and strings"),
        (b'{"instances": [' + b'"",' * 1_000_001 + b'""]}', "lists, objects and strings"),
        (b'{"instances": [[[' + b"1," * 10_000_001 + b"1]]]}", "at most 10,000,000 values"),
        (b'{"instances": [' + b"[[1],[2,3]]," * 1000 + b"[[1]]]}", "equal lengths"),
    ],
    ids=["text", "inner text", "nested", "deep", "lists", "objects", "strings", "numbers", "ragged"],
)
def test_a_bad_request_is_answered_400_in_little_memory(body, message):
    service = service_of(model, PIXELS)
    predict(service, {"instances": [[[1, 2]]]})
    tracemalloc.start()
    try:
        answer = predict(service, body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status == 400
    assert message in answer.content["error"]
    assert len(answer.body) < 500
    assert peak < 40 << 20


def test_good_numbers_are_answered():
    answer = predict(service_of(model, PIXELS), {"instances": [[[1, 2]], [[3, 4]]]})
    assert (answer.status, answer.content) == (200, {"predictions": [3, 7]})
