"""Training on all GPUs of a machine, by TensorFlow."""

import contextlib
import functools

import keras

from semenet.training.devices.device import Devices, DistributionError


class MirroredDevices(Devices):
    """All GPUs of this machine, or its logical CPU devices where it has no GPU, by TensorFlow.

    Batch normalisation takes its statistics, and moment exchange its partners, over the whole batch.

    Raises:
        DistributionError: for another backend than TensorFlow, or a single device.
    """

    def __init__(self):
        if keras.backend.backend() != "tensorflow":
            raise DistributionError(
                "--distribute mirrored is TensorFlow's. Received: the Keras backend "
                f"{keras.backend.backend()}. Unset KERAS_BACKEND, or pass --distribute data_parallel on jax."
            )
        import tensorflow as tf

        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        names = tuple(device.name for device in tf.config.list_logical_devices(kind))
        if len(names) < 2:
            raise DistributionError(
                f"--distribute mirrored takes two devices or more. Received: {', '.join(names)}. Leave it "
                "out, or make more GPUs visible (CUDA_VISIBLE_DEVICES)."
            )
        self.strategy = _mirrored_strategy(names)
        self.replicas = len(names)

    # With XLA, fit fails on the communication between replicas (TensorFlow 2.21, Keras 3.15).
    jit_compile = False

    def check(self, batch_size, clip_norm=None):
        """As for one device; clipping is refused: Keras clips before it adds up the replicas' gradients."""
        super().check(batch_size, clip_norm)
        if clip_norm is not None:
            raise DistributionError(
                "Under --distribute mirrored Keras clips each device's gradient, not their sum. Received: "
                f"--clip-norm {clip_norm}. Leave one of the two out, or pass --distribute data_parallel."
            )

    def scope(self):
        """The strategy's scope."""
        return self.strategy.scope()

    def adopt(self, model):
        """Batch normalisation takes its statistics over the whole batch."""
        _synchronize(model, True)

    @contextlib.contextmanager
    def for_saving(self, model):
        """The other backends refuse synchronised batch normalisation: files say nothing of it."""
        _synchronize(model, False)
        try:
            yield
        finally:
            _synchronize(model, True)

    def predict(self, model, images, count):
        """As for one device."""

        def fill(batch):
            # A device with no image of the last batch would fail.
            import tensorflow as tf

            missing = -tf.shape(batch)[0] % self.replicas
            return tf.concat([batch, tf.repeat(batch[-1:], missing, axis=0)], axis=0)

        return super().predict(model, images.map(fill), count)


@functools.cache
def _mirrored_strategy(names):
    """The strategy of these devices: a second one's collective keys would clash with the first's."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(names)


def _synchronize(model, synchronized):
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = synchronized
