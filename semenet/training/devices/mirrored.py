"""Training on all GPUs of one machine with TensorFlow."""

import contextlib
import functools
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from semenet.training.devices.device import Devices, DistributionError


class MirroredDevices(Devices):
    """All GPUs of this machine, or its logical CPU devices where it has no GPU, with TensorFlow.

    Batch normalisation takes its statistics, and moment exchange its partners, from the whole batch.

    Raises:
        DistributionError: the backend is not TensorFlow, or there is only one device.
    """

    def __init__(self) -> None:
        if keras.backend.backend() != "tensorflow":
            raise DistributionError(
                "--distribute mirrored needs TensorFlow. Received: the Keras backend "
                f"{keras.backend.backend()}. Unset KERAS_BACKEND, or pass --distribute data_parallel on jax."
            )
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        names = tuple(device.name for device in tf.config.list_logical_devices(kind))
        if len(names) < 2:
            raise DistributionError(
                f"--distribute mirrored needs two devices or more. Received: {', '.join(names)}. Leave it "
                "out, or make more GPUs visible with CUDA_VISIBLE_DEVICES."
            )
        self.strategy = _mirrored_strategy(names)
        self.replicas = len(names)

    # With XLA, `fit` fails in the communication between replicas (TensorFlow 2.21, Keras 3.15).
    jit_compile = False

    def check(self, batch_size: int, clip_norm: float | None = None) -> None:
        """Checks as for one device. Refuses clipping: Keras clips before it sums the replicas' gradients."""
        super().check(batch_size, clip_norm)
        if clip_norm is not None:
            raise DistributionError(
                "With --distribute mirrored, Keras clips the gradient of each device and not their sum. "
                f"Received: --clip-norm {clip_norm}. Leave one of the two options out, or pass --distribute "
                "data_parallel."
            )

    def scope(self) -> contextlib.AbstractContextManager:
        """Returns the strategy's scope."""
        return self.strategy.scope()

    def prepare_model(self, model: keras.Model) -> None:
        """Lets batch normalisation take its statistics from the whole batch."""
        _synchronize(model, True)

    @contextlib.contextmanager
    def saving_scope(self, model: keras.Model) -> Iterator[None]:
        """Removes the synchronisation of batch normalisation while saving: other backends refuse it."""
        _synchronize(model, False)
        try:
            yield
        finally:
            _synchronize(model, True)

    def predict(self, model: keras.Model, images: tf.data.Dataset, count: int) -> np.ndarray:
        """Predicts as for one device."""

        def fill(batch: tf.Tensor) -> tf.Tensor:
            # A device that gets no image of the last batch would fail.
            missing = -tf.shape(batch)[0] % self.replicas
            return tf.concat([batch, tf.repeat(batch[-1:], missing, axis=0)], axis=0)

        return super().predict(model, images.map(fill), count)


@functools.cache
def _mirrored_strategy(names: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    """Returns the one strategy of these devices: the collective keys of a second one would clash."""
    return tf.distribute.MirroredStrategy(names)


def _synchronize(model: keras.Model, synchronized: bool) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = synchronized
