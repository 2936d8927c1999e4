"""Run by test_moment_exchange.py in a process whose Keras backend is JAX; prints results as JSON."""

import json
import sys

import jax
import keras
import numpy as np
from moment_exchange_reference import exchange, exchange_gradient

from semenet.models.layers.moment_exchange import MoExModel, MomentExchange


def relative_error(received, expected):
    return float(abs(np.asarray(received, "float64") - expected).max() / abs(expected).max())


def values_and_gradient():
    layer = MomentExchange(p=1.0)
    rng = np.random.default_rng(0)
    x = jax.numpy.asarray(rng.normal(2.0, 3.0, (4, 3, 5, 8)), layer.compute_dtype)
    upstream = rng.normal(size=x.shape).astype("float32")
    layer.build(x.shape)
    state = [variable.value for variable in layer.non_trainable_variables]

    def total(x):
        y, _ = layer.stateless_call([], state, x, training=True)
        return (y.astype("float32") * upstream).sum(), y

    gradient, y = jax.grad(total, has_aux=True)(x)
    x64 = np.asarray(x, "float64")
    return relative_error(y, exchange(x64)), relative_error(gradient, exchange_gradient(x64, upstream))


def losses_of_fit():
    x = keras.Input((6, 6, 2))
    y = MomentExchange(0.5, 0.7, seed=3, name="moex")(keras.layers.Conv2D(4, 1, name="conv")(x))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("relu")(y))
    model = MoExModel(x, keras.layers.Dense(3, activation="softmax", dtype="float32")(y))
    rng = np.random.default_rng(5)
    images, labels = rng.normal(size=(5, 6, 6, 2)).astype("float32"), np.eye(3)[[0, 1, 2, 2, 0]]
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy")
    steps = []
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: steps.append(
            (round(float(model.get_layer("moex").mix), 6), logs["loss"])
        )
    )
    model.fit(images, labels, batch_size=5, epochs=16, shuffle=False, verbose=0, callbacks=[record])

    kernel, bias, dense_kernel, dense_bias = (np.asarray(weight, "float64") for weight in model.get_weights())
    convolved = images @ kernel[0, 0] + bias
    expected = []
    for mix, _ in steps:
        maps = exchange(convolved) if mix != 1 else convolved
        logits = np.maximum(maps, 0).mean((1, 2)) @ dense_kernel + dense_bias
        log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        own, partner = (
            -(targets * log_probabilities).sum(-1).mean() for targets in (labels, np.roll(labels, 1, 0))
        )
        expected.append(mix * own + (1 - mix) * partner)
    return [mix for mix, _ in steps], [float(loss) for _, loss in steps], expected


def figures(policy):
    keras.config.set_dtype_policy(policy)
    value_error, gradient_error = values_and_gradient()
    mixes, losses, expected_losses = losses_of_fit()
    return {
        "value_error": value_error,
        "gradient_error": gradient_error,
        "mixes": mixes,
        "losses": losses,
        "expected_losses": expected_losses,
    }


def main():
    report = {policy: figures(policy) for policy in sys.argv[1:]}
    print(json.dumps({"backend": keras.backend.backend()} | report))


if __name__ == "__main__":
    main()
