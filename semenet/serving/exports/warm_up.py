"""Warm-up requests, which a server sends to itself before it serves a model."""

import pathlib

import cv2
import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, text_format
from tensorflow.core.framework import tensor_pb2

from semenet.data.phantom.frontal import draw_radiograph
from semenet.errors import SemenetError

FILE = "tf_serving_warmup_requests"
_SIDE = 256
# So much of tensorflow_serving/apis' prediction_log.proto, predict.proto and model.proto as warm-up needs:
# the package that has them all would come with gRPC. A tensor's message is taken as its bytes.
_DEFINITIONS = """
name: "semenet/warm_up.proto" package: "semenet" syntax: "proto3"
message_type {
  name: "ModelSpec" field { name: "signature_name" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type {
  name: "Input"
  field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "value" number: 2 type: TYPE_BYTES label: LABEL_OPTIONAL }
}
message_type {
  name: "PredictRequest"
  field { name: "model_spec" number: 1 type: TYPE_MESSAGE type_name: "ModelSpec" label: LABEL_OPTIONAL }
  field { name: "inputs" number: 2 type: TYPE_MESSAGE type_name: "Input" label: LABEL_REPEATED }
}
message_type {
  name: "PredictLog"
  field { name: "request" number: 1 type: TYPE_MESSAGE type_name: "PredictRequest" label: LABEL_OPTIONAL }
}
message_type {
  name: "PredictionLog"
  field { name: "predict_log" number: 6 type: TYPE_MESSAGE type_name: "PredictLog" label: LABEL_OPTIONAL }
}
"""


def _prediction_log_class():
    # A pool of its own: whoever has the whole package has messages of these names in the common one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_DEFINITIONS, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("semenet.PredictionLog"))


_PredictionLog = _prediction_log_class()


def write_warm_up(file, signatures):
    """Writes one request for each signature, of a synthetic radiograph.

    The first request to a signature would otherwise wait for what the runtime puts off until then.

    Args:
        file: path of the TFRecord file, `assets.extra/tf_serving_warmup_requests` of a SavedModel.
        signatures: names of signatures that take `image_bytes`, or `pixels` (those named `predict_pixels`).

    Reference:
        TensorFlow Serving, "SavedModel Warmup", https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    grey = draw_radiograph("normal", size=_SIDE).image
    encoded = cv2.imencode(".png", grey)[1].tobytes()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for name in signatures:
            log = _PredictionLog()
            log.predict_log.request.model_spec.signature_name = name
            if name == "predict_pixels":
                key, tensor = "pixels", tf.make_tensor_proto(grey[np.newaxis])
            else:
                key, tensor = "image_bytes", tf.make_tensor_proto([encoded])
            log.predict_log.request.inputs.add(key=key, value=tensor.SerializeToString())
            writer.write(log.SerializeToString())


def read_warm_up(folder):
    """Reads the warm-up requests of a SavedModel.

    Args:
        folder: the SavedModel's folder.

    Returns:
        list of a signature's name ("" for the default) and the dict of its inputs' names to arrays
        `(N, ...)`; empty where the SavedModel has no warm-up requests. Requests of other kinds than
        predictions are left out.

    Raises:
        ValueError: the file is broken.
    """
    file = pathlib.Path(folder) / "assets.extra" / FILE
    if not file.exists():
        return []
    try:
        records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
        logs = [_PredictionLog.FromString(record) for record in records]
        return [
            (
                log.predict_log.request.model_spec.signature_name,
                {entry.key: _array(entry.value) for entry in log.predict_log.request.inputs},
            )
            for log in logs
            if log.HasField("predict_log")
        ]
    except (tf.errors.OpError, message.DecodeError, ValueError, TypeError) as error:
        raise SemenetError(
            "Warm-up requests are a TFRecord file of TensorFlow Serving's PredictionLog messages. "
            f"Received: {file}: {str(error).splitlines()[0]}. Export the model again, or remove the file."
        ) from error


def _array(serialized):
    return tf.make_ndarray(tensor_pb2.TensorProto.FromString(serialized))
