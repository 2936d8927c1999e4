"""Calibration: how well probabilities agree with observed frequencies, and temperature scaling."""

import math
from typing import Any

import numpy as np
from scipy import optimize, special

from semenet.errors import SemenetError
from semenet.metrics.probabilities import check_classification

ACTIVATIONS = ("softmax", "sigmoid")
TEMPERATURES = (0.05, 20.0)
# Probabilities (of a sigmoid also from above) are clipped to these before their logarithm is taken.
LOWEST_PROBABILITY = float(np.finfo(np.float32).tiny)
HIGHEST_PROBABILITY = 1 - 2.0**-24


def reliability(true_index: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> dict[str, np.ndarray]:
    """Computes accuracy and confidence (the highest probability) in bins of equal width.

    A bin includes its upper edge and excludes its lower edge, as in Guo et al.

    Args:
        true_index: int array `(N,)`, the class of each image, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1].
        bins: number of bins, M.

    Returns:
        dict of arrays `(M,)`: int `count`, float64 `confidence` (mean over the bin) and `accuracy`, both NaN
        in a bin without images; and float64 `edges`, `(M + 1,)`.

    Raises:
        SemenetError: as `semenet.metrics.classification`, and for less than one bin.

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599, section 2.

    Example:
        >>> table = semenet.metrics.reliability(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]), bins=2)
        >>> table["count"].tolist(), table["confidence"].tolist(), table["accuracy"].tolist()
        ([0, 2], [nan, 0.75], [nan, 0.5])
    """
    true_index, probabilities = check_classification(true_index, probabilities)
    if bins < 1:
        raise SemenetError(f"`bins` must be 1 or more. Received: bins={bins}. 15 is usual.")
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


def expected_calibration_error(true_index: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Computes the mean over images of |accuracy - confidence| of their bin, in [0, 1].

    Arguments, errors and reference are those of `reliability`.

    Example:
        >>> probabilities = np.array([[0.75, 0.25], [0.75, 0.25]])
        >>> semenet.metrics.expected_calibration_error(np.array([0, 1]), probabilities)
        0.25
    """
    table = reliability(true_index, probabilities, bins)
    gaps = np.abs(table["accuracy"] - table["confidence"])
    return float(np.nansum(table["count"] * gaps) / table["count"].sum())


def brier_score(true_index: np.ndarray, probabilities: np.ndarray) -> float:
    """Computes the mean over images of the squared distance to the one-hot truth, in [0, K].

    For two classes and softmax this is twice the score of one column. Arguments and errors are those of
    `semenet.metrics.classification`.

    Reference:
        Brier, "Verification of forecasts expressed in terms of probability", 1950.

    Example:
        >>> semenet.metrics.brier_score(np.array([0, 1]), np.array([[1.0, 0.0], [0.5, 0.5]]))
        0.25
    """
    true_index, probabilities = check_classification(true_index, probabilities)
    one_hot = np.eye(probabilities.shape[1])[true_index]
    return float(np.mean(np.sum((probabilities - one_hot) ** 2, axis=1)))


def negative_log_likelihood(
    true_index: np.ndarray, probabilities: np.ndarray, activation: str = "softmax"
) -> float:
    """Computes the mean over images of minus the logarithm of the probability of the true class, in nats.

    Args:
        true_index: int array `(N,)`, the class of each image, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1].
        activation: "softmax" if a row is one decision, "sigmoid" if it is K independent decisions. Rows of
            softmax are normalised to a sum of 1.

    Raises:
        SemenetError: as `semenet.metrics.classification`, and for another activation.

    Example:
        >>> loss = semenet.metrics.negative_log_likelihood(np.array([0]), np.array([[0.5, 0.5]]))
        >>> round(loss, 3)
        0.693
    """
    true_index, probabilities = check_classification(true_index, probabilities)
    return _likelihood_loss(true_index, _logits(probabilities, activation), activation)


def apply_temperature(
    probabilities: np.ndarray, temperature: float, activation: str = "softmax"
) -> np.ndarray:
    """Computes the probabilities that result if the logits are divided by a temperature.

    The predicted class never changes, even if rounding would make two probabilities equal. The graph of an
    exported network computes the same in float32, see `semenet.inference.scoring`.

    Args:
        probabilities: float array `(N, K)`, in [0, 1], outputs of `activation`.
        temperature: above 0. Values above 1 make the probabilities less confident; 1 returns
            `probabilities` unchanged.
        activation: "softmax", or "sigmoid" for independent columns.

    Returns:
        float array `(N, K)` of the same dtype. Inputs of 0 and 1 are replaced by the nearest values that
        float32 can distinguish from them.

    Raises:
        SemenetError: for an invalid temperature or activation, or probabilities outside [0, 1].

    Reference:
        Guo et al., https://arxiv.org/abs/1706.04599, section 4.2.

    Example:
        >>> semenet.metrics.apply_temperature(np.array([[0.9, 0.1]]), temperature=2.0)
        array([[0.75, 0.25]])
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
    top = np.maximum(top, np.asarray(LOWEST_PROBABILITY, tempered.dtype))
    below = np.minimum(tempered, top * (1 - np.finfo(tempered.dtype).eps))
    return np.where(is_top, top, below)


def fit_temperature(
    true_index: np.ndarray, probabilities: np.ndarray, activation: str = "softmax"
) -> dict[str, Any]:
    """Finds the temperature that minimises the negative log-likelihood.

    Args:
        true_index: int array `(N,)`, the class of each image, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1], for images that were not used in training.
        activation: "softmax", or "sigmoid" for independent columns.

    Returns:
        dict of float `temperature`, in the range `TEMPERATURES`, and bool `at_bound`: whether it is an end of
        this range, because the images determine no temperature, or one outside the range. If every
        prediction is correct, the likelihood rises as the temperature falls, and the result is the lower end.

    Raises:
        SemenetError: for fewer than two images or images of only one class, and as `negative_log_likelihood`.

    Reference:
        Guo et al., https://arxiv.org/abs/1706.04599, section 4.2.

    Example:
        >>> overconfident = np.array([[0.99, 0.01], [0.99, 0.01], [0.01, 0.99], [0.99, 0.01]])
        >>> found = semenet.metrics.fit_temperature(np.array([0, 0, 1, 1]), overconfident)
        >>> round(found["temperature"], 2), found["at_bound"]
        (4.18, False)
    """
    true_index, probabilities = check_classification(true_index, probabilities)
    if len(set(true_index.tolist())) < 2:
        raise SemenetError(
            "A temperature is fitted on images of two or more classes. "
            f"Received: {len(true_index)} of only one class. Use a split that has other classes too."
        )
    logits = _logits(probabilities, activation)
    # The search cannot find this case: the loss rounds to 0 long before the lowest temperature.
    margins = _margins(true_index, logits, activation)
    if margins.min() >= 0 and margins.any():
        return {"temperature": TEMPERATURES[0], "at_bound": True}

    def loss(log_temperature: float) -> float:
        return _likelihood_loss(true_index, logits / math.exp(log_temperature), activation)

    # The loss is convex in 1 / T. It therefore has one minimum in log T too, where a bounded search treats
    # low and high temperatures alike.
    low, high = np.log(TEMPERATURES)
    found = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    # If all temperatures are equally good, as for equal probabilities, prefer 1.
    log_temperature = 0.0 if loss(0.0) <= found.fun else float(found.x)
    at_bound = min(log_temperature - low, high - log_temperature) < 1e-3
    return {"temperature": math.exp(log_temperature), "at_bound": bool(at_bound)}


def check_temperature(temperature: float) -> None:
    """Raises SemenetError if a temperature is not a finite number above 0."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise SemenetError(
            f"A temperature must be a finite number above 0. Received: {temperature}. 1 changes nothing."
        )


def _logits(probabilities: np.ndarray, activation: str) -> np.ndarray:
    """Returns logits, float64 `(N, K)`; those of softmax up to a constant per row."""
    if activation not in ACTIVATIONS:
        raise SemenetError(
            f"`activation` must be one of {', '.join(ACTIVATIONS)}. Received: {activation!r}. "
            "Give the activation of the network's head."
        )
    probabilities = np.asarray(probabilities, np.float64)
    if activation == "sigmoid":
        return special.logit(np.clip(probabilities, LOWEST_PROBABILITY, HIGHEST_PROBABILITY))
    return np.log(np.maximum(probabilities, LOWEST_PROBABILITY))


def _margins(true_index: np.ndarray, logits: np.ndarray, activation: str) -> np.ndarray:
    """Returns by how much each logit favours the truth, `(N, K)`; 0 for the true class with softmax."""
    rows = np.arange(len(logits))
    if activation == "sigmoid":
        signs = -np.ones_like(logits)
        signs[rows, true_index] = 1
        return signs * logits
    return logits[rows, true_index][:, None] - logits


def _likelihood_loss(true_index: np.ndarray, logits: np.ndarray, activation: str) -> float:
    margins = _margins(true_index, logits, activation)
    if activation == "sigmoid":
        return float(np.mean(np.sum(np.logaddexp(0, -margins), axis=1)))
    return float(np.mean(special.logsumexp(-margins, axis=1)))
