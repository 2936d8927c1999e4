"""Resamples of patients, and what an interval needs of the values of a metric over them."""

import unicodedata
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from semenet.errors import SemenetError

# Image weights in a chunk of resamples: 4 MB as uint16.
_CHUNK_WEIGHTS = 2_000_000
_SMALLEST_SHARE_DEFINED = 0.5
LEAST_RESAMPLES = 200


class PatientBootstrap:
    """Resamples of patients, as weights of their images.

    The same patients, number of resamples and seed give the same resamples.

    Args:
        patients: N values, the patient of each image. Text is compared in Unicode's normal form NFC.
        resamples: number of resamples, 1 or more.
        seed: 0 or more.

    Attributes:
        count: int, the number of patients.

    Raises:
        SemenetError: there are no images, `resamples` is below 1, or `seed` below 0.

    Example:
        >>> bootstrap = semenet.metrics.PatientBootstrap(["a", "a", "b"], resamples=3)
        >>> bootstrap.count
        2
        >>> weights = np.concatenate(list(bootstrap))
        >>> weights.shape, (weights[:, 0] == weights[:, 1]).all()
        ((3, 3), np.True_)
    """

    def __init__(self, patients: ArrayLike, resamples: int = 2000, seed: int = 0) -> None:
        names = np.asarray(patients, dtype=object)
        if names.ndim != 1 or not len(names):
            raise SemenetError(
                "Patients must be a sequence of one name or number per image, for one or more images. "
                f"Received: shape {names.shape}. Give the column `patient` of the manifest."
            )
        if resamples < 1 or seed < 0:
            raise SemenetError(
                "A bootstrap needs one or more resamples, and a seed of 0 or more. "
                f"Received: resamples={resamples}, seed={seed}. 2000 and 0 are usual."
            )
        codes, known = pd.factorize(names, use_na_sentinel=False)
        # One name, whether an accented letter is one character or two.
        same = [unicodedata.normalize("NFC", name) if isinstance(name, str) else name for name in known]
        merged, distinct = pd.factorize(np.array(same, dtype=object), use_na_sentinel=False)
        self.patients = merged[codes]
        self.count = len(distinct)
        self.resamples, self.seed = resamples, seed

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields the weights in chunks of resamples, to limit memory.

        Yields:
            uint16 arrays `(b, N)`, together `resamples` rows: how often each image is drawn.
        """
        generator = np.random.default_rng(self.seed)
        rows = max(1, _CHUNK_WEIGHTS // max(len(self.patients), self.count))
        for start in range(0, self.resamples, rows):
            chunk = min(rows, self.resamples - start)
            # Counts of draws are multinomial; NumPy's multinomial takes four times as long for 5000 patients.
            drawn = generator.integers(self.count, size=(chunk, self.count))
            drawn += np.arange(chunk)[:, None] * self.count
            counts = np.bincount(drawn.ravel(), minlength=chunk * self.count)
            yield counts.reshape(chunk, self.count).astype(np.uint16)[:, self.patients]


def check_resamples(resamples: int) -> None:
    """Raises SemenetError if the number of resamples is too small for a 95 % interval."""
    if resamples < LEAST_RESAMPLES:
        raise SemenetError(
            f"An interval needs {LEAST_RESAMPLES} resamples or more. Received: {resamples}. 2000 is usual."
        )


def draw_patients(
    patients: ArrayLike, images: int, resamples: int, seed: int, level: float
) -> PatientBootstrap:
    """Returns the resamples of the patients of `images` images, and checks the arguments of an interval.

    Raises:
        SemenetError: as `PatientBootstrap`; the number of patients differs from the number of images, or
            `level` is outside (0, 1).
    """
    bootstrap = PatientBootstrap(patients, resamples, seed)
    if len(bootstrap.patients) != images:
        raise SemenetError(
            "There must be one patient per image. "
            f"Received: {len(bootstrap.patients)} for {images} images. Take both from the same rows."
        )
    if not 0 < level < 1:
        raise SemenetError(
            f"The level of an interval must be between 0 and 1. Received: {level}. 0.95 is usual."
        )
    return bootstrap


def resample(
    bootstrap: PatientBootstrap, compute: Callable[[np.ndarray], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Computes metrics of all resamples.

    Args:
        bootstrap: the resamples.
        compute: function from weights `(b, N)` to a dict of metrics `(b,)`.

    Returns:
        dict of arrays `(resamples,)`.
    """
    parts = [compute(weights) for weights in bootstrap]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile_interval(values: np.ndarray, level: float) -> list[float] | None:
    """Returns the interval `[low, high]` that holds the middle share `level` of the values that are not NaN.

    Returns:
        list of two floats; None if more than half of the values are NaN.
    """
    defined = _defined(values)
    if defined is None:
        return None
    return np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()


def two_sided_p_value(differences: np.ndarray) -> float | None:
    """Returns the p-value of the hypothesis that a difference is 0, see `paired_intervals`.

    Returns:
        float in (0, 1]; None if more than half of the differences are NaN.
    """
    defined = _defined(differences)
    if defined is None:
        return None
    tail = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return min(1.0, 2 * (int(tail) + 1) / (len(defined) + 1))


def _defined(values: np.ndarray) -> np.ndarray | None:
    """Returns the values that are not NaN, or None if these are less than half."""
    defined = values[~np.isnan(values)]
    return defined if len(defined) >= _SMALLEST_SHARE_DEFINED * len(values) else None
