"""Warm-up requests of a SavedModel, which a server answers itself before clients can connect."""

import pathlib
from collections.abc import Iterable

import cv2
import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow_serving.apis import prediction_log_pb2

from semenet.data.phantom.frontal import draw_radiograph
from semenet.errors import SemenetError

FILE = "tf_serving_warmup_requests"
_SIDE = 256


def write_warm_up(file: pathlib.Path | str, signatures: Iterable[str]) -> None:
    """Writes one request per signature, with a synthetic radiograph.

    Without them the first request to a signature takes longer, because TensorFlow optimises a graph when it
    is first called.

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
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = name
            if name == "predict_pixels":
                request.inputs["pixels"].CopyFrom(tf.make_tensor_proto(grey[np.newaxis]))
            else:
                request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([encoded]))
            writer.write(log.SerializeToString())


def read_warm_up(folder: pathlib.Path | str) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Reads the warm-up requests of a SavedModel.

    Args:
        folder: the SavedModel's folder.

    Returns:
        list of a signature's name ("" for the default) and the dict of its input names to arrays
        `(N, ...)`; empty if the SavedModel has no warm-up requests. Requests other than predictions are
        left out.

    Raises:
        SemenetError: the file is broken.
    """
    file = pathlib.Path(folder) / "assets.extra" / FILE
    if not file.exists():
        return []
    try:
        records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
        logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
        return [
            (
                log.predict_log.request.model_spec.signature_name,
                {name: tf.make_ndarray(tensor) for name, tensor in log.predict_log.request.inputs.items()},
            )
            for log in logs
            if log.HasField("predict_log")
        ]
    except (tf.errors.OpError, message.DecodeError, ValueError, TypeError) as error:
        raise SemenetError(
            "Warm-up requests must be a TFRecord file of TensorFlow Serving's PredictionLog messages. "
            f"Received: {file}: {str(error).splitlines()[0]}. Export the model again, or remove the file."
        ) from error
