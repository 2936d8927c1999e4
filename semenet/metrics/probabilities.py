"""What every figure of probabilities asks of them."""

import math

import numpy as np

from semenet.errors import SemenetError

# Softmax in float32 may pass 1 by a rounding error.
_TOLERANCE = 1e-5


def check_probabilities(probabilities):
    """Refuses NaN and what lies outside [0, 1], with ValueError."""
    low, high = float(probabilities.min()), float(probabilities.max())
    # The extremes of an array that holds NaN are NaN.
    if math.isnan(low) or low < -_TOLERANCE or high > 1 + _TOLERANCE:
        raise SemenetError(
            "Probabilities must lie in [0, 1] and be no NaN. "
            f"Received: {np.isnan(probabilities).sum()} NaN among {probabilities.size} values, the "
            f"others from {np.fmin.reduce(probabilities, axis=None)} to "
            f"{np.fmax.reduce(probabilities, axis=None)}. "
            "Put logits through softmax first; NaN come from a training that diverged."
        )
