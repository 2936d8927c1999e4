import numpy as np
import pytest
from sklearn import metrics as sk

from semenet import metrics
from semenet.metrics import resampled_metrics

CLASSES = ("normal", "bacteria", "virus")


def predictions(seed, count=60, classes=3, decimals=1):
    """Draws random classes, and probabilities rounded so that many are equal."""
    generator = np.random.default_rng(seed)
    true = generator.integers(classes, size=count)
    true[:classes] = np.arange(classes)
    scores = generator.normal(size=(count, classes)) + np.eye(classes)[true]
    return true, np.round(np.exp(scores) / np.exp(scores).sum(1, keepdims=True), decimals)


def flat_floats(values):
    """Returns all float metrics under dotted keys, with NaN for None."""
    return {
        name: np.nan if value is None else value
        for name, value in metrics.add_dotted_keys(values).items()
        if value is None or isinstance(value, float)
    }


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_weights_of_1_give_the_metrics_of_the_images(classes):
    true, probabilities = predictions(classes, classes=classes)
    names = [f"class {index}" for index in range(classes)]
    found = metrics.resampled_classification(true, probabilities, names, np.ones((2, len(true)), int))
    expected = flat_floats(metrics.classification(true, probabilities, names))
    expected |= {
        "brier": metrics.brier_score(true, probabilities),
        "ece": metrics.expected_calibration_error(true, probabilities),
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], [value, value], rtol=0, atol=1e-12, err_msg=name)


def test_weights_count_as_repeated_rows():
    true, probabilities = predictions(1, count=25)
    weights = np.random.default_rng(2).integers(0, 3, size=(40, 25))
    # Resamples without one of the classes, and a resample of one class.
    weights[0, true == 1] = 0
    weights[1, true != 2] = 0
    weights[2] = np.eye(25)[3]
    found = metrics.resampled_classification(true, probabilities, CLASSES, weights)
    for row, counts in enumerate(weights):
        repeated = np.repeat(np.arange(25), counts)
        expected = flat_floats(metrics.classification(true[repeated], probabilities[repeated], CLASSES))
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value, abs=1e-12, nan_ok=True), (row, name)


@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
def test_weighted_metrics_equal_those_of_scikit_learn(dtype):
    true, probabilities = predictions(3)
    generator = np.random.default_rng(4)
    weights = generator.integers(0, 4, size=(20, 60)).astype(dtype)
    if dtype is np.float64:
        weights *= generator.random((20, 60))
    predicted, one_hot = probabilities.argmax(1), np.eye(3)[true]
    found = metrics.resampled_classification(true, probabilities, CLASSES, weights)
    for row, weight in enumerate(weights):
        given = {"sample_weight": weight}
        precision, recall, f1, _ = sk.precision_recall_fscore_support(true, predicted, **given)
        auroc = sk.roc_auc_score(one_hot, probabilities, average=None, **given)
        average_precision = sk.average_precision_score(one_hot, probabilities, average=None, **given)
        two_by_two = sk.multilabel_confusion_matrix(true, predicted, sample_weight=weight)
        tn, fp, fn, tp = two_by_two.reshape(-1, 4).T
        expected = {
            "accuracy": sk.accuracy_score(true, predicted, **given),
            "balanced_accuracy": sk.balanced_accuracy_score(true, predicted, **given),
            "macro_f1": f1.mean(),
            "macro_auroc": auroc.mean(),
            "micro_auroc": sk.roc_auc_score(one_hot, probabilities, average="micro", **given),
            "macro_average_precision": average_precision.mean(),
            "brier": np.average(((probabilities - one_hot) ** 2).sum(1), weights=weight),
        }
        for index, name in enumerate(CLASSES):
            expected |= {
                f"per_class.{name}.precision": precision[index],
                f"per_class.{name}.ppv": tp[index] / (tp[index] + fp[index]),
                f"per_class.{name}.recall": recall[index],
                f"per_class.{name}.sensitivity": tp[index] / (tp[index] + fn[index]),
                f"per_class.{name}.specificity": tn[index] / (tn[index] + fp[index]),
                f"per_class.{name}.npv": tn[index] / (tn[index] + fn[index]),
                f"per_class.{name}.f1": f1[index],
                f"per_class.{name}.auroc": auroc[index],
                f"per_class.{name}.average_precision": average_precision[index],
            }
        measured = {name: values[row] for name, values in found.items() if name != "ece"}
        assert measured == pytest.approx(expected)


def test_calibration_metrics_equal_the_values_computed_by_hand():
    # The second image has a confidence of 0.62, in the bin (9/15, 10/15] of the first; it counts twice.
    true = np.array([0, 1, 0])
    probabilities = np.array([[0.65, 0.35], [0.62, 0.38], [0.1, 0.9]])
    found = metrics.resampled_classification(true, probabilities, "ab", np.array([[1, 2, 1], [0, 0, 3]]))
    first = abs(1 - 0.65 + 2 * (0 - 0.62)) / 4
    assert found["ece"] == pytest.approx([first + 0.9 / 4, 0.9])
    squares = 2 * np.array([0.35, 0.62, 0.9]) ** 2
    assert found["brier"] == pytest.approx([squares @ [1, 2, 1] / 4, squares[2]])


def test_a_bin_of_the_calibration_error_includes_its_upper_limit():
    # 0.6 is the upper limit of (8/15, 9/15]; 0.61 and 1 are in other bins.
    probabilities = np.array([[0.6, 0.4], [0.61, 0.39], [1, 0]])
    found = metrics.resampled_classification(np.array([1, 0, 0]), probabilities, "ab", np.ones((1, 3)))
    assert found["ece"] == pytest.approx([(0.6 + 0.39 + 0) / 3])


def test_weights_of_0_leave_every_metric_undefined():
    true, probabilities = predictions(5)
    weights = np.stack([np.zeros(60), np.ones(60)])
    found = metrics.resampled_classification(true, probabilities, CLASSES, weights)
    assert all(np.isnan(values[0]) and np.isfinite(values[1]) for values in found.values())


def test_the_size_of_chunks_does_not_change_the_result(monkeypatch):
    true, probabilities = predictions(6)
    weights = np.random.default_rng(0).integers(0, 3, size=(11, 60))
    whole = metrics.resampled_classification(true, probabilities, CLASSES, weights)
    monkeypatch.setattr(resampled_metrics, "_CHUNK_NUMBERS", 3 * probabilities.size)
    for name, values in metrics.resampled_classification(true, probabilities, CLASSES, weights).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-14, err_msg=name)


def test_rounding_errors_of_softmax_are_accepted():
    found = metrics.resampled_classification(
        np.array([0, 1]), np.float32([[1.0000002, 0], [0, 1]]), "ab", np.ones((1, 2))
    )
    assert found["accuracy"] == [1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(60), r"array \(B, N\).*Received: shape \(60,\) for 60 images"),
        (np.ones((2, 59)), r"Received: shape \(2, 59\)"),
        (np.ones((0, 60)), "one or more rows"),
        (-np.ones((1, 60)), "0 or more. Received: values from -1.0"),
        (np.full((1, 60), np.nan), "finite"),
    ],
)
def test_invalid_weights_raise(weights, message):
    true, probabilities = predictions(7)
    with pytest.raises(ValueError, match=message):
        metrics.resampled_classification(true, probabilities, CLASSES, weights)


def test_invalid_predictions_raise():
    with pytest.raises(ValueError, match="1 NaN among 2"):
        metrics.resampled_classification(np.array([0]), np.array([[np.nan, 1]]), "ab", np.ones((1, 1)))
    with pytest.raises(ValueError, match="Each column of the probabilities must have one class name"):
        metrics.resampled_classification(np.array([0]), np.array([[0.0, 1]]), "abc", np.ones((1, 1)))
