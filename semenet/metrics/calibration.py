"""How far a classifier's probabilities can be taken at their word, and the temperature that mends them."""

import math

import numpy as np
from scipy import optimize, special

from semenet.errors import SemenetError
from semenet.metrics.classification_metrics import checked

ACTIVATIONS = ("softmax", "sigmoid")
TEMPERATURES = (0.05, 20.0)
# What a probability is at least (and one under sigmoid at most) before its logarithm is taken.
LOWEST = float(np.finfo(np.float32).tiny)
HIGHEST = 1 - 2.0**-24


def reliability(true_index, probabilities, bins=15):
    """Accuracy against confidence, the highest probability, in bins of equal width.

    A bin holds its upper edge and not its lower one, as in Guo et al.

    Args:
        true_index: int array `(N,)`, each image's class, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1].
        bins: int, M.

    Returns:
        dict of arrays `(M,)`: int `count`, float64 `confidence` (its mean) and `accuracy`, both NaN in a bin
        without images; and float64 `edges`, `(M + 1,)`.

    Raises:
        ValueError: as `semenet.metrics.classification`, and for no bins.

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599, section 2.
    """
    true_index, probabilities = checked(true_index, probabilities)
    if bins < 1:
        raise SemenetError(f"There must be 1 bin or more. Received: bins={bins}. The usual is 15.")
    edges = np.linspace(0, 1, bins + 1)
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == true_index
    bin_index = np.searchsorted(edges[1:-1], confidence)
    count = np.bincount(bin_index, minlength=bins)
    filled = np.where(count, count, np.nan)
    return {
        "count": count,
        "confidence": np.bincount(bin_index, confidence, bins) / filled,
        "accuracy": np.bincount(bin_index, correct, bins) / filled,
        "edges": edges,
    }


def ece(true_index, probabilities, bins=15):
    """Expected calibration error: the mean over images of their bin's |accuracy - confidence|, in [0, 1].

    Arguments, errors and reference as `reliability`.
    """
    found = reliability(true_index, probabilities, bins)
    gaps = np.abs(found["accuracy"] - found["confidence"])
    return float(np.nansum(found["count"] * gaps) / found["count"].sum())


def brier(true_index, probabilities):
    """Brier score: the mean over images of the squared distance to the one-hot truth, in [0, K].

    For two classes under softmax that is twice the score of one column. Arguments and errors as
    `semenet.metrics.classification`.

    Reference:
        Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    true_index, probabilities = checked(true_index, probabilities)
    one_hot = np.eye(probabilities.shape[1])[true_index]
    return float(np.mean(np.sum((probabilities - one_hot) ** 2, axis=1)))


def negative_log_likelihood(true_index, probabilities, activation="softmax"):
    """Mean over images of minus the logarithm of the truth's probability, in nats.

    Args:
        true_index: int array `(N,)`, each image's class, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1].
        activation: "softmax", where a row is one decision, or "sigmoid", where it is K independent ones.
            Rows of softmax are made to add up to 1.

    Raises:
        ValueError: as `semenet.metrics.classification`, and for another activation.
    """
    true_index, probabilities = checked(true_index, probabilities)
    return _likelihood_loss(true_index, _logits(probabilities, activation), activation)


def temper(probabilities, temperature, activation="softmax"):
    """Probabilities as they were if their logits had been divided by a temperature.

    The class predicted stays, also where rounding would make two probabilities equal. The network's graph
    computes the same in float32: `semenet.inference.scoring.temper_graph`.

    Args:
        probabilities: float array `(N, K)`, in [0, 1]: what `activation` made of logits.
        temperature: float above 0; above 1 softens, 1 returns `probabilities` themselves.
        activation: "softmax", or "sigmoid" for independent columns.

    Returns:
        float array `(N, K)` of the same dtype. 0 and 1 count as the nearest that float32 can tell from them.

    Raises:
        ValueError: for a temperature or an activation that there is not, or probabilities outside [0, 1].

    Reference:
        Guo et al., https://arxiv.org/abs/1706.04599, section 4.2.
    """
    check_temperature(temperature)
    probabilities = np.asarray(probabilities)
    if temperature == 1:
        return probabilities
    if probabilities.dtype.kind != "f":
        probabilities = probabilities.astype(np.float64)
    logits = _logits(probabilities, activation) / temperature
    tempered = special.expit(logits) if activation == "sigmoid" else special.softmax(logits, axis=1)
    tempered = tempered.astype(probabilities.dtype)
    is_top = probabilities == probabilities.max(axis=1, keepdims=True)
    top = np.where(is_top, tempered, 0).max(axis=1, keepdims=True)
    top = np.maximum(top, np.asarray(LOWEST, tempered.dtype))
    below = np.minimum(tempered, top * (1 - np.finfo(tempered.dtype).eps))
    return np.where(is_top, top, below)


def fit_temperature(true_index, probabilities, activation="softmax"):
    """Finds the temperature under which the truth is likeliest.

    Args:
        true_index: int array `(N,)`, each image's class, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1]; not of images the network was trained on.
        activation: "softmax", or "sigmoid" for independent columns.

    Returns:
        dict of float `temperature`, in `TEMPERATURES`, and bool `at_bound`: it is one of these, since the
        images set no temperature, or one beyond. Where every prediction is right there is none: the lower,
        the likelier, down to the lowest.

    Raises:
        ValueError: for fewer than two images or images of one class alone, and as `negative_log_likelihood`.

    Reference:
        Guo et al., https://arxiv.org/abs/1706.04599, section 4.2.
    """
    true_index, probabilities = checked(true_index, probabilities)
    if len(set(true_index.tolist())) < 2:
        raise SemenetError(
            "A temperature is found on images of two classes or more. "
            f"Received: {len(true_index)} of one class alone. Take a split that has others too."
        )
    logits = _logits(probabilities, activation)
    # The search would not see it: the loss is 0 to the last digit long before the lowest temperature.
    margins = _margins(true_index, logits, activation)
    if margins.min() >= 0 and margins.any():
        return {"temperature": TEMPERATURES[0], "at_bound": True}

    def loss(log_temperature):
        return _likelihood_loss(true_index, logits / math.exp(log_temperature), activation)

    # The loss is convex in 1 / T, and so has one valley in log T, where the search is even-handed.
    low, high = np.log(TEMPERATURES)
    found = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    # Where all temperatures do equally well, as for equal probabilities, none is wanted.
    log_temperature = 0.0 if loss(0.0) <= found.fun else float(found.x)
    at_bound = min(log_temperature - low, high - log_temperature) < 1e-3
    return {"temperature": math.exp(log_temperature), "at_bound": bool(at_bound)}


def check_temperature(temperature):
    """Refuses what is no finite number above 0, with ValueError."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise SemenetError(
            f"A temperature must be a finite number above 0. Received: {temperature}. 1 changes nothing."
        )


def _logits(probabilities, activation):
    """Logits, float64; those of softmax up to a constant of the row."""
    if activation not in ACTIVATIONS:
        raise SemenetError(
            f"`activation` must be one of {', '.join(ACTIVATIONS)}. Received: {activation!r}. "
            "Name that of the network's head."
        )
    probabilities = np.asarray(probabilities, np.float64)
    if activation == "sigmoid":
        return special.logit(np.clip(probabilities, LOWEST, HIGHEST))
    return np.log(np.maximum(probabilities, LOWEST))


def _margins(true_index, logits, activation):
    """By how much each logit speaks for the truth, `(N, K)`; 0 for the truth itself under softmax."""
    rows = np.arange(len(logits))
    if activation == "sigmoid":
        signs = -np.ones_like(logits)
        signs[rows, true_index] = 1
        return signs * logits
    return logits[rows, true_index][:, None] - logits


def _likelihood_loss(true_index, logits, activation):
    margins = _margins(true_index, logits, activation)
    if activation == "sigmoid":
        return float(np.mean(np.sum(np.logaddexp(0, -margins), axis=1)))
    return float(np.mean(special.logsumexp(-margins, axis=1)))
