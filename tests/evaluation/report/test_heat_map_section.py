import pytest

from semenet.evaluation.report.heat_map_section import heat_map_section


def section(passes, high):
    group = {"group": "conv1", "correlation": 0.4, "low": 0.3, "high": high, "ssim": None}
    sanity = {"groups": [group], "passes": passes, "rule": "RULE", "layer": "features"}
    return heat_map_section({"sanity": sanity, "method": "cam", "classes": None})["words"]


@pytest.mark.parametrize(
    ("passes", "high", "words"),
    [
        (True, 0.31, "ends at 0.310, which is below 0.5: the maps pass this check."),
        (False, 0.507, "ends at 0.507, which is not below 0.5: the maps fail this check."),
        (True, 0.49999, "ends at 0.499990, which is below 0.5: the maps pass this check."),
        (False, 0.5, "ends at 0.500, which is not below 0.5: the maps fail this check."),
        (None, None, "Fewer than two maps could be compared, so it is undecided whether, RULE."),
    ],
)
def test_the_verdict_states_the_value_that_decides_it(passes, high, words):
    assert words in section(passes, high)
