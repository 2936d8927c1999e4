"""Gradient reversal: the identity in the forward direction, with the gradient's sign changed."""

import keras
from keras import ops

# Ganin et al., section 5.2.2: how quickly the strength rises.
_GAMMA = 10.0


def reverse_gradient(x: keras.KerasTensor, strength: float | keras.KerasTensor = 1.0) -> keras.KerasTensor:
    """Returns `x` unchanged, whose gradient is multiplied by `-strength` on its way back.

    What comes after it learns to reduce its loss, and what comes before it learns to increase that loss.

    Args:
        x: floating tensor of any shape, with finite values.
        strength: scalar, 0 or more; 0 lets no gradient pass.

    Returns:
        A tensor equal to `x` to the bit.

    Reference:
        Ganin et al., "Domain-Adversarial Training of Neural Networks", https://arxiv.org/abs/1505.07818

    Example:
        >>> from semenet.training.unlearning import reverse_gradient
        >>> np.asarray(reverse_gradient(np.array([1.5, -2.0], "float32"), 0.5)).tolist()
        [1.5, -2.0]
    """
    # `x * (1 + strength) - strength * x` would have this gradient too, but another value after rounding.
    backward = -ops.cast(strength, x.dtype) * x
    return ops.stop_gradient(x) + (backward - ops.stop_gradient(backward))


def reversal_ramp(progress: float | keras.KerasTensor) -> keras.KerasTensor:
    """Returns the share of the full strength at a moment of the training: `2 / (1 + exp(-10 p)) - 1`.

    At first the source classifier's gradients are meaningless, and the features should not follow them.

    Args:
        progress: share of the steps that are done, in [0, 1].

    Returns:
        float32 scalar in [0, 1).

    Reference:
        Ganin et al., https://arxiv.org/abs/1505.07818, section 5.2.2.

    Example:
        >>> from semenet.training.unlearning import reversal_ramp
        >>> [round(float(reversal_ramp(progress)), 3) for progress in (0.0, 0.1, 0.5, 1.0)]
        [0.0, 0.462, 0.987, 1.0]
    """
    return 2.0 / (1.0 + ops.exp(-_GAMMA * ops.cast(progress, "float32"))) - 1.0
