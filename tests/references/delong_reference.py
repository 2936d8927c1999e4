"""DeLong's test from its structural components, and Obuchowski's clustered version, in plain loops."""

import itertools
from collections.abc import Sequence

import numpy as np


def wins(true_score: float, other_score: float) -> float:
    """Returns `psi` of DeLong et al. 1988: 1 if the true score is higher, 1/2 if equal, 0 otherwise."""
    return 1.0 if true_score > other_score else 0.5 if true_score == other_score else 0.0


def components(
    is_true: Sequence[bool], score: Sequence[float]
) -> tuple[dict[int, float], dict[int, float], float]:
    """Returns `V10` of each true image and `V01` of each other one, by image number, and the area."""
    trues = [index for index, truth in enumerate(is_true) if truth]
    others = [index for index, truth in enumerate(is_true) if not truth]
    v10 = {i: sum(wins(score[i], score[j]) for j in others) / len(others) for i in trues}
    v01 = {j: sum(wins(score[i], score[j]) for i in trues) / len(trues) for j in others}
    pairs = [wins(score[i], score[j]) for i, j in itertools.product(trues, others)]
    return v10, v01, sum(pairs) / len(pairs)


def covariance(is_true: Sequence[bool], scores: Sequence[Sequence[float]]) -> np.ndarray:
    """Returns `S10 / m + S01 / n`, equations 4 to 6 of DeLong et al. 1988."""
    found = [components(is_true, score) for score in scores]
    result = np.zeros((len(scores), len(scores)))
    for r, s in itertools.product(range(len(scores)), repeat=2):
        for side in (0, 1):
            of_r, of_s = found[r][side], found[s][side]
            count = len(of_r)
            products = [(of_r[i] - found[r][2]) * (of_s[i] - found[s][2]) for i in of_r]
            result[r, s] += sum(products) / (count - 1) / count
    return result


def clustered_covariance(
    is_true: Sequence[bool], scores: Sequence[Sequence[float]], patients: Sequence[str]
) -> np.ndarray:
    """Returns the covariance of Obuchowski 1997, from the components summed over each patient's images."""
    found = [components(is_true, score) for score in scores]
    names = sorted(set(patients))
    m, n = sum(map(bool, is_true)), sum(not truth for truth in is_true)

    def deviation(network: int, side: int, name: str) -> float:
        of_network, area = found[network][side], found[network][2]
        return sum(value - area for image, value in of_network.items() if patients[image] == name)

    def patient_count(truth: bool) -> int:
        return len({patients[image] for image, value in enumerate(is_true) if bool(value) == truth})

    i10, i01, i = patient_count(True), patient_count(False), len(names)
    result = np.zeros((len(scores), len(scores)))
    for r, s in itertools.product(range(len(scores)), repeat=2):
        s10 = i10 / ((i10 - 1) * m) * sum(deviation(r, 0, name) * deviation(s, 0, name) for name in names)
        s01 = i01 / ((i01 - 1) * n) * sum(deviation(r, 1, name) * deviation(s, 1, name) for name in names)
        s11 = i / (i - 1) * sum(deviation(r, 0, name) * deviation(s, 1, name) for name in names)
        s11_other = i / (i - 1) * sum(deviation(s, 0, name) * deviation(r, 1, name) for name in names)
        result[r, s] = s10 / m + s01 / n + (s11 + s11_other) / (m * n)
    return result
