import pytest

from semenet.evaluation.verdict import LEARNT, LIMIT, decide, dependence

LEARNT_WELL = {"macro_auroc": 0.95, "interval": [0.9, 0.98]}


def found(low, high):
    return {"macro_auroc": (low + high) / 2, "interval": [low, high]}


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0.45, 0.55), (0.4, LIMIT - 0.01)], "clean"),
        ([(0.45, 0.55), (LIMIT + 0.01, 0.8)], "shortcut"),
        ([(LIMIT + 0.01, 0.8), (0.6, 0.75)], "shortcut"),
        ([(0.45, 0.55), (LIMIT - 0.01, LIMIT + 0.01)], "undecided"),
        # On the limit an interval lies neither above nor below it.
        ([(0.45, 0.55), (0.5, LIMIT)], "undecided"),
        ([(0.45, 0.55), (LIMIT, 0.9)], "undecided"),
        # Worse than chance tells the label too, but by the wrong name; of the features a probe would say so.
        ([(0.1, 0.2), (0.4, 0.6)], "clean"),
    ],
)
def test_the_rule(intervals, expected):
    evidence = dict(
        zip(("decisions_without_lungs", "marks"), (found(*pair) for pair in intervals), strict=True)
    )
    verdict, words = decide(LEARNT_WELL, evidence)
    assert verdict == expected
    assert sum("macro AUROC" in sentence for sentence in words) >= 2


@pytest.mark.parametrize("interval", [None, [0.4, 0.6], [LEARNT, 0.9]])
def test_a_network_that_has_not_learnt_is_undecided_whatever_the_evidence(interval):
    verdict, words = decide({"macro_auroc": 0.7, "interval": interval}, {"marks": found(0.9, 1.0)})
    assert verdict == "undecided"
    assert "has not learnt enough to be judged" in words[0]


def test_undefined_evidence_leaves_it_open_unless_other_evidence_is_clear():
    undefined = {"macro_auroc": None, "interval": None}
    assert (
        decide(LEARNT_WELL, {"marks": undefined, "decisions_without_lungs": found(0.4, 0.6)})[0]
        == "undecided"
    )
    assert (
        decide(LEARNT_WELL, {"marks": undefined, "decisions_without_lungs": found(0.8, 0.9)})[0] == "shortcut"
    )


def test_words_tell_data_that_offer_a_way_from_a_network_that_takes_it():
    offered = {"decisions_without_lungs": found(0.45, 0.55), "marks": found(0.95, 0.99)}
    taken = {"decisions_without_lungs": found(0.85, 0.95), "marks": found(0.95, 0.99)}
    phrase = "It is the images that offer the way"
    assert any(phrase in sentence for sentence in decide(LEARNT_WELL, offered)[1])
    assert not any(phrase in sentence for sentence in decide(LEARNT_WELL, taken)[1])


def test_dependence_on_the_corners():
    own = {"macro_auroc": 0.9}
    sentence = dependence(own, {"changed": 0.25, "difference": -0.1, "difference_interval": [-0.2, -0.05]})
    assert "changes 25.0% of the network's decisions" in sentence
    assert "from 0.900 by -0.100 (95 % interval -0.200 to -0.050)" in sentence
    nothing = {"changed": 0.0, "difference": None, "difference_interval": None}
    assert "undefined" in dependence(own, nothing)
