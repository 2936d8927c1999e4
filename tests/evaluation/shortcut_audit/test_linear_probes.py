"""Linear probes on separable and random features, and their separation of patients."""

import numpy as np
import pytest

from semenet import metrics
from semenet.errors import SemenetError
from semenet.evaluation.shortcut_audit import linear_probes
from semenet.evaluation.shortcut_audit.linear_probes import (
    FOLDS,
    cross_validated_probabilities,
    fitted_probabilities,
)


def separable(count, classes=3, seed=0):
    """Returns features with one dimension per class that exceeds the noise by far."""
    generator = np.random.default_rng(seed)
    index = np.arange(count) % classes
    features = generator.normal(0, 0.1, (count, 5))
    features[np.arange(count), index] += 3
    return features, index


def test_separable_classes_are_predicted_on_other_images():
    features, index = separable(60)
    others, other_index = separable(30, seed=1)
    probabilities = fitted_probabilities(features, index, others, 3)
    assert probabilities.shape == (30, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert metrics.macro_auroc(other_index, probabilities) == 1
    assert metrics.accuracy(other_index, probabilities) == 1


def test_the_scale_of_features_does_not_matter():
    features, index = separable(60)
    others, _ = separable(30, seed=1)
    scale = np.array([1, 1e3, 1e-3, 7, 1])
    expected = fitted_probabilities(features, index, others, 3)
    np.testing.assert_allclose(
        fitted_probabilities(features * scale, index, others * scale, 3), expected, atol=1e-4
    )


def test_a_class_without_images_to_fit_to_gets_probability_zero():
    features, index = separable(60)
    probabilities = fitted_probabilities(features, index * 2, features, 5)
    assert not probabilities[:, [1, 3]].any()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == index * 2).all()


def test_a_single_class_cannot_be_fitted():
    features, _ = separable(6)
    assert fitted_probabilities(features, np.ones(6, int), features, 3) is None
    assert cross_validated_probabilities(features, np.ones(6, int), list("abcdef"), 3) is None


def test_images_of_a_patient_are_never_in_both_parts(monkeypatch):
    """There are two to four images per patient; a spy records the images of each fold."""
    patients = np.repeat(np.arange(12), np.arange(12) % 3 + 2)
    index = np.arange(len(patients)) % 2
    features = np.stack([patients, np.arange(len(patients))], axis=1).astype(float)
    applied = []

    def spy(fit, fit_index, apply, classes):
        assert not set(fit[:, 0]) & set(apply[:, 0])
        assert len(fit) + len(apply) == len(patients)
        np.testing.assert_array_equal(fit_index, index[fit[:, 1].astype(int)])
        applied.append(apply[:, 1].astype(int))
        return np.repeat(apply[:, 1:], classes, axis=1)

    monkeypatch.setattr(linear_probes, "fitted_probabilities", spy)
    probabilities = cross_validated_probabilities(features, index, [f"p{patient}" for patient in patients], 2)
    assert len(applied) == FOLDS
    assert sorted(np.concatenate(applied)) == list(range(len(patients)))
    # Each prediction is stored at its own image.
    np.testing.assert_array_equal(probabilities[:, 0], np.arange(len(patients)))


def test_cross_validation_of_separable_and_random_features():
    features, index = separable(90)
    patients = np.arange(90) // 3
    patients = patients[np.random.default_rng(0).permutation(90)]
    assert metrics.macro_auroc(index, cross_validated_probabilities(features, index, patients, 3)) == 1
    noise = np.random.default_rng(1).normal(size=(400, 5))
    probabilities = cross_validated_probabilities(noise, np.arange(400) % 2, np.arange(400) // 4, 2)
    assert abs(metrics.macro_auroc(np.arange(400) % 2, probabilities) - 0.5) < 0.1


def test_cross_validation_does_not_leak_patients():
    """Each patient has individual features and a random class: other patients are not informative."""
    generator = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), 4)
    index = np.repeat(generator.permutation(np.arange(60) % 2), 4)
    features = np.eye(60)[patients] + generator.normal(0, 0.01, (240, 60))
    assert metrics.macro_auroc(index, cross_validated_probabilities(features, index, patients, 2)) < 0.6
    assert metrics.macro_auroc(index, fitted_probabilities(features, index, features, 2)) > 0.9


def test_fewer_patients_than_folds_return_none():
    features, index = separable(40)
    assert cross_validated_probabilities(features, index, np.arange(40) % 4, 3) is None
    assert cross_validated_probabilities(features, index, np.arange(40) % 5, 3) is not None


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["features", "others"])
def test_features_that_are_not_finite_are_refused(value, place):
    features, index = separable(12)
    others = features.copy()
    (features if place == "features" else others)[3, 1] = value
    with pytest.raises(SemenetError, match="must be finite. Received: 1 values that are not"):
        fitted_probabilities(features, index, others, 3)
