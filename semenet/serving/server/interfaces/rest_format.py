"""TF Serving's REST format: JSON to the arrays that a signature takes, and its outputs to JSON.

TensorFlow Serving has this conversion in C++ only. orjson reads and writes the JSON.

Reference:
    https://www.tensorflow.org/tfx/serving/api_rest
"""

import binascii
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import tensorflow as tf

from semenet.serving.server.request_checks.json_numbers import check_counts, number_array
from semenet.serving.server.request_checks.json_pieces import free_in_pieces, loads_in_pieces
from semenet.serving.server.request_errors import RequestError, invalid, shortened
from semenet.serving.server.served_model import ServedModel, Signature

_BASE64 = "b64"
_BYTES_SUFFIX = "_bytes"
# How base64 of PNG, JPEG, TIFF and BMP files begins, and a data URL.
_PLAIN_BASE64 = ("iVBORw0KGgo", "/9j/", "SUkqA", "TU0AK", "Qk0", "data:")
# An array beyond this is written entry by entry: orjson holds Python's global lock during one call.
_VALUES_PER_CALL = 1 << 20


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """A request for predictions.

    Attributes:
        signature: the signature to call.
        inputs: dict of names to arrays `(N, ...)` of the signature's types; strings as objects.
        by_row: whether the answer has one object per item, rather than one array per output.
    """

    signature: Signature
    inputs: dict[str, np.ndarray]
    by_row: bool

    @property
    def count(self) -> int:
        """N, the number of items."""
        return len(next(iter(self.inputs.values())))


def read_request(body: bytes | bytearray, model: ServedModel) -> PredictRequest:
    """Reads the JSON body of a predict request.

    Args:
        body: the body.
        model: the model that is served.

    Raises:
        RequestError: 400, the body is not a request that the model can answer.
    """
    check_counts(body)
    try:
        asked = loads_in_pieces(body)
    except ValueError as error:
        raise invalid(
            "The body of a request must be JSON. "
            f'Received: {shortened(bytes(body[:40]))}, {error}. Send {{"instances": [...]}}.'
        ) from error
    try:
        return _request(asked, model)
    finally:
        free_in_pieces(asked)


def _request(asked: Any, model: ServedModel) -> PredictRequest:
    formats = {"instances", "inputs"} & set(asked) if isinstance(asked, dict) else set()
    if len(formats) != 1:
        raise invalid(
            "A request must be a JSON object with one of the keys instances (row format) and inputs (column "
            f'format). Received: {shortened(asked)}. Send {{"instances": [...]}}.'
        )
    name = asked.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"signature_name must be a string. Received: {shortened(name)}. Leave it out for the default."
        )
    signature = model.signature(name)
    by_row = formats == {"instances"}
    columns = (_columns_of_rows if by_row else _columns)(asked[formats.pop()], signature)
    if set(columns) != set(signature.inputs):
        raise invalid(
            f"{signature.name} takes the inputs {sorted(signature.inputs)}. "
            f"Received: {shortened(columns)}. Send exactly these."
        )
    inputs = {name: _array(columns[name], spec, name) for name, spec in signature.inputs.items()}
    counts = {name: len(values) for name, values in inputs.items()}
    if len(set(counts.values())) != 1:
        raise invalid(
            f"Every input must have as many items as the others. Received: {counts}. Send equal numbers."
        )
    return PredictRequest(signature, inputs, by_row)


def write_response(outputs: dict[str, np.ndarray], by_row: bool) -> bytes:
    """Writes the answer to a predict request.

    Args:
        outputs: dict of names to arrays `(N, ...)`; strings as objects, which are bytes.
        by_row: as in `PredictRequest`.

    Returns:
        JSON, in which NaN and infinities are null.

    Raises:
        RequestError: 500, a text output is not UTF-8.
    """
    columns = {name: _json_values(name, array) for name, array in outputs.items()}
    is_single = len(columns) == 1
    if by_row:
        rows = zip(*columns.values(), strict=True)
        written = [_dumps(row[0] if is_single else dict(zip(columns, row, strict=True))) for row in rows]
        return b'{"predictions":[' + b",".join(written) + b"]}"
    written = [(b"" if is_single else _dumps(name) + b":") + _array_json(columns[name]) for name in columns]
    return b'{"outputs":' + (written[0] if is_single else b"{" + b",".join(written) + b"}") + b"}"


def _array_json(values: np.ndarray | list) -> bytes:
    if not isinstance(values, np.ndarray) or values.size <= _VALUES_PER_CALL:
        return _dumps(values)
    return b"[" + b",".join(map(_array_json, values)) + b"]"


def _dumps(values: Any) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)


def _is_base64(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {_BASE64}


def _columns_of_rows(instances: Any, signature: Signature) -> dict[str, list]:
    """Returns the values of each input, from one value or one object per item."""
    if not isinstance(instances, list) or not instances:
        raise invalid(
            f"instances must be a list of one item or more. Received: {shortened(instances)}. Send a list."
        )
    if not isinstance(instances[0], dict) or _is_base64(instances[0]):
        return {_only_input(signature): instances}
    keys = set(instances[0])
    for number, instance in enumerate(instances):
        if not isinstance(instance, dict) or set(instance) != keys:
            raise invalid(
                f"All instances must have the keys of the first, {shortened(instances[0])}. "
                f"Received: instance {number}, {shortened(instance)}. Send equal keys."
            )
    return {name: [instance[name] for instance in instances] for name in sorted(keys)}


def _columns(inputs: Any, signature: Signature) -> dict[str, list]:
    """Returns the values of each input, from one list per input."""
    is_named = isinstance(inputs, dict) and not _is_base64(inputs)
    columns = inputs if is_named else {_only_input(signature): inputs}
    for name, values in columns.items():
        if not isinstance(values, list) or not values:
            raise invalid(
                "Each input must be a list of one item or more. "
                f"Received: {shortened(name)}, {shortened(values)}. Send a list."
            )
    return columns


def _only_input(signature: Signature) -> str:
    if len(signature.inputs) != 1:
        raise invalid(
            f"{signature.name} takes the inputs {sorted(signature.inputs)}, so they must be named. "
            "Received: values without names. Send objects."
        )
    return next(iter(signature.inputs))


def _array(values: list, spec: tf.TensorSpec, name: str) -> np.ndarray:
    array = _strings(values, spec, name) if spec.dtype == tf.string else number_array(values, spec, name)
    if not array.size or not spec.shape.is_compatible_with(array.shape):
        raise invalid(
            f"{name} must have the shape {_shape_text(spec.shape)}, and no axis of 0. Received: shape "
            f"{array.shape}. Send nested lists of equal lengths."
        )
    return array


def _strings(values: list, spec: tf.TensorSpec, name: str) -> np.ndarray:
    if spec.shape.rank != 1:
        raise invalid(
            "A string input must take one string per item. "
            f"Received: {name}, an input of shape {_shape_text(spec.shape)}. Export another signature."
        )
    array = np.empty(len(values), object)
    for number, value in enumerate(values):
        array[number] = _string(value, f"{name}, item {number}")
    return array


def _string(value: Any, description: str) -> bytes:
    if isinstance(value, str):
        if value.startswith(_PLAIN_BASE64):
            raise invalid(
                'The bytes of a file must be sent as {"b64": "..."}. '
                f"Received: {description}, base64 in a plain string, {shortened(value, 30)}. "
                'Send {"b64": "..."} in its place, without "data:".'
            )
        return value.encode()
    if not _is_base64(value) or not isinstance(value[_BASE64], str):
        raise invalid(
            'A string must be a JSON string, or bytes as {"b64": "..."}. '
            f"Received: {description}, {shortened(value)}. Send one of these."
        )
    try:
        return binascii.a2b_base64(value[_BASE64], strict_mode=True)
    except ValueError as error:
        raise invalid(
            "b64 must be standard base64 with padding and without line breaks. Received: "
            f"{description}, {shortened(value[_BASE64], 40)}, {error}. Encode the bytes with `base64 -w0`."
        ) from error


def _shape_text(shape: tf.TensorShape) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _json_values(name: str, array: np.ndarray) -> np.ndarray | list:
    """Returns an array as orjson can write it: numbers unchanged, strings by the output's name."""
    if array.dtype != object:
        return np.ascontiguousarray(array)
    if name.endswith(_BYTES_SUFFIX):
        return _nested(array, lambda value: {_BASE64: binascii.b2a_base64(value, newline=False).decode()})
    try:
        return _nested(array, bytes.decode)
    except UnicodeDecodeError as error:
        raise RequestError(
            500,
            f"A text output must be UTF-8. Received: {name}, {error}. "
            f"Export it under a name that ends in {_BYTES_SUFFIX}.",
        ) from error


def _nested(array: np.ndarray, convert: Callable[[bytes], Any]) -> list:
    """Returns an array's entries, converted, as nested lists."""
    return [_nested(entry, convert) if isinstance(entry, np.ndarray) else convert(entry) for entry in array]
