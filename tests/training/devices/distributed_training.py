"""Run by test_distribution.py: trains a small network in one of the ways of `--distribute`.

Writes the losses, the last mix of moment exchange, the weights and the predictions of a training of some
steps to an .npz of its own, and prints a line a step.
"""

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

BATCH, BATCHES, SIDE = 8, 3, 32


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--distribute", default="none")
    parser.add_argument("--coordinator")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--rank", type=int)
    parser.add_argument("--p", type=float, default=0.5)
    parser.add_argument("--weighted", action="store_true")
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--step-seconds", type=float, default=0.0)
    parser.add_argument("--logical-devices", type=int, default=1)
    return parser.parse_args()


def batches(part, weighted, step_seconds):
    """This process's share of the same batches over and over, of a length that no graph knows."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    count = BATCH * BATCHES
    arrays = [
        rng.integers(0, 256, (count, SIDE, SIDE, 1)).astype("uint8"),
        np.eye(3, dtype="float32")[rng.integers(0, 3, count)],
        rng.uniform(0.5, 2, count).astype("float32"),
    ][: 3 if weighted else 2]
    rank, processes = part

    def make(step):
        time.sleep(step_seconds)
        start = step % BATCHES * BATCH
        # Copies, because TensorFlow may compute in the memory of the arrays that it receives.
        return [array[start + BATCH * rank // processes :][: BATCH // processes].copy() for array in arrays]

    def load(step):
        made = tf.numpy_function(make, [step], [array.dtype for array in arrays])
        return tuple(
            tf.ensure_shape(part, (None, *array.shape[1:])) for part, array in zip(made, arrays, strict=True)
        )

    return tf.data.Dataset.range(1_000_000).map(load)


def validation_images(devices):
    """This process's share of 11 images: an odd number for two devices, and a last batch of one."""
    import numpy as np
    import tensorflow as tf

    images = np.random.default_rng(1).integers(0, 256, (11, SIDE, SIDE, 1)).astype("uint8")
    own = images[devices.local_rows(len(images))]
    return tf.data.Dataset.from_tensor_slices(own).batch(2), len(own)


def optimizer(name):
    import keras

    if name == "sgd":
        # Small, because a rounding error may switch a ReLU, and larger steps would amplify it.
        return keras.optimizers.SGD(0.001, momentum=0.9)
    return keras.optimizers.AdamW(1e-3, weight_decay=0.01, epsilon=1e-3, use_ema=True, ema_momentum=0.5)


def train(devices, options):
    import keras
    import numpy as np

    import semenet

    class Record(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.losses, self.predictions = [], []

        def on_train_batch_end(self, batch, logs=None):
            # The mean over the epoch so far, which determines the loss of each step.
            self.losses.append(float(logs["loss"]))
            print("step", batch, flush=True)

        def on_epoch_end(self, epoch, logs=None):
            images, count = validation_images(devices)
            self.predictions.append(devices.gather(devices.predict(self.model, images, count)))
            with devices.saving_scope(self.model):
                self.model.save(options.out.with_suffix(".keras"))

    keras.utils.set_random_seed(1)
    devices.check(BATCH)
    with devices.scope():
        model = semenet.build(
            "seme_resnet50", input_shape=(SIDE, SIDE, 1), width=0.125, depth=0.01, moex_p=options.p
        )
        devices.prepare_model(model)
        model.compile(
            optimizer(options.optimizer),
            "categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=devices.jit_compile,
        )
        record = Record()
        history = model.fit(
            batches(devices.part, options.weighted, options.step_seconds),
            steps_per_epoch=options.steps // 2,
            epochs=2,
            verbose=0,
            shuffle=False,
            callbacks=[record],
        )
        np.savez(
            options.out,
            losses=record.losses,
            accuracy=history.history["accuracy"],
            mix=float(model.get_layer("moex").mix.numpy()) if devices.part[1] == 1 else 0,
            predictions=np.stack(record.predictions),
            agreed=devices.broadcast(os.getpid()),
            **gathered(devices),
            **{f"w{index}": weight for index, weight in enumerate(model.get_weights())},
        )


def gathered(devices):
    """Arrays of all ranks, of unequal and large sizes; only the last rank has any."""
    import numpy as np

    last = devices.part[0] == devices.part[1] - 1
    arrays = [devices.gather(np.full(size if last else 0, 1 / 3)) for size in (0, 1, 3_000_000)]
    return {"gathered_sizes": [len(array) for array in arrays], "gathered": arrays[2][[0, -1]]}


def main():
    options = arguments()
    if options.logical_devices > 1 and os.environ.get("KERAS_BACKEND") != "jax":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * options.logical_devices
        )
    from semenet.training.devices.distribution import open_devices

    with open_devices(options, join_seconds=60) as devices:
        print(json.dumps({"replicas": devices.replicas, "part": devices.part}), flush=True)
        train(devices, options)


if __name__ == "__main__":
    main()
