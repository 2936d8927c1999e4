"""TF Serving's REST format: JSON to the arrays that a signature takes, and its outputs to JSON.

Reference:
    https://www.tensorflow.org/tfx/serving/api_rest
"""

import binascii
import dataclasses

import numpy as np
import orjson
import tensorflow as tf

from semenet.serving.server.request_errors import RequestError, invalid, shown
from semenet.serving.server.served_model import Signature

_BASE64 = "b64"
_BYTES_SUFFIX = "_bytes"


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """What a client asks for.

    Attributes:
        signature: `Signature`.
        inputs: dict of names to arrays `(N, ...)` of the signature's types, strings as objects.
        by_row: bool, whether the answer is one object an item rather than one array an output.
    """

    signature: Signature
    inputs: dict[str, np.ndarray]
    by_row: bool

    @property
    def count(self):
        """int, N: the items."""
        return len(next(iter(self.inputs.values())))


def read_request(body, model):
    """Reads the body of a predict request.

    Args:
        body: bytes, JSON.
        model: `semenet.serving.server.served_model.ServedModel`.

    Returns:
        `PredictRequest`.

    Raises:
        RequestError: 400, with what is wrong.
    """
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(
            "The body of a request must be JSON. "
            f'Received: {shown(bytes(body[:40]))}, {error}. Send {{"instances": [...]}}.'
        ) from error
    keys = {"instances", "inputs"} & set(asked) if isinstance(asked, dict) else set()
    if len(keys) != 1:
        raise invalid(
            "A request is a JSON object with one of the keys instances (row format) and inputs (columns). "
            f'Received: {shown(asked)}. Send {{"instances": [...]}}.'
        )
    name = asked.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"signature_name must be a string. Received: {shown(name)}. Leave it out for the default."
        )
    signature = model.signature(name)
    by_row = keys == {"instances"}
    columns = _of_rows(asked["instances"], signature) if by_row else _of_columns(asked["inputs"], signature)
    if set(columns) != set(signature.inputs):
        raise invalid(
            f"{signature.name} takes the inputs {sorted(signature.inputs)}. "
            f"Received: {shown(columns)}. Send these and no others."
        )
    inputs = {name: _array(columns[name], spec, name) for name, spec in signature.inputs.items()}
    if len({len(values) for values in inputs.values()}) != 1:
        counts = {name: len(values) for name, values in inputs.items()}
        raise invalid(
            f"Every input must have as many items as the others. Received: {counts}. Send equal numbers."
        )
    return PredictRequest(signature, inputs, by_row)


def write_response(outputs, by_row):
    """Writes the answer to a predict request.

    Args:
        outputs: dict of names to arrays `(N, ...)`, strings as objects, which are bytes.
        by_row: bool, as the request was.

    Returns:
        bytes, JSON. Numbers that JSON lacks, NaN and the infinities, are null.

    Raises:
        RequestError: 500, an output that is text by its name is not UTF-8.
    """
    values = {name: _writable(name, array) for name, array in outputs.items()}
    if by_row:
        names, columns = list(values), values.values()
        rows = zip(*columns, strict=True)
        alone = len(names) == 1
        answer = {"predictions": [row[0] if alone else dict(zip(names, row, strict=True)) for row in rows]}
    else:
        answer = {"outputs": next(iter(values.values())) if len(values) == 1 else values}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _is_base64(value):
    return isinstance(value, dict) and set(value) == {_BASE64}


def _of_rows(instances, signature):
    """dict of each input's values, from one value or object an item."""
    if not isinstance(instances, list) or not instances:
        raise invalid(
            f"instances must be a list of one item or more. Received: {shown(instances)}. Send one."
        )
    if not isinstance(instances[0], dict) or _is_base64(instances[0]):
        return {_only_input(signature): instances}
    keys = set(instances[0])
    for number, instance in enumerate(instances):
        if not isinstance(instance, dict) or set(instance) != keys:
            raise invalid(
                f"All instances must have the keys of the first, {sorted(keys)}. "
                f"Received: instance {number}, {shown(instance)}. Send equal keys."
            )
    return {name: [instance[name] for instance in instances] for name in sorted(keys)}


def _of_columns(inputs, signature):
    """dict of each input's values, from one list an input."""
    columns = inputs if isinstance(inputs, dict) and not _is_base64(inputs) else None
    if columns is None:
        columns = {_only_input(signature): inputs}
    for name, values in columns.items():
        if not isinstance(values, list) or not values:
            raise invalid(
                "Each input must be a list of one item or more. "
                f"Received: {shown(name)}, {shown(values)}. Send a list."
            )
    return columns


def _only_input(signature):
    if len(signature.inputs) != 1:
        raise invalid(
            f"{signature.name} takes the inputs {sorted(signature.inputs)}, so they must be named. "
            "Received: values without names. Send objects."
        )
    return next(iter(signature.inputs))


def _array(values, spec, name):
    array = _strings(values, spec, name) if spec.dtype == tf.string else _numbers(values, spec, name)
    if not array.size or not spec.shape.is_compatible_with(array.shape):
        raise invalid(
            f"{name} must have the shape {_words(spec.shape)}, and no axis of 0. Received: shape "
            f"{array.shape}. Send nested lists of equal lengths."
        )
    return array


def _strings(values, spec, name):
    if spec.shape.rank != 1:
        raise invalid(
            f"Strings are served as one an item. Received: {name}, an input of shape {_words(spec.shape)}. "
            "Export a signature that takes one an item."
        )
    array = np.empty(len(values), object)
    for number, value in enumerate(values):
        array[number] = _string(value, f"{name}, item {number}")
    return array


def _string(value, where):
    if isinstance(value, str):
        return value.encode()
    if not _is_base64(value) or not isinstance(value[_BASE64], str):
        raise invalid(
            'A string must be a JSON string, or bytes as {"b64": "..."}. '
            f"Received: {where}, {shown(value)}. Send it so."
        )
    try:
        return binascii.a2b_base64(value[_BASE64], strict_mode=True)
    except ValueError as error:
        raise invalid(
            "b64 must be standard base64 with its padding, without line breaks. Received: "
            f"{where}, {shown(value[_BASE64], 40)}, {error}. Encode the bytes with `base64 -w0`."
        ) from error


def _numbers(values, spec, name):
    dtype = spec.dtype.as_numpy_dtype
    kinds = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}.get(np.dtype(dtype).kind, "")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise invalid(
            f"{name} must be nested lists of equal lengths. Received: {error}. Pad or resize the items, or "
            "send those of one shape together."
        ) from error
    # What is empty has no type yet: its shape is refused.
    if array.size and array.dtype.kind not in kinds:
        raise invalid(
            f"{name} must be nested lists of {spec.dtype.name}. "
            f"Received: values that NumPy takes for {array.dtype}. Send numbers of that type."
        )
    if array.size and np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise invalid(
                f"{name} must be {spec.dtype.name}, from {limits.min} to {limits.max}. "
                f"Received: values from {low} to {high}. Scale them."
            )
    return array.astype(dtype)


def _words(shape):
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _writable(name, array):
    """What orjson writes of an array: its numbers as they are, its strings by the output's name."""
    if array.dtype != object:
        return np.ascontiguousarray(array)
    if name.endswith(_BYTES_SUFFIX):
        return _nested(array, lambda value: {_BASE64: binascii.b2a_base64(value, newline=False).decode()})
    try:
        return _nested(array, bytes.decode)
    except UnicodeDecodeError as error:
        raise RequestError(
            500,
            f"An output of text must be UTF-8. Received: {name}, {error}. "
            f"Export it under a name that ends in {_BYTES_SUFFIX}.",
        ) from error


def _nested(array, write):
    """Lists of an array's entries, each written."""
    return [_nested(entry, write) if isinstance(entry, np.ndarray) else write(entry) for entry in array]
