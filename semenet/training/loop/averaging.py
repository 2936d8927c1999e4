"""A moving average of a network's weights, which validates better than the weights of any one step."""

import contextlib

import keras
from keras import ops


class WeightAverage:
    """The exponential moving average of all weights of a network, moving statistics included.

    The momentum rises with the steps to its final value, as min(momentum, (1 + steps) / (10 + steps)), so
    that the average of a short run is not that of its random start.

    Args:
        network: a built `keras.Model`.
        momentum: float in [0, 1): the average is of some 1 / (1 - momentum) steps; 0 for no average.

    Attributes:
        variables: list of `keras.Variable`: the averages and the number of steps, for a checkpoint; empty
            for no average.
    """

    def __init__(self, network, momentum):
        self.network = network
        self.momentum = momentum
        self.variables = []
        if not momentum:
            return
        self.weights = [weight for weight in network.weights if keras.backend.is_float_dtype(weight.dtype)]
        self.averages = [
            # From an array: a variable made of another one's value shares it.
            keras.Variable(weight.numpy(), trainable=False, dtype=weight.dtype, name=f"average_{number}")
            for number, weight in enumerate(self.weights)
        ]
        self.steps = keras.Variable(0.0, trainable=False, dtype="float32", name="averaged_steps")
        self.variables = [*self.averages, self.steps]
        self._blend = _compiled(_blend)

    def update(self):
        """Takes in the weights after a step."""
        if not self.momentum:
            return
        steps = float(self.steps.numpy()) + 1
        share = 1 - min(self.momentum, (1 + steps) / (10 + steps))
        values = self._blend(
            [average.value for average in self.averages],
            [weight.value for weight in self.weights],
            ops.convert_to_tensor(share, "float32"),
        )
        for average, value in zip(self.averages, values, strict=True):
            average.assign(value)
        self.steps.assign(steps)

    @contextlib.contextmanager
    def in_place(self):
        """Puts the averages where the weights are as long as the block lasts; without any does nothing."""
        if not self.momentum:
            yield
            return
        raw = [ops.copy(weight.value) for weight in self.weights]
        for weight, average in zip(self.weights, self.averages, strict=True):
            # A copy: on JAX a step may take the memory of the weights that it is given.
            weight.assign(ops.copy(average.value))
        try:
            yield
        finally:
            for weight, value in zip(self.weights, raw, strict=True):
                weight.assign(value)


def _blend(averages, weights, share):
    return [
        average + ops.cast(share, average.dtype) * (weight - average)
        for average, weight in zip(averages, weights, strict=True)
    ]


def _compiled(function):
    """The function in one piece: five hundred small operations one by one cost more than they compute."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function)
