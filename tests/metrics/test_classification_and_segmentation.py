import json

import numpy as np
import pytest
from sklearn import metrics as sk

from semenet import metrics

CLASSES = ("normal", "bacteria", "virus")
SINGLE = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_auroc",
    "micro_auroc",
    "macro_average_precision",
)
# Six images: predicted 0 0 1 1 1 2 for true 0 0 0 1 1 2.
TRUE = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.6, 0.3, 0.1],
        [0.2, 0.5, 0.3],
        [0.1, 0.7, 0.2],
        [0.3, 0.4, 0.3],
        [0.25, 0.15, 0.6],
    ]
)


def random_predictions(seed, count=200, classes=3):
    generator = np.random.default_rng(seed)
    true = generator.integers(classes, size=count)
    true[:classes] = np.arange(classes)
    scores = generator.normal(size=(count, classes)) + 1.2 * np.eye(classes)[true]
    # Rounding creates ties within columns and rows.
    probabilities = np.round(np.exp(scores) / np.exp(scores).sum(1, keepdims=True), 2)
    return true, probabilities


def test_metrics_equal_the_values_computed_by_hand():
    figures = metrics.classification(TRUE, PROBABILITIES, CLASSES)
    assert figures["confusion_matrix"] == [[2, 1, 0], [0, 2, 0], [0, 0, 1]]
    assert figures["count"] == 6
    assert figures["class_names"] == ["normal", "bacteria", "virus"]
    assert figures["accuracy"] == pytest.approx(5 / 6)
    normal, bacteria, virus = (figures["per_class"][name] for name in CLASSES)
    # normal: 0.8, 0.6, 0.2 against 0.1, 0.3, 0.25: seven of nine pairs in the right order.
    # Average precision: 0.8 and 0.6 have ranks 1 and 2, 0.2 has rank 5: precisions 1, 1 and 3 of 5.
    assert normal == pytest.approx(
        {
            "precision": 1,
            "recall": 2 / 3,
            "f1": 4 / 5,
            "auroc": 7 / 9,
            "support": 3,
            "sensitivity": 2 / 3,
            "specificity": 3 / 3,
            "ppv": 2 / 2,
            "npv": 3 / 4,
            "average_precision": (1 + 1 + 3 / 5) / 3,
        }
    )
    # bacteria: 0.7, 0.4 against 0.1, 0.3, 0.5, 0.15: seven of eight.
    # In order of score: bacteria, another class, bacteria.
    assert bacteria == pytest.approx(
        {
            "precision": 2 / 3,
            "recall": 1,
            "f1": 4 / 5,
            "auroc": 7 / 8,
            "support": 2,
            "sensitivity": 2 / 2,
            "specificity": 3 / 4,
            "ppv": 2 / 3,
            "npv": 3 / 3,
            "average_precision": (1 + 2 / 3) / 2,
        }
    )
    assert virus.pop("support") == 1
    assert set(virus.values()) == {1}
    assert figures["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert figures["macro_average_precision"] == pytest.approx((13 / 15 + 5 / 6 + 1) / 3)
    assert figures["macro_f1"] == pytest.approx((0.8 + 0.8 + 1) / 3)
    assert figures["macro_auroc"] == pytest.approx((7 / 9 + 7 / 8 + 1) / 3)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_agrees_with_scikit_learn(classes):
    true, probabilities = random_predictions(classes, classes=classes)
    names = [f"class {index}" for index in range(classes)]
    figures = metrics.classification(true, probabilities, names)
    predicted = probabilities.argmax(1)
    one_hot = np.eye(classes)[true]
    assert figures["accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
    assert figures["macro_f1"] == pytest.approx(sk.f1_score(true, predicted, average="macro"))
    for average in ("macro", "micro"):
        expected = sk.roc_auc_score(one_hot, probabilities, average=average)
        assert figures[f"{average}_auroc"] == pytest.approx(expected)
    assert figures["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(true, predicted))
    macro = sk.average_precision_score(one_hot, probabilities, average="macro")
    assert figures["macro_average_precision"] == pytest.approx(macro)
    precision, recall, f1, support = sk.precision_recall_fscore_support(true, predicted)
    (tn, fn), (fp, tp) = sk.multilabel_confusion_matrix(true, predicted).T
    expected = {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "auroc": sk.roc_auc_score(one_hot, probabilities, average=None),
        "support": support,
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "ppv": tp / (tp + fp),
        "npv": tn / (tn + fn),
        "average_precision": sk.average_precision_score(one_hot, probabilities, average=None),
    }
    for index, name in enumerate(names):
        found = figures["per_class"][name]
        assert list(found) == list(expected)
        assert found == pytest.approx({figure: values[index] for figure, values in expected.items()})
    assert figures["confusion_matrix"] == sk.confusion_matrix(true, predicted).tolist()


def test_single_metrics_equal_those_of_classification():
    true, probabilities = random_predictions(7)
    figures = metrics.classification(true, probabilities, CLASSES)
    for name in SINGLE:
        assert getattr(metrics, name)(true, probabilities) == figures[name]


def test_a_class_without_images():
    # No image is of the class virus, but it is predicted for the last image.
    true = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.3, 0.7, 0], [0.2, 0.3, 0.5]])
    figures = metrics.classification(true, probabilities, CLASSES)
    assert figures["per_class"]["virus"] == {
        "precision": 0.0,
        "recall": None,
        "f1": None,
        "auroc": None,
        "support": 0,
        "sensitivity": None,
        "specificity": 3 / 4,
        "ppv": 0.0,
        "npv": 1.0,
        "average_precision": None,
    }
    assert figures["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    # normal 1; bacteria: 0.7, then 0.4 of another class, then 0.3.
    assert figures["macro_average_precision"] == pytest.approx((1 + (1 + 2 / 3) / 2) / 2)
    assert figures["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    # normal 1; bacteria 0.7, 0.3 against 0.1, 0.4: three of four.
    assert figures["macro_auroc"] == pytest.approx((1 + 0.75) / 2)
    never_predicted = metrics.classification(true[:3], probabilities[:3], CLASSES)
    assert never_predicted["per_class"]["virus"]["precision"] is None


def test_a_class_that_is_never_predicted_has_a_precision_of_0():
    figures = metrics.classification(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]), "ab")
    assert figures["per_class"]["b"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "auroc": 1.0,
        "support": 1,
        "sensitivity": 0.0,
        "specificity": 1.0,
        "ppv": 0.0,
        "npv": 0.5,
        "average_precision": 1.0,
    }
    # For "a", "another class" was never predicted, but has an image.
    assert figures["per_class"]["a"]["npv"] == 0.0
    assert figures["per_class"]["a"]["specificity"] == 0.0


def test_without_images_of_another_class_there_is_no_specificity():
    figures = metrics.classification(np.array([0, 0]), np.array([[0.9, 0.1], [0.8, 0.2]]), "ab")
    assert figures["per_class"]["a"]["specificity"] is None
    assert figures["per_class"]["a"]["npv"] is None
    wrong_once = metrics.classification(np.array([0, 0]), np.array([[0.9, 0.1], [0.2, 0.8]]), "ab")
    assert wrong_once["per_class"]["a"]["specificity"] is None
    assert wrong_once["per_class"]["a"]["npv"] == 0.0


def test_images_of_a_single_class():
    true, probabilities = np.array([1, 1]), np.array([[0.2, 0.8], [0.6, 0.4]])
    figures = metrics.classification(true, probabilities, "ab")
    # Without negatives, any scores would have an average precision of 1.
    for name in ("auroc", "average_precision"):
        assert figures[f"macro_{name}"] is None
        assert getattr(metrics, f"macro_{name}")(true, probabilities) is None
        assert [of_class[name] for of_class in figures["per_class"].values()] == [None, None]
    assert figures["accuracy"] == figures["balanced_accuracy"] == 0.5
    assert figures["macro_f1"] == pytest.approx(2 / 3)
    # Positives 0.8, 0.4; negatives 0.2, 0.6.
    assert figures["micro_auroc"] == pytest.approx(3 / 4)
    assert "NaN" not in json.dumps(figures)


def test_equal_probabilities():
    true, equal = np.array([0, 1, 0, 1]), np.full((4, 2), 0.5)
    assert metrics.macro_auroc(true, equal) == 0.5
    assert metrics.micro_auroc(true, equal) == 0.5
    # There is one threshold, at which half of the images are of the class.
    assert metrics.macro_average_precision(true, equal) == 0.5
    # Of equal classes the first is predicted.
    assert metrics.confusion_matrix(true, equal).tolist() == [[2, 0], [2, 0]]


@pytest.mark.parametrize(
    ("true", "probabilities", "message"),
    [
        (np.zeros(0, int), np.zeros((0, 3)), "at least one image"),
        ([0], [[1.0]], "two classes"),
        ([0, 1], [[0.5, 0.5]], "one for each row"),
        ([0.0], [[0.5, 0.5]], "must be integers"),
        ([2], [[0.5, 0.5]], r"must lie in \[0, 2\).*Received: classes from 2 to 2"),
        ([-1], [[0.5, 0.5]], r"must lie in \[0, 2\)"),
        ([0], [[np.nan, 0.5]], "Received: 1 NaN among 2 values, the others from 0.5 to 0.5"),
        ([0], [[np.nan, np.nan]], "Received: 2 NaN among 2"),
        ([0], [[1.5, -0.5]], "from -0.5 to 1.5.*softmax"),
        ([0], [[np.inf, 0.5]], "to inf"),
    ],
)
def test_invalid_input_raises(true, probabilities, message):
    for name in SINGLE:
        with pytest.raises(ValueError, match=message):
            getattr(metrics, name)(np.array(true), np.array(probabilities))


def test_a_wrong_number_of_class_names_raises():
    with pytest.raises(
        ValueError, match=r"Each column of the probabilities must have one class name.*Received: 2 names"
    ):
        metrics.classification(TRUE, PROBABILITIES, ("normal", "bacteria"))


def test_rounding_errors_of_softmax_are_accepted():
    assert metrics.accuracy(np.array([0]), np.float32([[1.0000002, 0]])) == 1


def test_the_area_under_the_roc_curve_is_the_auroc():
    true, probabilities = random_predictions(11, classes=2)
    x, y = metrics.roc_curve(true == 1, probabilities[:, 1])
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    area = np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)
    assert area == pytest.approx(sk.roc_auc_score(true, probabilities[:, 1]))


def test_overlap_equals_the_values_computed_by_hand():
    # A 4 x 4 image; 4 true pixels, 6 predicted, 2 in both: the union has 8. Outside: 8 of 14.
    true, probabilities = np.zeros((2, 4, 4)), np.zeros((2, 4, 4))
    true[0, 0] = 1
    probabilities[0, 0, :2] = 0.5
    probabilities[0, 1] = 0.9
    probabilities[0, 2:] = 0.49
    scores = metrics.overlap(true, probabilities)
    assert scores["dice"] == pytest.approx([2 * 2 / (4 + 6), 1])
    assert scores["iou"] == pytest.approx([2 / 8, 1])
    assert scores["mean_iou"] == pytest.approx([(2 / 8 + 8 / 14) / 2, 1])
    means = metrics.segmentation(true, probabilities)
    assert means == pytest.approx(
        {
            "dice": (0.4 + 1) / 2,
            "iou": (0.25 + 1) / 2,
            "mean_iou": ((2 / 8 + 8 / 14) / 2 + 1) / 2,
            "count": 2,
        }
    )
    assert metrics.segmentation(true[..., None], probabilities[..., None]) == means
    assert metrics.segmentation(true, probabilities, threshold=0.6)["iou"] == pytest.approx(0.5)


def test_overlap_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    true = generator.integers(2, size=(5, 9, 7))
    probabilities = generator.random((5, 9, 7))
    scores = metrics.overlap(true, probabilities)
    for index in range(5):
        flat = true[index].ravel(), probabilities[index].ravel() >= 0.5
        assert scores["dice"][index] == pytest.approx(sk.f1_score(*flat))
        assert scores["iou"][index] == pytest.approx(sk.jaccard_score(*flat))
        assert scores["mean_iou"][index] == pytest.approx(sk.jaccard_score(*flat, average="macro"))


@pytest.mark.parametrize(
    ("true", "probabilities", "message"),
    [
        (np.zeros((0, 4, 4)), np.zeros((0, 4, 4)), "one or more images"),
        (np.zeros((2, 4, 4)), np.zeros((2, 4, 4, 1)), "the same shape"),
        (np.full((1, 2, 2), 255), np.zeros((1, 2, 2)), "0 outside and 1 inside.*to 255"),
        (np.zeros((1, 2, 2)), np.full((1, 2, 2), np.nan), "4 NaN"),
        (np.zeros((1, 2, 2)), np.full((1, 2, 2), 3.0), "to 3.0"),
    ],
)
def test_invalid_masks_raise(true, probabilities, message):
    with pytest.raises(ValueError, match=message):
        metrics.segmentation(true, probabilities)


def test_nested_metrics_get_dotted_keys():
    figures = metrics.classification(TRUE, PROBABILITIES, CLASSES)
    flat = metrics.add_dotted_keys(figures)
    assert {key: flat[key] for key in figures} == figures
    added = set(flat) - set(figures)
    assert added == {
        f"per_class.{name}.{figure}" for name in CLASSES for figure in figures["per_class"][name]
    }
    assert flat["per_class.virus.support"] == 1
    assert flat["per_class.normal.recall"] == pytest.approx(2 / 3)
