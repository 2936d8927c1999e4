"""Notices training steps in which moments are exchanged and nothing mixes the labels."""

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras

from semenet.models.layers.zoo_model import ZooModel

# Whether a thread is within a training step that is known to mix labels. A thread, because TensorFlow's
# mirrored replicas run in one each.
_thread = threading.local()


class MoExWarning(UserWarning):
    """Moments are exchanged in training, and nothing mixes the labels."""


@contextlib.contextmanager
def mixing_step() -> Iterator[None]:
    """Marks a training step whose loss mixes the labels."""
    outer = getattr(_thread, "mixes", False)
    _thread.mixes = True
    try:
        yield
    finally:
        _thread.mixes = outer


class MixingWatch:
    """Warns once if a layer exchanges moments and its `mix` is not read for the loss.

    It knows in three ways: the outermost model does not say that it mixes labels (`mixes_labels`); TensorFlow
    computes a gradient, which follows the loss; or there is another exchange.

    Args:
        name: the name of the layer.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._unread = threading.local()
        self._has_warned = False

    def read(self) -> None:
        """Notes that the share of the labels was read."""
        self._unread.value = False

    def exchange(self, inputs: keras.KerasTensor, entry: keras.layers.Layer) -> keras.KerasTensor:
        """Notes an exchange.

        Args:
            inputs: the features.
            entry: the outermost layer or model that is called.

        Returns:
            The inputs, unchanged.
        """
        if getattr(_thread, "mixes", False) or entry.name == self._name:
            return inputs
        if not getattr(entry, "mixes_labels", False):
            self._warn(entry)
            return inputs
        if self._is_unread:
            self._warn(entry)
        self._unread.value = True
        if isinstance(entry, ZooModel) and keras.backend.backend() == "tensorflow":
            return _watched(inputs, lambda: self._warn(entry) if self._is_unread else None)
        return inputs

    @property
    def _is_unread(self) -> bool:
        return getattr(self._unread, "value", False)

    def _warn(self, entry: keras.layers.Layer) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        warnings.warn(
            "MoEx exchanges moments between images in training, so their labels must be mixed in the loss. "
            f"Received: the layer {self._name!r} in {entry.name!r}, where nothing mixes labels. Build a new "
            "head or a nested network as MoExModel(inputs, outputs), take the loss of your own loop from "
            "model.compute_loss(x, y, y_pred, training=True), or build the network with moex_p=0.",
            MoExWarning,
            stacklevel=2,
        )


def _watched(inputs: keras.KerasTensor, when_differentiated: Callable[[], Any]) -> keras.KerasTensor:
    """Returns the inputs unchanged, and calls a function when TensorFlow computes their gradient."""
    import tensorflow as tf

    @tf.custom_gradient
    def watched(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            when_differentiated()
            return upstream

        return tf.identity(x), gradient

    return watched(inputs)
