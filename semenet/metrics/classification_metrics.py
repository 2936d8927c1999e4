"""Metrics of a classification, computed from arrays.

Classes are numbered from 0, in the order of the network's outputs. The predicted class is the one with the
highest probability; of equal probabilities, the first.

A label may be partial: one of several classes. Metrics of one class against the rest use the images whose
label decides whether they are of the class: complete labels, and partial ones that leave the class out.
Metrics of all classes at once (accuracy, confusion matrix) use complete labels alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn import metrics as sk

from semenet.metrics.partial_labels import describe_partial_labels, excluded_counts
from semenet.metrics.probabilities import check_labels, decided


def classification(
    true_index: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """Computes all metrics of a classification.

    Undefined metrics are None, and macro means are taken over the classes for which the metric is defined.
    Without images of a class (`support` 0), its recall, F1, AUROC and average precision are undefined, and
    its precision is too, unless the class was predicted. AUROC and average precision also need images of
    another class: without them every order of the images is equally good, and average precision is 1 for any
    scores. A class that has images but was never predicted has a precision and F1 of 0.

    For each class against all others, at the predicted class: `sensitivity` and `ppv` are the clinical names
    of recall and precision; `specificity` and `npv` are the recall and precision of "another class", by the
    same rules. Specificity is undefined if all images are of the class. npv is 0 if there are images of
    another class but none was predicted to be one, and undefined if there are no such images.
    The predictive values (ppv, npv) hold for the class shares of these images, which usually differ from
    those of a clinic.

    Args:
        true_index: int array `(N,)`, the class of each image, in [0, K); or, if labels are partial, `(N, K)`,
            1 or True for each possible class.
        probabilities: float array `(N, K)`, in [0, 1]. Rows need not add up to 1.
        class_names: K names, in the order of the columns.

    Returns:
        dict, ready for JSON: floats `accuracy`, `balanced_accuracy`, `macro_f1`, `macro_auroc`
        (one-vs-rest; None if no class has one), `micro_auroc` (over all N * K decisions),
        `macro_average_precision`, int `count` (N), `per_class` {name: {`precision`, `recall`, `f1`,
        `auroc`, `support`, `sensitivity`, `specificity`, `ppv`, `npv`, `average_precision`}},
        `class_names` and `confusion_matrix` (K lists of K counts; rows are true classes, columns
        predicted classes). If labels are partial, also `partial_labels`: their `count`, and `left_out`, from
        each metric or class that leaves partial labels out to how many.

    Raises:
        SemenetError: for no images, fewer than two classes, shapes that do not fit, a class outside
            [0, K), or a probability that is NaN or outside [0, 1].

    Reference:
        Davis & Goadrich 2006: average precision is the area of the steps under the precision-recall curve,
        because linear interpolation between its points is too optimistic.

    Example:
        >>> result = semenet.metrics.classification(
        ...     np.array([0, 0, 1, 1]),
        ...     np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]]),
        ...     ("normal", "pneumonia"),
        ... )
        >>> result["accuracy"], result["macro_auroc"], result["per_class"]["pneumonia"]["sensitivity"]
        (0.75, 1.0, 1.0)
        >>> result["confusion_matrix"]
        [[1, 1], [0, 2]]
    """
    possible, probabilities = check_labels(true_index, probabilities, class_names)
    matrix, excluded = _confusion(possible, probabilities), excluded_counts(possible, probabilities)
    precision, recall, f1 = _precision_recall_f1(matrix, excluded)
    npv, specificity = _npv_specificity(matrix, excluded)
    columns = {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "auroc": _auroc(possible, probabilities),
        "support": matrix.sum(axis=1).tolist(),
        "sensitivity": recall,
        "specificity": specificity,
        "ppv": precision,
        "npv": npv,
        "average_precision": _average_precision(possible, probabilities),
    }
    per_class = {
        name: {metric: values[index] for metric, values in columns.items()}
        for index, name in enumerate(class_names)
    }
    values = {
        "accuracy": accuracy(possible, probabilities),
        "balanced_accuracy": _mean_of_defined(recall),
        "macro_f1": _mean_of_defined(f1),
        "macro_auroc": _mean_of_defined(columns["auroc"]),
        "micro_auroc": micro_auroc(possible, probabilities),
        "macro_average_precision": _mean_of_defined(columns["average_precision"]),
        "count": len(possible),
        "per_class": per_class,
        "class_names": list(class_names),
        "confusion_matrix": matrix.tolist(),
    }
    partial = describe_partial_labels(possible, class_names)
    return values | ({"partial_labels": partial} if partial["count"] else {})


def accuracy(true_index: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Computes the share of images whose predicted class is true; None if all labels are partial.

    Arguments and errors are those of `classification`.

    Example:
        >>> true_index = np.array([0, 1, 2, 2])
        >>> probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])
        >>> semenet.metrics.accuracy(true_index, probabilities)
        0.75
    """
    possible, probabilities = check_labels(true_index, probabilities)
    complete = possible.sum(axis=1) == 1
    if not complete.any():
        return None
    return float(np.mean(probabilities[complete].argmax(axis=1) == possible[complete].argmax(axis=1)))


def balanced_accuracy(true_index: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Computes the mean recall over the classes that have images; None if all labels are partial.

    Arguments and errors are those of `classification`.

    Example:
        >>> true_index = np.array([0, 1, 2, 2])
        >>> probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])
        >>> round(semenet.metrics.balanced_accuracy(true_index, probabilities), 3)
        0.833
    """
    possible, probabilities = check_labels(true_index, probabilities)
    recall = _recall(np.diagonal(matrix := _confusion(possible, probabilities)), matrix.sum(axis=1))
    return _mean_of_defined(recall)


def macro_f1(true_index: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Computes the mean F1 over the classes that have images; None if all labels are partial.

    Arguments and errors are those of `classification`.

    Example:
        >>> true_index = np.array([0, 1, 2, 2])
        >>> probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])
        >>> round(semenet.metrics.macro_f1(true_index, probabilities), 3)
        0.778
    """
    possible, probabilities = check_labels(true_index, probabilities)
    matrix, excluded = _confusion(possible, probabilities), excluded_counts(possible, probabilities)
    _, _, f1 = _precision_recall_f1(matrix, excluded)
    return _mean_of_defined(f1)


def macro_auroc(true_index: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Computes the mean one-vs-rest area under the ROC curve; None if all images are of one class.

    Arguments and errors are those of `classification`. Equal probabilities count half.

    Example:
        >>> true_index = np.array([0, 1, 2, 2])
        >>> probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])
        >>> round(semenet.metrics.macro_auroc(true_index, probabilities), 3)
        0.847
    """
    return _mean_of_defined(_auroc(*check_labels(true_index, probabilities)))


def micro_auroc(true_index: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Computes the area under the ROC curve of all decisions "image i is of class k" together.

    There are N * K decisions, fewer if labels are partial; None if all labels are.

    Arguments and errors are those of `classification`.

    Example:
        >>> true_index = np.array([0, 1, 2, 2])
        >>> probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])
        >>> round(semenet.metrics.micro_auroc(true_index, probabilities), 3)
        0.922
    """
    possible, probabilities = check_labels(true_index, probabilities)
    known = decided(possible)
    if not possible[known].any():
        return None
    return float(sk.roc_auc_score(possible[known], probabilities[known]))


def macro_average_precision(true_index: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Computes the mean one-vs-rest average precision; None if all images are of one class.

    Arguments and errors are those of `classification`.

    Example:
        >>> true_index = np.array([0, 1, 2, 2])
        >>> probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])
        >>> round(semenet.metrics.macro_average_precision(true_index, probabilities), 3)
        0.778
    """
    return _mean_of_defined(_average_precision(*check_labels(true_index, probabilities)))


def confusion_matrix(true_index: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Counts images by true class (row) and predicted class (column): int `(K, K)`.

    Images with a partial label are left out. Arguments and errors are those of `classification`.

    Example:
        >>> true_index = np.array([0, 1, 2, 2])
        >>> probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])
        >>> semenet.metrics.confusion_matrix(true_index, probabilities).tolist()
        [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    """
    return _confusion(*check_labels(true_index, probabilities))


def _confusion(possible: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    complete = possible.sum(axis=1) == 1
    classes = probabilities.shape[1]
    if not complete.any():
        return np.zeros((classes, classes), int)
    true, predicted = possible[complete].argmax(axis=1), probabilities[complete].argmax(axis=1)
    return sk.confusion_matrix(true, predicted, labels=range(classes))


def _precision_recall_f1(matrix: np.ndarray, excluded: np.ndarray) -> tuple[list[float | None], ...]:
    """Returns three lists of K floats, None where the metric is undefined."""
    correct, support, predicted = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0) + excluded[0]
    f1 = [
        None if not s else _ratio(2 * c, s + n) for c, n, s in zip(correct, predicted, support, strict=True)
    ]
    return _precision(correct, predicted, support), _recall(correct, support), f1


def _npv_specificity(
    matrix: np.ndarray, excluded: np.ndarray
) -> tuple[list[float | None], list[float | None]]:
    """Returns precision and recall of "another class": two lists of K floats, None where undefined."""
    support, predicted = matrix.sum(axis=1), matrix.sum(axis=0) + excluded[0]
    total = matrix.sum() + excluded.sum(axis=0)
    correct = total - support - predicted + np.diagonal(matrix)
    return _precision(correct, total - predicted, total - support), _recall(correct, total - support)


def _precision(correct: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> list[float | None]:
    return [
        None if not n and not s else _ratio(c, n) for c, n, s in zip(correct, predicted, support, strict=True)
    ]


def _recall(correct: np.ndarray, support: np.ndarray) -> list[float | None]:
    return [None if not s else _ratio(c, s) for c, s in zip(correct, support, strict=True)]


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0


def _auroc(possible: np.ndarray, probabilities: np.ndarray) -> list[float | None]:
    return _one_versus_rest(sk.roc_auc_score, possible, probabilities)


def _average_precision(possible: np.ndarray, probabilities: np.ndarray) -> list[float | None]:
    return _one_versus_rest(sk.average_precision_score, possible, probabilities)


def _one_versus_rest(
    metric: Callable[[np.ndarray, np.ndarray], float], possible: np.ndarray, probabilities: np.ndarray
) -> list[float | None]:
    """Computes a ranking metric of each class against the others: K floats, None if one side is empty."""
    values = []
    for of_class, known, score in zip(possible.T, decided(possible).T, probabilities.T, strict=True):
        is_true = of_class[known]
        defined = is_true.any() and not is_true.all()
        values.append(float(metric(is_true, score[known])) if defined else None)
    return values


def _mean_of_defined(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
