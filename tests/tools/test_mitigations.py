import cv2
import numpy as np
import pandas as pd
import pytest

from semenet.errors import SemenetError


@pytest.fixture
def mitigations(tool):
    return tool("domains/mitigations")


@pytest.mark.parametrize("side", [64, 128])
def test_a_letter_is_large_bright_and_outside_the_lungs(mitigations, side):
    image = np.full((side, side), 60, np.uint8)
    lungs = np.zeros_like(image)
    lungs[side // 10 :, side // 10 :] = 255
    for seed in range(20):
        marked = mitigations.plant_letter(image, lungs, "B", seed)
        changed = marked != image
        assert not changed[lungs > 0].any()
        rows, columns = np.nonzero(changed)
        assert rows.max() < 0.3 * side
        assert columns.max() < 0.3 * side
    whole = mitigations.plant_letter(image, np.zeros_like(lungs), "B", 0)
    rows = np.nonzero((whole != image).any(axis=1))[0]
    assert 0.08 * side < len(rows) < 0.14 * side
    assert whole.max() > 200
    other = mitigations.plant_letter(image, np.zeros_like(lungs), "V", 0)
    assert cv2.absdiff(whole, other).max() > 100


def test_a_mean_has_the_interval_of_students_t(mitigations):
    # Mean 0.6, standard deviation 0.1, t of two degrees of freedom 4.3027: 4.3027 * 0.1 / sqrt(3).
    assert mitigations.interval(pd.Series([0.5, 0.6, 0.7])) == "0.600 (0.352 to 0.848)"
    assert mitigations.interval(pd.Series([0.5])) == "0.500"


def test_a_table_needs_results(mitigations, tmp_path):
    with pytest.raises(SemenetError, match="A table needs a result"):
        mitigations.collect(tmp_path)


def test_every_mitigation_is_a_valid_recipe(mitigations, tmp_path):
    import dataclasses

    base = mitigations.base_recipe(mitigations.Arguments(out=tmp_path), seed=3)
    assert not base.unlearns
    for name, (changes, _) in mitigations.MITIGATIONS.items():
        recipe = dataclasses.replace(base, **changes)
        assert (recipe == base) == (name == "none")
        assert recipe.seed == 3
        assert recipe.unlearns == any(word in name for word in ("DRO", "classifier", "attention"))
