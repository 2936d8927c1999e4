"""Run by test_moment_exchange.py in a process with two mirrored CPU devices; prints results as JSON."""

import json

import numpy as np
import tensorflow as tf
from moment_exchange_reference import exchange, exchange_gradient

from semenet.models.layers.batch_rolling import is_divided, roll_batch
from semenet.models.layers.moment_exchange import exchange_moments


def relative_error(received, expected):
    return float(abs(np.asarray(received, "float64") - expected).max() / abs(expected).max())


def main():
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    rng = np.random.default_rng(0)
    x, upstream = rng.normal(2.0, 3.0, (2, 6, 3, 5, 8)).astype("float32")

    def part_of(batch):
        parts = np.split(batch, 2)
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )

    def step(x, upstream, labels):
        assert is_divided()
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = exchange_moments(x)
            total = tf.reduce_sum(y * upstream)
        return y, tape.gradient(total, x), roll_batch(labels)

    arguments = tuple(part_of(batch) for batch in (x, upstream, np.arange(6)))
    outputs = tf.function(lambda *parts: strategy.run(step, parts))(*arguments)
    y, gradient, labels = (np.concatenate(strategy.experimental_local_results(out)) for out in outputs)
    x, upstream = x.astype("float64"), upstream.astype("float64")
    report = {
        "replicas": strategy.num_replicas_in_sync,
        "value_error": relative_error(y, exchange(x)),
        "gradient_error": relative_error(gradient, exchange_gradient(x, upstream)),
        "labels": labels.tolist(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
