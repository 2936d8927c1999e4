"""Figures of a classification, from arrays.

Classes are numbered from 0, in the order of the network's outputs. A prediction is the class of the
highest probability, the first of equal ones.
"""

import numpy as np
from sklearn import metrics as sk

from semenet.errors import SemenetError
from semenet.metrics.probabilities import check_probabilities


def classification(true_index, probabilities, class_names):
    """All figures of a classification.

    A class that no image has (`support` 0) has neither recall, F1, AUROC nor average precision, and no
    precision either unless it was predicted; AUROC and average precision also need an image of another
    class, without which every order of the images is as good, and average precision 1 for any scores. What
    is undefined is None, and the macro means are over the classes that have the figure. A class that
    images have but that was never predicted has precision and F1 of 0.

    Of each class against all others together, at the class predicted: `sensitivity` is recall and
    `ppv` precision by their clinical names; `specificity` and `npv` are the recall and the precision
    of "another class", by the same rules: specificity is undefined if all images are of the class, and
    npv is 0 if images of another class were never predicted to be one, undefined if there are none either.
    The predictive values hold for shares of the classes as in these images, which are seldom a clinic's.

    Args:
        true_index: int array `(N,)`, each image's class, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1]. Rows need not add up to 1.
        class_names: K str, in the order of the columns.

    Returns:
        dict, ready for JSON: floats `accuracy`, `balanced_accuracy`, `macro_f1`, `macro_auroc`
        (one-vs-rest; None if no class has one), `micro_auroc` (over all N * K decisions),
        `macro_average_precision`, int `count` (N), `per_class` {name: {`precision`, `recall`, `f1`,
        `auroc`, `support`, `sensitivity`, `specificity`, `ppv`, `npv`, `average_precision`}},
        `class_names` and `confusion_matrix` (K lists of K counts, a row a true class, a column a
        predicted one).

    Raises:
        ValueError: for no images, fewer than two classes, shapes that do not fit, a class outside
            [0, K), or a probability that is NaN or outside [0, 1].

    Reference:
        Davis & Goadrich 2006: average precision is the area of the steps under the precision-recall curve,
        since straight lines between its points would flatter.
    """
    true_index, probabilities = checked(true_index, probabilities, class_names)
    matrix = confusion_matrix(true_index, probabilities)
    precision, recall, f1 = _precision_recall_f1(matrix)
    npv, specificity = _npv_specificity(matrix)
    columns = {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "auroc": _auroc(true_index, probabilities),
        "support": matrix.sum(axis=1).tolist(),
        "sensitivity": recall,
        "specificity": specificity,
        "ppv": precision,
        "npv": npv,
        "average_precision": _average_precision(true_index, probabilities),
    }
    per_class = {
        name: {figure: values[index] for figure, values in columns.items()}
        for index, name in enumerate(class_names)
    }
    return {
        "accuracy": accuracy(true_index, probabilities),
        "balanced_accuracy": _mean_of_defined(recall),
        "macro_f1": _mean_of_defined(f1),
        "macro_auroc": _mean_of_defined(columns["auroc"]),
        "micro_auroc": micro_auroc(true_index, probabilities),
        "macro_average_precision": _mean_of_defined(columns["average_precision"]),
        "count": len(true_index),
        "per_class": per_class,
        "class_names": list(class_names),
        "confusion_matrix": matrix.tolist(),
    }


def accuracy(true_index, probabilities):
    """Share of the images whose class is predicted; arguments and errors as in `classification`."""
    true_index, probabilities = checked(true_index, probabilities)
    return float(np.mean(probabilities.argmax(axis=1) == true_index))


def balanced_accuracy(true_index, probabilities):
    """Mean recall of the classes that images have; arguments and errors as in `classification`."""
    _, recall, _ = _precision_recall_f1(confusion_matrix(true_index, probabilities))
    return _mean_of_defined(recall)


def macro_f1(true_index, probabilities):
    """Mean F1 of the classes that images have; arguments and errors as in `classification`."""
    _, _, f1 = _precision_recall_f1(confusion_matrix(true_index, probabilities))
    return _mean_of_defined(f1)


def macro_auroc(true_index, probabilities):
    """Mean one-vs-rest area under the ROC curve; None where all images are of one class.

    Arguments and errors as in `classification`. Equal probabilities count half.
    """
    return _mean_of_defined(_auroc(*checked(true_index, probabilities)))


def micro_auroc(true_index, probabilities):
    """Area under the ROC curve of all N * K decisions "image i is of class k" together.

    Arguments and errors as in `classification`.
    """
    true_index, probabilities = checked(true_index, probabilities)
    return float(sk.roc_auc_score(_one_hot(true_index, probabilities).ravel(), probabilities.ravel()))


def macro_average_precision(true_index, probabilities):
    """Mean one-vs-rest average precision; None where all images are of one class.

    Arguments and errors as in `classification`.
    """
    return _mean_of_defined(_average_precision(*checked(true_index, probabilities)))


def confusion_matrix(true_index, probabilities):
    """Counts of images, int `(K, K)`: a row a true class, a column a predicted one.

    Arguments and errors as in `classification`.
    """
    true_index, probabilities = checked(true_index, probabilities)
    labels = range(probabilities.shape[1])
    return sk.confusion_matrix(true_index, probabilities.argmax(axis=1), labels=labels)


def roc_curve(is_true, score):
    """False and true positive rates over all thresholds.

    Args:
        is_true: bool array `(N,)`, with both values.
        score: float array `(N,)`, higher where it is rather true.

    Returns:
        float arrays `(M,)`, both rising from 0 to 1.
    """
    false_positive, true_positive, _ = sk.roc_curve(is_true, score)
    return false_positive, true_positive


def precision_recall_curve(is_true, score):
    """Recall and precision over all thresholds.

    Args:
        is_true: bool array `(N,)`, true somewhere.
        score: float array `(N,)`, higher where it is rather true.

    Returns:
        float arrays `(M,)`: recall, rising from 0 to 1, and precision.
    """
    precision, recall, _ = sk.precision_recall_curve(is_true, score)
    return recall[::-1], precision[::-1]


def checked(true_index, probabilities, class_names=None):
    """The arrays that figures of a classification are taken from, or the errors of `classification`.

    Args:
        true_index: as in `classification`.
        probabilities: as in `classification`.
        class_names: as in `classification`, or None where the figures name no class.

    Returns:
        `true_index` and `probabilities` as arrays.
    """
    true_index, probabilities = np.asarray(true_index), np.asarray(probabilities)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or not len(probabilities):
        raise SemenetError(
            "Probabilities must be an array (N, K) of at least one image and two classes. "
            f"Received: shape {probabilities.shape}. Give a column a class."
        )
    if true_index.shape != probabilities.shape[:1] or true_index.dtype.kind not in "iu":
        raise SemenetError(
            "The true classes must be integers, one for each row of the probabilities. "
            f"Received: {true_index.dtype} of shape {true_index.shape} for {len(probabilities)} "
            "rows. Give class numbers, not names or one-hot rows."
        )
    classes = probabilities.shape[1]
    if true_index.min() < 0 or true_index.max() >= classes:
        raise SemenetError(
            f"A true class must lie in [0, {classes}), the number of columns of the probabilities. "
            f"Received: classes from {true_index.min()} to {true_index.max()}. "
            "Number the classes in the order of the model's outputs."
        )
    check_probabilities(probabilities)
    if class_names is not None and len(class_names) != classes:
        raise SemenetError(
            "There must be one class name for each column of the probabilities. "
            f"Received: {len(class_names)} names for {classes} columns. "
            "Name the model's own classes, in the order of its outputs."
        )
    return true_index, probabilities


def _one_hot(true_index, probabilities):
    return true_index[:, None] == np.arange(probabilities.shape[1])


def _precision_recall_f1(matrix):
    """Three lists of K floats, None where the figure is undefined."""
    correct, support, predicted = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    f1 = [
        None if not s else _ratio(2 * c, s + n) for c, n, s in zip(correct, predicted, support, strict=True)
    ]
    return _precision(correct, predicted, support), _recall(correct, support), f1


def _npv_specificity(matrix):
    """Precision and recall of what is not the class: two lists of K floats, None where undefined."""
    total, support, predicted = matrix.sum(), matrix.sum(axis=1), matrix.sum(axis=0)
    correct = total - support - predicted + np.diagonal(matrix)
    return _precision(correct, total - predicted, total - support), _recall(correct, total - support)


def _precision(correct, predicted, support):
    return [
        None if not n and not s else _ratio(c, n) for c, n, s in zip(correct, predicted, support, strict=True)
    ]


def _recall(correct, support):
    return [None if not s else _ratio(c, s) for c, s in zip(correct, support, strict=True)]


def _ratio(part, whole):
    return float(part / whole) if whole else 0.0


def _auroc(true_index, probabilities):
    return _against_rest(sk.roc_auc_score, true_index, probabilities)


def _average_precision(true_index, probabilities):
    return _against_rest(sk.average_precision_score, true_index, probabilities)


def _against_rest(score, true_index, probabilities):
    """What ranks each class's images against the others': K floats, None where there are none of either."""
    is_true = _one_hot(true_index, probabilities)
    return [
        float(score(of_class, probabilities[:, index])) if of_class.any() and not of_class.all() else None
        for index, of_class in enumerate(is_true.T)
    ]


def _mean_of_defined(values):
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
