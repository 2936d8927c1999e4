"""The metrics of a classification for many weightings of the same images at once.

A bootstrap needs them: a resample only changes how often each image counts. Scores are therefore sorted once,
and all resamples share the order.
"""

from collections.abc import Sequence

import numpy as np

from semenet.errors import SemenetError
from semenet.metrics.probabilities import check_labels, decided

ECE_BINS = 15
# Numbers in one array of a chunk: 8 MB. About six such arrays exist at a time.
_CHUNK_NUMBERS = 1_000_000


def resampled_classification(
    true_index: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Computes the metrics of a classification once for each row of weights.

    An image of weight w counts as w equal images. If all weights are 1, the metrics are those of
    `semenet.metrics.classification`, with the same rules on what is undefined.

    Args:
        true_index: int array `(N,)`, the class of each image, in [0, K); or `(N, K)`, the possible classes,
            as for `semenet.metrics.classification`.
        probabilities: float array `(N, K)`, in [0, 1].
        class_names: K names, in the order of the columns.
        weights: int or float array `(B, N)`, 0 or more: how often each resample holds each image.

    Returns:
        dict of float64 arrays `(B,)`, NaN where a metric is undefined, for instance if all weights are 0:
        `accuracy`, `balanced_accuracy`, `macro_f1`, `macro_auroc`, `micro_auroc`,
        `macro_average_precision`, and `per_class.<name>.<metric>` for `precision`, `recall`, `f1`,
        `auroc`, `sensitivity`, `specificity`, `ppv`, `npv` and `average_precision`. Also `brier`, the mean
        over the images of the sum over the classes of the squared difference to the one-hot truth, in
        [0, 2] if rows add up to 1; and `ece`, the expected calibration error of the predicted class:
        over 15 bins of its probability, (0, 1/15] to (14/15, 1], the mean of |accuracy - mean
        probability|, weighted by the share of images in the bin.

    Raises:
        SemenetError: as `classification`, or the weights have another shape, are below 0, or not finite.

    Reference:
        Brier 1950; Guo et al. 2017 (ECE and its 15 bins). Areas under the curves: the Mann-Whitney form,
        equal scores counting half, and the steps under the precision-recall curve.

    Example:
        >>> result = semenet.metrics.resampled_classification(
        ...     np.array([0, 1, 1]),
        ...     np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]),
        ...     ("normal", "pneumonia"),
        ...     weights=np.array([[1, 1, 1], [1, 2, 0]]),
        ... )
        >>> result["accuracy"].round(2).tolist()
        [0.67, 1.0]
    """
    possible, probabilities = check_labels(true_index, probabilities, class_names)
    weights = np.asarray(weights)
    _check_weights(weights, len(possible))
    tables = _tables(possible, probabilities)
    rows = max(1, _CHUNK_NUMBERS // probabilities.size)
    parts = [
        _metrics(weights[start : start + rows].astype(np.float64), class_names, *tables)
        for start in range(0, len(weights), rows)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _check_weights(weights: np.ndarray, images: int) -> None:
    if weights.ndim != 2 or weights.shape[1] != images or not len(weights):
        raise SemenetError(
            "Weights must be an array (B, N): one row per resample, one column per image. "
            f"Received: shape {weights.shape} for {images} images. Give one or more rows."
        )
    if not (np.isfinite(weights).all() and weights.min() >= 0):
        raise SemenetError(
            "Weights must be finite and 0 or more. "
            f"Received: values from {weights.min()} to {weights.max()}. Give counts of the images."
        )


class Ranking:
    """The order of decisions by descending score, which does not depend on the weights.

    Args:
        score: float array `(M,)`.
        is_true: bool array `(M,)`.
        image: int array `(M,)`, the image of each decision.
    """

    def __init__(self, score: np.ndarray, is_true: np.ndarray, image: np.ndarray) -> None:
        true, other = np.flatnonzero(is_true), np.flatnonzero(~is_true)
        true, other = (indices[np.argsort(-score[indices], kind="stable")] for indices in (true, other))
        self.true, self.other = image[true], image[other]
        self.above = np.searchsorted(-score[other], -score[true], side="left")
        self.at_least = np.searchsorted(-score[other], -score[true], side="right")
        self.last_equal = np.searchsorted(-score[true], -score[true], side="right") - 1

    def auroc(self, weights: np.ndarray) -> np.ndarray:
        """Computes the areas under the ROC curves `(B,)` for image weights `(B, N)`."""
        true, others = weights[:, self.true], self._others(weights)
        return self._auroc(true, others, others[:, self.at_least])

    def areas(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes the areas under the ROC curves and the average precisions, each `(B,)`."""
        true, others = weights[:, self.true], self._others(weights)
        false = others[:, self.at_least]
        found = np.cumsum(true, axis=1)[:, self.last_equal]
        average_precision = _ratio((true * _ratio(found, found + false, 0.0)).sum(axis=1), true.sum(axis=1))
        # Without negatives every order is equally good.
        average_precision[others[:, -1] == 0] = np.nan
        return self._auroc(true, others, false), average_precision

    def _others(self, weights: np.ndarray) -> np.ndarray:
        """Computes the weight of the negatives ranked before each position, `(B, M + 1)`."""
        others = np.zeros((len(weights), len(self.other) + 1))
        np.cumsum(weights[:, self.other], axis=1, out=others[:, 1:])
        return others

    def _auroc(self, true: np.ndarray, others: np.ndarray, false: np.ndarray) -> np.ndarray:
        lost = (true * (others[:, self.above] + false)).sum(axis=1) / 2
        pairs = true.sum(axis=1) * others[:, -1]
        return _ratio(pairs - lost, pairs)


def _tables(possible: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, list[Ranking], Ranking]:
    """Computes what does not depend on the weights.

    Returns:
        A matrix to multiply the weights with, the ranking for each class, and that of all decisions together.
    """
    classes = probabilities.shape[1]
    complete, known = possible.sum(axis=1) == 1, decided(possible)
    true_index = possible.argmax(axis=1)
    one_hot = true_index[:, None] == np.arange(classes)
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1).astype(np.float64)
    cells = (true_index * classes + predicted)[:, None] == np.arange(classes**2)
    # Rounding may put a probability slightly outside [0, 1]; it belongs to the first or last bin.
    bins = np.searchsorted(np.linspace(0, 1, ECE_BINS + 1)[1:-1], confidence)
    gaps = (bins[:, None] == np.arange(ECE_BINS)) * ((predicted == true_index) - confidence)[:, None]
    squares = ((probabilities.astype(np.float64) - one_hot) ** 2).sum(axis=1, keepdims=True)
    matrix = np.concatenate([cells, gaps, squares], axis=1)
    if not complete.all():
        # Two further blocks: partial labels that leave out a class, predicted as this class, and not.
        is_predicted = predicted[:, None] == np.arange(classes)
        excluded = ~possible & ~complete[:, None]
        matrix = np.concatenate(
            [matrix * complete[:, None], excluded & is_predicted, excluded & ~is_predicted], axis=1
        )
    images = np.arange(len(possible))
    rankings = [
        Ranking(probabilities[rows, index], possible[rows, index], images[rows])
        for index, rows in enumerate(known.T)
    ]
    together = Ranking(probabilities[known], possible[known], images.repeat(classes)[known.ravel()])
    return matrix, rankings, together


def _metrics(
    weights: np.ndarray,
    class_names: Sequence[str],
    matrix: np.ndarray,
    rankings: list[Ranking],
    all_decisions: Ranking,
) -> dict[str, np.ndarray]:
    """Computes the metrics of some resamples with float64 weights `(B, N)`."""
    classes = len(class_names)
    ends = np.cumsum([classes**2, ECE_BINS, 1, classes])
    cells, gaps, squares, wrong, right = np.split(weights @ matrix, ends, axis=1)
    confusion = cells.reshape(-1, classes, classes)
    total = confusion.sum(axis=(1, 2))[:, None]
    support, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    correct = np.diagonal(confusion, axis1=1, axis2=2)
    rest, rest_predicted = total - support, total - predicted
    rest_correct = total - support - predicted + correct
    if wrong.shape[1]:
        predicted, rest = predicted + wrong, rest + wrong + right
        rest_predicted, rest_correct = rest_predicted + right, rest_correct + right
    recall, precision = _ratio(correct, support), _precision(correct, predicted, support)
    areas = [ranking.areas(weights) for ranking in rankings]
    auroc, average_precision = (np.stack(values, axis=1) for values in zip(*areas, strict=True))
    of_class = {
        "precision": precision,
        "recall": recall,
        "f1": np.where(support > 0, _ratio(2 * correct, support + predicted), np.nan),
        "auroc": auroc,
        "sensitivity": recall,
        "specificity": _ratio(rest_correct, rest),
        "ppv": precision,
        "npv": _precision(rest_correct, rest_predicted, rest),
        "average_precision": average_precision,
    }
    metrics = {
        "accuracy": _ratio(correct.sum(axis=1), total[:, 0]),
        "balanced_accuracy": _mean_of_defined(recall),
        "macro_f1": _mean_of_defined(of_class["f1"]),
        "macro_auroc": _mean_of_defined(auroc),
        "micro_auroc": all_decisions.auroc(weights),
        "macro_average_precision": _mean_of_defined(average_precision),
    }
    for index, name in enumerate(class_names):
        metrics |= {f"per_class.{name}.{metric}": values[:, index] for metric, values in of_class.items()}
    return metrics | {
        "brier": _ratio(squares[:, 0], total[:, 0]),
        "ece": _ratio(np.abs(gaps).sum(axis=1), total[:, 0]),
    }


def _precision(correct: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Computes precision: NaN without predictions and images, 0 for images without predictions."""
    return np.where((predicted == 0) & (support > 0), 0.0, _ratio(correct, predicted))


def _ratio(part: np.ndarray, whole: np.ndarray, undefined: float = np.nan) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), undefined), where=whole > 0)


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Computes means `(B,)` over the values `(B, K)` that are not NaN."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1))
