"""TF Serving's gRPC messages: tensors to the arrays that a signature takes, and its outputs to tensors.

A message of a few bytes can declare a tensor of any size, which `tf.make_ndarray` then fills with its last
value. Sizes are checked before it is called.

Reference:
    https://github.com/tensorflow/serving/blob/master/tensorflow_serving/apis/predict.proto
"""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.predict_pb2 import PredictRequest as PredictMessage
from tensorflow_serving.apis.predict_pb2 import PredictResponse

from semenet.serving.server.interfaces.rest_format import PredictRequest
from semenet.serving.server.request_errors import invalid, shortened
from semenet.serving.server.served_model import ServedModel


def read_message(message: PredictMessage, model: ServedModel, max_bytes: int) -> PredictRequest:
    """Reads a request for predictions.

    Args:
        message: the request.
        model: the model that is served.
        max_bytes: largest size of one input in memory.

    Returns:
        The request, with arrays as JSON would give them.

    Raises:
        RequestError: 400, the model cannot answer the request.
    """
    signature = model.signature(message.model_spec.signature_name)
    if set(message.inputs) != set(signature.inputs):
        raise invalid(
            f"{signature.name} takes the inputs {sorted(signature.inputs)}. "
            f"Received: {shortened(sorted(message.inputs))}. Send exactly these."
        )
    inputs = {
        name: _array(name, message.inputs[name], spec, max_bytes) for name, spec in signature.inputs.items()
    }
    counts = {name: len(values) for name, values in inputs.items()}
    if len(set(counts.values())) != 1:
        raise invalid(
            f"Every input must have as many items as the others. Received: {counts}. Send equal numbers."
        )
    return PredictRequest(signature, inputs, by_row=True)


def write_message(
    outputs: dict[str, np.ndarray], model: ServedModel, signature_name: str, wanted: list[str]
) -> PredictResponse:
    """Writes the answer to a request for predictions.

    Args:
        outputs: dict of names to arrays `(N, ...)`; strings as objects, which are bytes.
        model: the model that is served.
        signature_name: the signature that was called.
        wanted: names of the outputs to send; empty for all.

    Raises:
        RequestError: 400, there is no output of that name.
    """
    unknown = set(wanted) - set(outputs)
    if unknown:
        raise invalid(
            f"output_filter must name outputs of {signature_name}. Received: {shortened(sorted(unknown))}. "
            f"There are: {', '.join(sorted(outputs))}."
        )
    response = PredictResponse()
    response.model_spec.name = model.name
    response.model_spec.signature_name = signature_name
    response.model_spec.version.value = model.version
    for name in wanted or outputs:
        values = outputs[name]
        dtype = tf.string if values.dtype == object else None
        response.outputs[name].CopyFrom(tf.make_tensor_proto(values, dtype=dtype))
    return response


def _array(name: str, tensor: TensorProto, spec: tf.TensorSpec, max_bytes: int) -> np.ndarray:
    if tensor.dtype != spec.dtype.as_datatype_enum:
        raise invalid(
            f"{name} must be of type {spec.dtype.name}. Received: {_type_name(tensor.dtype)}. Send that type."
        )
    shape = tuple(axis.size for axis in tensor.tensor_shape.dim)
    # A negative size is no shape of TensorFlow's.
    if min(shape, default=0) < 1 or not spec.shape.is_compatible_with(shape):
        raise invalid(
            f"{name} must have the shape {spec.shape}, and no axis of 0. Received: shape {shape}. Send a "
            "tensor of that shape."
        )
    count = math.prod(shape)
    size = 1 if spec.dtype == tf.string else spec.dtype.size
    if count * size > max_bytes:
        raise invalid(
            f"An input must have at most {max_bytes} bytes. Received: {name} of shape {shape}. Send "
            "fewer items."
        )
    if spec.dtype == tf.string and len(tensor.string_val) != count:
        raise invalid(
            f"A tensor of strings must hold one string per item. Received: {name}, {count} items with "
            f"{len(tensor.string_val)} strings. Send all."
        )
    try:
        return tf.make_ndarray(tensor)
    except (ValueError, TypeError) as error:
        raise invalid(
            f"A tensor must hold the values of its shape. Received: {name} of shape {shape}: {error}. "
            "Send all."
        ) from error


def _type_name(number: int) -> str:
    try:
        return tf.dtypes.as_dtype(number).name
    except TypeError:
        return f"type number {number}"
