"""Linear probes: how well a class can be predicted from features, on patients that the probe has not seen."""

from collections.abc import Collection

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from semenet.errors import SemenetError

FOLDS = 5
# Inverse regularisation strength. Strong, because there are about as many features as images.
_REGULARISATION = 0.02


def fitted_probabilities(
    features: np.ndarray, index: np.ndarray, other_features: np.ndarray, classes: int
) -> np.ndarray | None:
    """Fits a logistic regression to some images and applies it to others.

    Args:
        features: float `(M, F)` of the images to fit to.
        index: int `(M,)`, their classes in [0, classes).
        other_features: float `(N, F)` of the images to predict.
        classes: number of classes.

    Returns:
        float64 `(N, classes)`, rows that add up to 1; 0 for a class without images to fit to. None if the
        images to fit to all have one class.

    Raises:
        SemenetError: a feature is not finite.

    Reference:
        Alain & Bengio, "Understanding intermediate layers using linear classifier probes",
        https://arxiv.org/abs/1610.01644
    """
    bad = sum(int(np.count_nonzero(~np.isfinite(part))) for part in (features, other_features))
    if bad:
        raise SemenetError(
            f"A network's features must be finite. Received: {bad} values that are not. Training diverged, "
            "or a half-precision policy overflows: load the network in float32."
        )
    if len(np.unique(index)) < 2:
        return None
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=_REGULARISATION, max_iter=1000))
    probe.fit(features, index)
    probabilities = np.zeros((len(other_features), classes))
    probabilities[:, probe.classes_] = probe.predict_proba(other_features)
    return probabilities


def cross_validated_probabilities(
    features: np.ndarray,
    index: np.ndarray,
    patients: Collection[object],
    classes: int,
    usable: np.ndarray | None = None,
) -> np.ndarray | None:
    """Predicts each image by five-fold cross-validation grouped by patient.

    Args:
        features: float `(N, F)`.
        index: int `(N,)` in [0, classes).
        patients: N values, each image's patient.
        classes: number of classes.
        usable: bool `(N,)`, the images that may be fitted to; None for all.

    Returns:
        float64 `(N, classes)`, as `fitted_probabilities`; None if the training images of a fold all have one
        class or there are fewer than five patients.
    """
    if len(set(patients)) < FOLDS:
        return None
    probabilities = np.zeros((len(features), classes))
    for fit, apply in GroupKFold(FOLDS).split(features, groups=np.asarray(patients)):
        fit = fit if usable is None else fit[usable[fit]]
        part = fitted_probabilities(features[fit], index[fit], features[apply], classes)
        if part is None:
            return None
        probabilities[apply] = part
    return probabilities
