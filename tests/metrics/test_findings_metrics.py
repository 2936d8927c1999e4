import numpy as np
import pytest
from sklearn import metrics as sk

from semenet import metrics
from semenet.errors import SemenetError
from semenet.metrics.findings_metrics import findings, findings_intervals, youden_threshold

NAMES = ("a", "b")


def random_set(seed, count=80):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 2, (count, 2))
    return labels, rng.random((count, 2)), rng.integers(0, 40, count)


def test_each_finding_is_measured_where_it_is_known():
    labels = np.array([[1, 1], [0, -1], [1, 0], [-1, 1]])
    probabilities = np.array([[0.9, 0.4], [0.6, 0.9], [0.5, 0.5], [0.1, 0.8]])
    found = findings(labels, probabilities, NAMES, (0.7, 0.45))
    first, second = found["per_class"]["a"], found["per_class"]["b"]
    assert (first["support"], first["without"], first["not_known"]) == (2, 1, 1)
    # 0.9 and 0.5 against 0.6.
    assert first["auroc"] == 0.5
    assert (first["sensitivity"], first["specificity"], first["ppv"], first["npv"]) == (0.5, 1, 1, 0.5)
    # 0.4 and 0.8 against 0.5.
    assert second["auroc"] == 0.5
    assert (second["sensitivity"], second["specificity"]) == (0.5, 0)
    assert found["macro_auroc"] == 0.5
    assert found["count"] == 4


def test_a_finding_of_one_kind_is_undefined_and_left_out_of_the_mean():
    labels = np.array([[1, 1], [0, 1], [0, -1]])
    found = findings(labels, np.array([[0.9, 0.4], [0.6, 0.9], [0.5, 0.5]]), NAMES)
    assert found["per_class"]["b"]["auroc"] is None
    assert found["per_class"]["b"]["specificity"] is None
    assert found["macro_auroc"] == found["per_class"]["a"]["auroc"] == 1
    nothing = findings(np.full((2, 2), -1), np.zeros((2, 2)), NAMES)
    assert nothing["macro_auroc"] is None
    assert nothing["per_class"]["a"]["sensitivity"] is None


def test_intervals_are_those_of_patients_resampled_by_hand():
    labels, probabilities, patients = random_set(1)
    found = findings_intervals(labels, probabilities, NAMES, patients, (0.3, 0.6), resamples=300)
    areas, sensitivities = [], []
    for weights in metrics.PatientBootstrap(patients, 300, 0):
        for weight in weights:
            images = np.repeat(np.arange(len(labels)), weight)
            values = findings(labels[images], probabilities[images], NAMES, (0.3, 0.6))
            areas.append(values["macro_auroc"])
            sensitivities.append(values["per_class"]["b"]["sensitivity"])
    assert found["macro_auroc"] == pytest.approx(np.quantile(areas, [0.025, 0.975]))
    assert found["per_class.b.sensitivity"] == pytest.approx(np.quantile(sensitivities, [0.025, 0.975]))
    assert set(found) == {"macro_auroc", "macro_average_precision"} | {
        f"per_class.{name}.{metric}"
        for name in NAMES
        for metric in ("auroc", "average_precision", "sensitivity", "specificity", "ppv", "npv")
    }


def test_one_patient_has_no_interval():
    labels, probabilities, _ = random_set(1)
    found = findings_intervals(labels, probabilities, NAMES, ["p"] * len(labels), resamples=200)
    assert set(found.values()) == {None}


@pytest.mark.parametrize("seed", range(5))
def test_youden_is_the_best_of_all_thresholds(seed):
    rng = np.random.default_rng(seed)
    is_true, score = rng.random(40) < 0.4, np.round(rng.random(40), 1).astype("float32")
    sums = {t: np.mean(score[is_true] >= t) + np.mean(score[~is_true] < t) for t in np.unique(score)}
    chosen = youden_threshold(is_true, score)
    assert sums[np.float32(chosen)] == max(sums.values())


def test_youden_needs_both_kinds():
    assert youden_threshold(np.array([True, True]), np.array([0.1, 0.2])) is None


@pytest.mark.parametrize(
    ("labels", "probabilities", "words"),
    [
        (np.zeros((3, 3)), np.zeros((3, 2)), "name for each column"),
        (np.zeros((3, 2)), np.zeros((2, 2)), "a probability for each label"),
        (np.zeros((1, 2)), np.full((1, 2), np.nan), "must not be NaN"),
    ],
)
def test_invalid_input(labels, probabilities, words):
    with pytest.raises(SemenetError, match=words):
        findings(labels, probabilities, NAMES)


def test_average_precision_agrees_with_scikit_learn():
    labels, probabilities, _ = random_set(4)
    known = labels[:, 0] >= 0
    expected = sk.average_precision_score(labels[known, 0], probabilities[known, 0])
    assert findings(labels, probabilities, NAMES)["per_class"]["a"]["average_precision"] == expected
