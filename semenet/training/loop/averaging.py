"""A moving average of a network's weights, which often validates better than the weights of the last step."""

import contextlib
from collections.abc import Callable, Iterator

import keras
from keras import ops


class WeightAverage:
    """The exponential moving average of all weights of a network, moving statistics included.

    The momentum rises with the number of steps to its final value, as
    min(momentum, (1 + steps) / (10 + steps)), so that the random initial weights do not dominate the average
    of a short run.

    Args:
        network: the network, already built.
        momentum: in [0, 1): the average extends over about 1 / (1 - momentum) steps; 0 for no average.

    Attributes:
        variables: the averages and the number of steps, for a checkpoint; empty without an average.
    """

    def __init__(self, network: keras.Model, momentum: float) -> None:
        self.network = network
        self.momentum = momentum
        self.variables = []
        if not momentum:
            return
        self.weights = [weight for weight in network.weights if keras.backend.is_float_dtype(weight.dtype)]
        self.averages = [
            # From an array, because a variable made from another one's value would share it.
            keras.Variable(weight.numpy(), trainable=False, dtype=weight.dtype, name=f"average_{number}")
            for number, weight in enumerate(self.weights)
        ]
        self.steps = keras.Variable(0.0, trainable=False, dtype="float32", name="averaged_steps")
        self.variables = [*self.averages, self.steps]
        self._blend = _compiled(_blend)

    def update(self) -> None:
        """Adds the current weights to the average, after a step."""
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
    def applied(self) -> Iterator[None]:
        """Replaces the network's weights by their averages as long as the block lasts."""
        if not self.momentum:
            yield
            return
        current = [ops.copy(weight.value) for weight in self.weights]
        for weight, average in zip(self.weights, self.averages, strict=True):
            # A copy, because on JAX a training step may reuse the memory of the weights that it receives.
            weight.assign(ops.copy(average.value))
        try:
            yield
        finally:
            for weight, value in zip(self.weights, current, strict=True):
                weight.assign(value)


def _blend(
    averages: list[keras.KerasTensor], weights: list[keras.KerasTensor], share: keras.KerasTensor
) -> list[keras.KerasTensor]:
    return [
        average + ops.cast(share, average.dtype) * (weight - average)
        for average, weight in zip(averages, weights, strict=True)
    ]


def _compiled(function: Callable) -> Callable:
    """Compiles a function into one operation, which is much faster than five hundred small ones."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, autograph=False)
