"""A SavedModel that waits for a file, so that tests decide when a call ends, and returns its batch size."""

import pathlib

import tensorflow as tf


class _Gated(tf.Module):
    def __init__(self, gate: pathlib.Path | str) -> None:
        super().__init__()
        self._gate = str(gate)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def wait(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns as soon as the gate's file exists."""

        def is_closed(step: tf.Tensor) -> tf.Tensor:
            # The pattern depends on the step, since otherwise TensorFlow would search for the file only once.
            pattern = tf.strings.join([self._gate, tf.strings.substr(tf.strings.as_string(step), 0, 0)])
            return tf.equal(tf.size(tf.io.matching_files(pattern)), 0)

        steps = tf.while_loop(is_closed, lambda step: (step + 1,), (tf.constant(0),))
        with tf.control_dependencies(steps):
            count = tf.size(text)
            return {"text": tf.identity(text), "batch": tf.fill([count], count)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def encode(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns outputs of every kind: bytes, text, and numbers that JSON cannot represent."""
        length = tf.cast(tf.strings.length(text), tf.float32)
        return {
            "whole_bytes": text,
            "kind": tf.fill(tf.shape(text), "größe"),
            "inverse": 1.0 / (length - 1.0),
        }

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2], tf.float32, name="first"),
            tf.TensorSpec([None], tf.int32, name="second"),
        ]
    )
    def add(self, first: tf.Tensor, second: tf.Tensor) -> dict[str, tf.Tensor]:
        """Adds two inputs; rejects negative values."""
        with tf.control_dependencies([tf.debugging.assert_non_negative(second, "Below zero.")]):
            return {"sum": first + tf.cast(second, tf.float32)[:, tf.newaxis]}


def write_gated_model(folder: pathlib.Path, gate: pathlib.Path) -> pathlib.Path:
    """Writes the SavedModel and returns its folder; its default signature waits for the file `gate`."""
    model = _Gated(gate)
    signatures = {"serving_default": model.wait, "encode": model.encode, "add": model.add}
    tf.saved_model.save(model, str(folder), signatures)
    return folder
