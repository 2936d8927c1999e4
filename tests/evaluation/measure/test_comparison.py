import json
import math

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from delong_reference import clustered_covariance, components, covariance
from scipy import stats

import semenet
from semenet import metrics
from semenet.data.manifest.table import ManifestError, read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.measure.comparison import compare, comparison_lines
from semenet.metrics.delong_test import TooFewImagesError, clustered_delong, delong
from semenet.metrics.patient_bootstrap import paired_intervals
from semenet.models.layers.heads import ClassifierHead, SegmentationHead

CLASSES = ("normal", "bacteria", "virus")


def scores(seed, patients=25, each=(1, 5), by_patient=False):
    """Returns the truth by image or by patient, two related scores with ties, and each image's patient."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), generator.integers(*each, size=patients))
    is_true = (generator.random(patients)[patient] if by_patient else generator.random(len(patient))) < 0.4
    shared = generator.normal(size=patients)[patient] + generator.normal(size=len(patient))
    first, second = (
        np.round(is_true * signal + shared + generator.normal(size=len(patient)), 1) for signal in (0.8, 1.6)
    )
    return is_true, first, second, patient


def test_delong_worked_by_hand():
    # True 3, 1 against 2, 0: V10 = 1, 1/2; V01 = 1/2, 1; area 3/4; S10 = S01 = 1/8.
    # The second score is perfect: its components are all 1.
    is_true = np.array([True, True, False, False])
    found = delong(is_true, [3, 1, 2, 0], [5, 4, 2, 0])
    assert found["areas"] == [0.75, 1.0]
    assert found["covariance"] == [[pytest.approx(1 / 8 / 2 + 1 / 8 / 2), 0], [0, 0]]
    assert found["difference"] == 0.25
    assert found["standard_error"] == pytest.approx(math.sqrt(1 / 8))
    assert found["interval"] == pytest.approx([0.25 - 1.959964 / 8**0.5, 0.25 + 1.959964 / 8**0.5])
    assert found["p_value"] == pytest.approx(2 * stats.norm.sf(0.25 * 8**0.5))


@pytest.mark.parametrize("seed", range(4))
def test_delong_agrees_with_the_naive_components(seed):
    is_true, first, second, _ = scores(seed)
    found = delong(is_true, first, second, level=0.9)
    expected = covariance(is_true, [first, second])
    areas = [components(is_true, score)[2] for score in (first, second)]
    assert found["areas"] == pytest.approx(areas)
    np.testing.assert_allclose(found["covariance"], expected)
    error = math.sqrt(expected[0, 0] + expected[1, 1] - 2 * expected[0, 1])
    assert found["standard_error"] == pytest.approx(error)
    normal = stats.norm(areas[1] - areas[0], error)
    assert found["interval"] == pytest.approx(normal.ppf([0.05, 0.95]).tolist())
    assert found["p_value"] == pytest.approx(2 * min(normal.cdf(0), normal.sf(0)))


@pytest.mark.parametrize("seed", range(4))
def test_clustered_delong_agrees_with_obuchowskis_formulas(seed):
    is_true, first, second, patient = scores(seed)
    found = clustered_delong(is_true, first, second, patient)
    expected = clustered_covariance(is_true, [first, second], patient)
    np.testing.assert_allclose(found["covariance"], expected)
    error = math.sqrt(expected[0, 0] + expected[1, 1] - 2 * expected[0, 1])
    assert found["standard_error"] == pytest.approx(error)
    assert found["areas"] == delong(is_true, first, second)["areas"]


def test_both_tests_are_equal_with_one_image_per_patient():
    is_true, first, second, _ = scores(5)
    alone = clustered_delong(is_true, first, second, [f"p{i}" for i in range(len(is_true))])
    plain = delong(is_true, first, second)
    np.testing.assert_allclose(alone.pop("covariance"), plain.pop("covariance"))
    assert alone == {name: pytest.approx(value) for name, value in plain.items()}


def test_copies_of_an_image_do_not_change_the_clustered_test():
    is_true, first, second, patient = scores(6)
    once = clustered_delong(is_true, first, second, patient)
    four = (np.repeat(values, 4) for values in (is_true, first, second, patient))
    assert clustered_delong(*four)["standard_error"] == pytest.approx(once["standard_error"])


def test_the_clustered_error_is_the_scatter_of_the_areas():
    samples = [scores(seed, patients=60, each=(4, 5), by_patient=True) for seed in range(300)]
    clustered = [clustered_delong(*sample) for sample in samples]
    plain = [delong(*sample[:3]) for sample in samples]
    for index in (0, 1):
        scatter = np.std([found["areas"][index] for found in clustered])
        errors, too_small = (
            [math.sqrt(found["covariance"][index][index]) for found in tests] for tests in (clustered, plain)
        )
        assert np.mean(errors) == pytest.approx(scatter, rel=0.1)
        assert np.mean(too_small) < 0.8 * scatter


def test_equal_scores_do_not_differ():
    is_true, first, _, patient = scores(7)
    for found in (delong(is_true, first, first), clustered_delong(is_true, first, first, patient)):
        assert found["areas"][0] == found["areas"][1]
        assert (found["difference"], found["standard_error"]) == (0, 0)
        assert (found["interval"], found["p_value"]) == (None, 1)


def test_without_variance_there_is_no_test_of_a_difference():
    is_true = np.array([True, True, True, False, False, False])
    for found in (
        delong(is_true, is_true * 1.0, is_true * -1.0),
        clustered_delong(is_true, is_true * 1.0, is_true * -1.0, list("abcabd")),
    ):
        assert found["areas"] == [1, 0]
        assert (found["standard_error"], found["interval"], found["p_value"]) == (0, None, None)


@pytest.mark.parametrize("truth", [[False] * 4, [True] * 4, [True, False, False, False]])
def test_too_few_of_a_class_are_refused(truth):
    with pytest.raises(TooFewImagesError, match="two or more images of the class"):
        delong(np.array(truth), [1, 2, 3, 4], [1, 2, 3, 4])


def test_too_few_patients_are_refused():
    truth = np.array([True, True, False, False])
    with pytest.raises(TooFewImagesError, match="patients with images.*Received: 1 and 2"):
        clustered_delong(truth, [1, 2, 3, 4], [1, 2, 3, 4], list("aaab"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"is_true": [0, 1, 0, 1]}, "array .N,. of bool"),
        ({"first": [1, 2, 3]}, r"scores of shapes \(3,\), \(4,\)"),
        ({"second": [1, 2, 3, np.nan]}, "must be finite"),
        ({"level": 0}, "level of an interval"),
        ({"patients": list("abc")}, "Received: 3 for 4 images"),
    ],
)
def test_bad_arrays_are_refused(change, message):
    arguments = {
        "is_true": np.array([True, False] * 2),
        "first": [1, 2, 3, 4],
        "second": [2, 1, 3, 4],
        "patients": list("abcd"),
    } | change
    with pytest.raises(ValueError, match=message):
        clustered_delong(**arguments)


SIDE = 32
# Grey levels; the first network classifies all but one of each class correctly.
GREYS = {"normal": (20, 40, 60, 130), "bacteria": (110, 125, 140, 60), "virus": (200, 220, 240, 130)}


def brightness_network(path, class_names=CLASSES, side=SIDE, shift=0.0):
    """Saves a network that scores classes by distance to their brightness: 0, 0.5 and 1, shifted."""
    image = keras.Input((side, side, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="features")(image)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)
    model = keras.Model(image, ClassifierHead(class_names, activation="softmax", name="head")(x))
    centre = np.array([{"normal": 0, "bacteria": 0.5}.get(name, 1) for name in class_names]) + shift
    # Ten times -(x - c)^2 without x^2, which is the same for all classes.
    model.get_layer("head").set_weights([np.float32([20 * centre]), np.float32(-10 * centre**2)])
    model.save(path)
    return path


@pytest.fixture
def data(tmp_path):
    records = []
    for label, greys in GREYS.items():
        for number, grey in enumerate(greys):
            file = f"{label}{number}.png"
            cv2.imwrite(str(tmp_path / file), np.full((40, 30), grey, np.uint8))
            records.append((file, label, f"p{number // 2}{label}", "test"))
    columns = ["file", "label", "patient", "split"]
    pd.DataFrame(records, columns=columns).to_csv(tmp_path / "manifest.csv", index=False)
    return tmp_path


def probabilities_of(run, side):
    """Returns a network's probabilities for the images, with the columns in the order of `CLASSES`."""
    model = semenet.load_model(run)
    images = [np.full((side, side, 1), grey, np.uint8) for greys in GREYS.values() for grey in greys]
    columns = [model.class_names.index(name) for name in CLASSES]
    return model.predict(np.stack(images), verbose=0)[:, columns]


def test_a_run_is_compared_with_a_run(data):
    first = brightness_network(data / "first.keras")
    # Another input size, and the classes in another order.
    second = brightness_network(data / "second.keras", ("virus", "normal", "bacteria"), 48, shift=0.2)
    returned = compare(first, second, data / "manifest.csv", "test", out=data / "out", resamples=200)
    assert json.loads((data / "out" / "comparison.json").read_text()) == returned
    of_first, of_second = probabilities_of(first, SIDE), probabilities_of(second, 48)
    true = np.repeat([0, 1, 2], 4)
    assert returned["figures"]["accuracy"]["first"] == pytest.approx(9 / 12)
    assert returned["figures"]["accuracy"]["second"] == metrics.accuracy(true, of_second)
    assert returned["class_names"] == list(CLASSES)
    rows = read_manifest(data / "manifest.csv").split("test")
    expected = paired_intervals(true, of_first, of_second, CLASSES, rows["patient"], 200)
    assert returned["figures"]["macro_auroc"] == expected["macro_auroc"]
    assert returned["figures"]["per_class.virus.recall"] == expected["per_class.virus.recall"]
    virus = returned["delong"]["virus"]
    assert virus["plain"]["areas"] == pytest.approx(
        delong(true == 2, of_first[:, 2], of_second[:, 2])["areas"]
    )
    clustered = clustered_covariance(true == 2, [of_first[:, 2], of_second[:, 2]], rows["patient"].tolist())
    np.testing.assert_allclose(virus["clustered"]["covariance"], clustered, atol=1e-12)
    assert (returned["count"], returned["patients"], returned["split"]) == (12, 6, "test")
    assert returned["manifest_sha256"] == read_manifest(data / "manifest.csv").sha256
    assert returned["versions"]["keras"] == keras.__version__
    assert returned["command"] == (
        f"semenet compare {first} {second} --manifest {data / 'manifest.csv'} --split test "
        f"--out {data / 'out'} --batch-size 16 --resamples 200"
    )


def test_a_run_compared_with_itself(phantoms, classifier_run):
    result = compare(classifier_run, classifier_run, phantoms, "test", resamples=200)
    defined = [found for found in result["figures"].values() if found["difference"] is not None]
    assert defined
    assert all(found["difference"] == 0 and found["p_value"] == 1 for found in defined)
    assert all(test["plain"]["p_value"] == 1 for test in result["delong"].values())
    assert "--out" not in result["command"]


def test_classes_with_too_few_images_are_not_tested(data):
    rows = pd.read_csv(data / "manifest.csv")
    rows = rows[(rows["label"] != "virus") | (rows["file"] == "virus0.png")]
    rows[rows["file"] != "bacteria2.png"].to_csv(data / "few.csv", index=False)
    run = brightness_network(data / "first.keras")
    other = brightness_network(data / "other.keras", shift=0.2)
    result = compare(run, other, data / "few.csv", "test", out=data / "out", resamples=200)
    assert result["delong"]["virus"] == {"plain": None, "clustered": None}
    assert result["delong"]["bacteria"]["clustered"] is not None
    lines = comparison_lines(result)
    assert next(line for line in lines if line.startswith("auroc of virus")).endswith("-")


def test_lines_for_the_terminal():
    compared = {
        "first": 0.5,
        "second": 0.75,
        "difference": 0.25,
        "interval": [-0.125, 0.5],
        "p_value": 0.0123,
    }
    sure = {"interval": [0.2, 0.3], "p_value": 0.00001}
    result = {
        "first": "runs/a",
        "second": "runs/b",
        "split": "test",
        "count": 20,
        "patients": 9,
        "resamples": 500,
        "figures": {
            "accuracy": compared,
            "macro_auroc": dict.fromkeys(compared),
            "per_class.x.auroc": compared,
        },
        "delong": {"x": {"plain": None, "clustered": compared | sure}},
    }
    lines = comparison_lines(result)
    assert lines[:3] == ["first:  runs/a", "second: runs/b", "test: 20 images of 9 patients"]
    assert lines[4].split() == ["first", "second", "difference", "95", "%", "interval", "p"]
    assert lines[5].split() == ["accuracy", "0.500", "0.750", "+0.250", "[-0.125,", "+0.500]", "0.012"]
    assert lines[6].split() == ["macro_auroc", *["-"] * 5]
    assert lines[7].split()[:3] == ["auroc", "of", "x"]
    assert lines[7].endswith("[+0.200, +0.300]  < 0.001")
    assert len({len(line) for line in lines[4:8]}) == 1
    assert "500 resamples of patients" in " ".join(lines)
    assert max(map(len, lines)) < 100


def test_other_classes_are_refused(data):
    first = brightness_network(data / "first.keras")
    second = brightness_network(data / "second.keras", ("normal", "bacteria", "fungus"))
    with pytest.raises(ValueError, match=r"the same classes.*normal, bacteria, fungus of .*second\.keras"):
        compare(first, second, data / "manifest.csv", "test", out=data / "out")
    assert not (data / "out").exists()


def test_segmentation_networks_are_refused(data):
    image = keras.Input((SIDE, SIDE, 1), name="image")
    head = SegmentationHead(("lung",), activation="sigmoid", name="head")
    keras.Model(image, head(image)).save(data / "unet.keras")
    run = brightness_network(data / "first.keras")
    with pytest.raises(
        ValueError, match=r"Only classifiers.* Received: .*unet\.keras, a segmentation network"
    ):
        compare(run, data / "unet.keras", data / "manifest.csv", "test")


def test_an_unknown_split_is_refused(data):
    run = brightness_network(data / "first.keras")
    with pytest.raises(ManifestError, match="Received: 'val'"):
        compare(run, run, data / "manifest.csv", "val", out=data / "out")
    assert not (data / "out").exists()


def test_comparison_with_one_class_alone(data):
    run = brightness_network(data / "first.keras")
    frame = pd.read_csv(data / "manifest.csv")
    frame[frame["label"] == "normal"].to_csv(data / "manifest.csv", index=False)
    found = compare(run, run, data / "manifest.csv", "test", out=data / "out", resamples=200)
    # Of 20, 40, 60 and 130, the last is predicted as bacteria.
    assert found["figures"]["accuracy"]["first"] == pytest.approx(3 / 4)
    for value in found["figures"]["macro_auroc"].values():
        assert value is None
    assert found["delong"] == {name: {"plain": None, "clustered": None} for name in CLASSES}
    assert any(line.split() == ["macro_auroc", *"-----"] for line in comparison_lines(found))


def test_a_diverged_network_and_an_empty_split_s_name_are_refused(data):
    run = brightness_network(data / "first.keras")
    diverged = brightness_network(data / "nan.keras", shift=np.nan)
    with pytest.raises(SemenetError, match="36 NaN among 36 values"):
        compare(run, diverged, data / "manifest.csv", "test", out=data / "out")
    with pytest.raises(ManifestError, match=r"Received: ''. There are: test \(12 rows\)"):
        compare(run, run, data / "manifest.csv", "", out=data / "out")
    assert not list((data / "out").glob("*"))


def test_a_network_that_takes_lungs_alone_against_one_that_takes_whole_images(data):
    """With masks of the left half, the network that takes lungs alone sees half the brightness."""
    frame = pd.read_csv(data / "manifest.csv")
    mask = np.zeros((40, 30), np.uint8)
    mask[:, :15] = 255
    cv2.imwrite(str(data / "mask.png"), mask)
    whole, alone = brightness_network(data / "whole.keras"), data / "alone.keras"
    model = semenet.load_model(whole)
    model.get_layer("head").lungs_alone = True
    model.save(alone)
    with pytest.raises(SemenetError, match=r"12 of 12 images without a mask.*--lungs"):
        compare(whole, alone, data / "manifest.csv", "test", out=data / "out")
    # The error is raised before the evaluation starts.
    assert not (data / "out").exists()
    frame.assign(mask="mask.png").to_csv(data / "manifest.csv", index=False)
    found = compare(whole, alone, data / "manifest.csv", "test", resamples=200)
    assert found["figures"]["accuracy"]["first"] == pytest.approx(9 / 12)
    # Halved grey levels from 64 to 191 are predicted as bacteria, none as virus.
    halves = [grey / 2 / 255 for greys in GREYS.values() for grey in greys]
    predicted = [0 if half < 0.25 else 1 for half in halves]
    expected = np.mean(np.array(predicted) == np.repeat([0, 1, 2], 4))
    assert found["figures"]["accuracy"]["second"] == pytest.approx(expected)
