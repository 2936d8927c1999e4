"""Linear probes: how well something can be told from features, on patients that the probe has not seen."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from semenet.errors import SemenetError

FOLDS = 5
# Strong: there are about as many features as images.
_REGULARISATION = 0.02


def fitted_probabilities(features, index, other_features, classes):
    """Fits a logistic regression to some images and applies it to others.

    Args:
        features: float `(M, F)` of the images to fit to.
        index: int `(M,)`, their classes in [0, classes).
        other_features: float `(N, F)`.
        classes: int.

    Returns:
        float64 `(N, classes)`, rows that add up to 1; 0 for a class that no image to fit to is of. None where
        these are all of one class.

    Raises:
        ValueError: for a feature that is not finite.

    Reference:
        Alain & Bengio, "Understanding intermediate layers using linear classifier probes",
        https://arxiv.org/abs/1610.01644
    """
    bad = sum(int(np.count_nonzero(~np.isfinite(part))) for part in (features, other_features))
    if bad:
        raise SemenetError(
            f"A network's features must be finite. Received: {bad} that are not. They come from a training "
            "that diverged, or from a half-precision policy that overflows: load the network in float32."
        )
    if len(np.unique(index)) < 2:
        return None
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=_REGULARISATION, max_iter=1000))
    probe.fit(features, index)
    probabilities = np.zeros((len(other_features), classes))
    probabilities[:, probe.classes_] = probe.predict_proba(other_features)
    return probabilities


def crossed_probabilities(features, index, patients, classes):
    """Fits to some patients of a split and applies to its others, five times in turn.

    Args:
        features: float `(N, F)`.
        index: int `(N,)` in [0, classes).
        patients: N values, each image's patient.
        classes: int.

    Returns:
        float64 `(N, classes)`, as `fitted_probabilities`; None where a fold is all of one class or there are
        fewer than five patients.
    """
    if len(set(patients)) < FOLDS:
        return None
    probabilities = np.zeros((len(features), classes))
    for fit, apply in GroupKFold(FOLDS).split(features, groups=np.asarray(patients)):
        part = fitted_probabilities(features[fit], index[fit], features[apply], classes)
        if part is None:
            return None
        probabilities[apply] = part
    return probabilities
