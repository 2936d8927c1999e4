import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from semenet import metrics
from semenet.metrics import patient_resamples
from semenet.metrics.patient_bootstrap import classification_intervals, mean_intervals, paired_intervals
from semenet.metrics.patient_resamples import PatientBootstrap

CLASSES = ("normal", "bacteria", "virus")


def predictions(seed, patients=20, images_each=3, signal=1.0):
    """Draws a class per patient, and probabilities whose noise a patient's images share in part."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), images_each)
    true = np.arange(patients)[patient] % 3
    noise = generator.normal(size=(patients, 3))[patient] + generator.normal(size=(len(patient), 3))
    scores = signal * np.eye(3)[true] + noise
    return true, np.exp(scores) / np.exp(scores).sum(1, keepdims=True), patient


def test_a_resample_has_as_many_patients_and_all_images_of_each():
    patients = ["b", "a", "b", "c", "b", "a", "d"]
    weights = np.concatenate(list(PatientBootstrap(patients, resamples=500)))
    assert weights.shape == (500, 7)
    assert weights.dtype == np.uint16
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] == weights[:, 4]).all()
    assert (weights[:, 1] == weights[:, 5]).all()
    per_patient = weights[:, [0, 1, 3, 6]].astype(int)
    assert (per_patient.sum(axis=1) == 4).all()


def test_draws_are_multinomial():
    weights = np.concatenate(list(PatientBootstrap(range(4), resamples=20_000, seed=5))).astype(int)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.03)
    # Multinomial counts of four draws: variance 4 * 1/4 * 3/4, covariance -4 * 1/4 * 1/4.
    np.testing.assert_allclose(np.cov(weights.T), np.eye(4) - 1 / 4, atol=0.03)
    shares = np.bincount(weights[:, 0], minlength=5)[:5] / 20_000
    np.testing.assert_allclose(shares, stats.binom.pmf(range(5), 4, 1 / 4), atol=0.015)


def test_resamples_depend_on_the_seed_and_not_on_the_chunks(monkeypatch):
    def drawn(seed):
        return np.concatenate(list(PatientBootstrap(range(50), resamples=100, seed=seed)))

    whole = drawn(0)
    assert (drawn(0) == whole).all()
    assert (drawn(1) != whole).any()
    monkeypatch.setattr(patient_resamples, "_CHUNK_WEIGHTS", 50 * 7)
    assert len(next(iter(PatientBootstrap(range(50), resamples=100)))) == 7
    assert (drawn(0) == whole).all()


def test_an_interval_equals_that_of_scikit_learn_on_repeated_rows():
    true, probabilities, patient = predictions(0)
    found = classification_intervals(true, probabilities, CLASSES, patient, resamples=200, seed=3, level=0.8)
    by_hand = []
    for weights in np.concatenate(list(PatientBootstrap(patient, 200, 3))):
        rows = np.repeat(np.arange(len(true)), weights)
        by_hand.append(
            [
                sk.accuracy_score(true[rows], probabilities[rows].argmax(1)),
                sk.roc_auc_score(true[rows] == 2, probabilities[rows, 2]),
            ]
        )
    low, high = np.percentile(by_hand, [10, 90], axis=0)
    assert found["accuracy"] == pytest.approx([low[0], high[0]])
    assert found["per_class.virus.auroc"] == pytest.approx([low[1], high[1]])


def test_each_metric_has_an_interval_around_it():
    true, probabilities, patient = predictions(1)
    found = classification_intervals(true, probabilities, CLASSES, patient, resamples=300)
    figures = metrics.add_dotted_keys(metrics.classification(true, probabilities, CLASSES))
    assert set(found) <= set(figures) | {"brier", "ece"}
    for name in set(found) - {"brier", "ece"}:
        low, high = found[name]
        assert low < figures[name] < high, name


def test_the_interval_of_a_mean_agrees_with_student_s_t():
    scores = np.random.default_rng(0).normal(0.8, 0.1, size=200)
    low, high = mean_intervals({"dice": scores}, range(200), resamples=4000)["dice"]
    margin = 1.96 * scores.std() / np.sqrt(200)
    assert low == pytest.approx(scores.mean() - margin, abs=margin / 10)
    assert high == pytest.approx(scores.mean() + margin, abs=margin / 10)


def test_more_images_of_a_patient_do_not_narrow_the_interval():
    scores = np.random.default_rng(0).normal(size=50)
    single = mean_intervals({"dice": scores}, range(50), resamples=1000)
    tenfold = mean_intervals({"dice": np.repeat(scores, 10)}, np.repeat(range(50), 10), resamples=1000)
    assert tenfold["dice"] == pytest.approx(single["dice"])


def test_undefined_scores_are_left_out():
    scores = np.array([0.2, np.nan, 0.4, 0.6])
    found = mean_intervals(
        {"dice": scores, "none": np.full(4, np.nan), "one": np.array([np.nan] * 3 + [0.5])}, list("abcd")
    )
    # The mean of any resample of three numbers is between the lowest and the highest.
    assert 0.2 <= found["dice"][0] < 0.4 < found["dice"][1] <= 0.6
    assert found["none"] is None
    # Its patient is in 1 - (3/4)^4 = 68 % of the resamples.
    assert found["one"] == [0.5, 0.5]


def test_a_metric_that_is_rarely_defined_has_no_interval(monkeypatch):
    # One patient of four is in 68 % of the resamples. Raise the limit, because below 50 % is hard to get.
    scores = {"one": np.array([np.nan] * 3 + [0.5])}
    monkeypatch.setattr(patient_resamples, "_SMALLEST_SHARE_DEFINED", 0.75)
    assert mean_intervals(scores, list("abcd")) == {"one": None}


def test_classes_without_images():
    true, probabilities, patient = predictions(2)
    keep = true != 2
    found = classification_intervals(true[keep], probabilities[keep], CLASSES, patient[keep], resamples=50)
    assert found["per_class.virus.auroc"] is None
    assert found["per_class.virus.recall"] is None
    assert found["per_class.normal.auroc"] is not None
    assert found["macro_auroc"] is not None


def test_a_single_patient_has_no_interval():
    true, probabilities, _ = predictions(3)
    alone = ["p1"] * len(true)
    found = classification_intervals(true, probabilities, CLASSES, alone)
    assert set(found.values()) == {None}
    assert mean_intervals({"dice": probabilities[:, 0]}, alone) == {"dice": None}
    paired = paired_intervals(true, probabilities, probabilities, CLASSES, alone)
    accuracy = metrics.accuracy(true, probabilities)
    assert paired["accuracy"] == {
        "first": accuracy,
        "second": accuracy,
        "difference": 0.0,
        "interval": None,
        "p_value": None,
    }


def test_equal_networks_do_not_differ():
    true, probabilities, patient = predictions(4)
    for found in paired_intervals(true, probabilities, probabilities, CLASSES, patient, 100).values():
        assert (found["difference"], found["interval"], found["p_value"]) == (0, [0, 0], 1)


def test_paired_differences_and_p_values_equal_those_computed_by_hand():
    true, first, patient = predictions(5, signal=0.8)
    second = predictions(6, signal=1.2)[1]
    found = paired_intervals(true, first, second, CLASSES, patient, resamples=300, seed=2)["macro_f1"]
    differences = []
    for weights in np.concatenate(list(PatientBootstrap(patient, 300, 2))):
        rows = np.repeat(np.arange(len(true)), weights)
        f1 = [
            sk.f1_score(true[rows], p[rows].argmax(1), average="macro", labels=np.unique(true[rows]))
            for p in (first, second)
        ]
        differences.append(f1[1] - f1[0])
    assert found["first"] == metrics.macro_f1(true, first)
    assert found["second"] == metrics.macro_f1(true, second)
    assert found["difference"] == pytest.approx(found["second"] - found["first"])
    assert found["interval"] == pytest.approx(np.percentile(differences, [2.5, 97.5]).tolist())
    tail = min(sum(d <= 0 for d in differences), sum(d >= 0 for d in differences))
    assert 0 < tail < 100
    assert found["p_value"] == pytest.approx(2 * (tail + 1) / 301)


def test_a_difference_in_all_resamples_has_the_smallest_p_value():
    true, probabilities, patient = predictions(7)
    perfect = np.eye(3)[true]
    found = paired_intervals(true, probabilities, perfect, CLASSES, patient, resamples=99)["accuracy"]
    assert found["p_value"] == pytest.approx(2 / 100)
    assert found["interval"][0] > 0
    # With the networks swapped, only the sign changes.
    turned = paired_intervals(true, perfect, probabilities, CLASSES, patient, resamples=99)["accuracy"]
    assert turned["interval"] == pytest.approx([-value for value in found["interval"][::-1]])
    assert turned["p_value"] == found["p_value"]


def test_a_metric_that_is_undefined_for_one_network_has_no_difference():
    # No image is of the class virus; only the second network predicts it, and so has a precision.
    true = np.array([0, 1, 0, 1])
    first = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0.0]])
    second = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0.0]])
    found = paired_intervals(true, first, second, CLASSES, list("abcd"), resamples=50)
    assert found["per_class.virus.precision"] == {
        "first": None,
        "second": 0.0,
        "difference": None,
        "interval": None,
        "p_value": None,
    }


@pytest.mark.slow
def test_intervals_cover_the_true_area_at_their_level():
    # Two normal distributions at distance d; the images of a patient share half of the variance.
    true_area, distance = 0.8, np.sqrt(2) * stats.norm.ppf(0.8)
    generator = np.random.default_rng(0)
    patient = np.repeat(np.arange(60), 3)
    true = (patient % 2).astype(int)
    covered = by_images = 0
    for _ in range(200):
        noise = np.sqrt(0.5) * (generator.normal(size=60)[patient] + generator.normal(size=180))
        score = stats.norm.cdf((true * distance + noise) / 2)
        probabilities = np.stack([1 - score, score], axis=1)
        found, narrow = (
            classification_intervals(true, probabilities, "ab", who, resamples=300)["per_class.b.auroc"]
            for who in (patient, np.arange(180))
        )
        covered += found[0] <= true_area <= found[1]
        by_images += narrow[0] <= true_area <= narrow[1]
    assert 0.90 <= covered / 200 <= 0.99
    assert by_images < covered - 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patients": ["a"] * 59}, "one patient per image. Received: 59 for 60"),
        ({"patients": []}, "one or more images"),
        ({"resamples": 0}, "one or more resamples.*resamples=0"),
        ({"seed": -1}, "seed=-1"),
        ({"level": 1.0}, "between 0 and 1. Received: 1.0"),
        ({"class_names": "ab"}, "Each column of the probabilities must have one class name"),
    ],
)
def test_invalid_arguments_raise(change, message):
    true, probabilities, patient = predictions(8)
    arguments = {"true_index": true, "class_names": CLASSES, "patients": patient} | change
    with pytest.raises(ValueError, match=message):
        classification_intervals(probabilities=probabilities, **arguments)
    with pytest.raises(ValueError, match=message):
        paired_intervals(first=probabilities, second=probabilities, **arguments)


def test_invalid_scores_raise():
    with pytest.raises(ValueError, match="'dice' of shape.*1 infinite"):
        mean_intervals({"dice": [0.5, np.inf]}, list("ab"))
    with pytest.raises(ValueError, match="Received: 3 for 2 images"):
        mean_intervals({"dice": [0.5, 0.5]}, list("abc"))
