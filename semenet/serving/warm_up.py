"""Warm-up requests, which TensorFlow Serving sends to itself before it serves a model."""

import cv2
import numpy as np
import tensorflow as tf

from semenet.data.phantom import radiograph

FILE = "tf_serving_warmup_requests"
_SIDE = 256
# Field numbers of tensorflow_serving/apis: prediction_log.proto, predict.proto and model.proto. The messages
# are nested strings of bytes, so that no package with their definitions is needed.
_PREDICT_LOG, _REQUEST = 6, 1
_MODEL_SPEC, _INPUTS = 1, 2
_SIGNATURE_NAME = 3
_KEY, _VALUE = 1, 2


def write_warm_up(file, signatures):
    """Writes one request for each signature, of a synthetic radiograph.

    The first request to a signature would otherwise wait for what the runtime puts off until then.

    Args:
        file: path of the TFRecord file, `assets.extra/tf_serving_warmup_requests` of a SavedModel.
        signatures: names of signatures that take `image_bytes`, or `pixels` (those named `predict_pixels`).

    Reference:
        TensorFlow Serving, "SavedModel Warmup", https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    grey = radiograph("normal", size=_SIDE).image
    encoded = cv2.imencode(".png", grey)[1].tobytes()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for name in signatures:
            if name == "predict_pixels":
                inputs = {"pixels": tf.make_tensor_proto(grey[np.newaxis])}
            else:
                inputs = {"image_bytes": tf.make_tensor_proto([encoded])}
            writer.write(_prediction_log(name, inputs))


def _prediction_log(signature, inputs):
    request = _field(_MODEL_SPEC, _field(_SIGNATURE_NAME, signature.encode()))
    for name, tensor in inputs.items():
        entry = _field(_KEY, name.encode()) + _field(_VALUE, tensor.SerializeToString())
        request += _field(_INPUTS, entry)
    return _field(_PREDICT_LOG, _field(_REQUEST, request))


def _field(number, contents):
    """One length-delimited field of a protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(contents)) + contents


def _varint(value):
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
