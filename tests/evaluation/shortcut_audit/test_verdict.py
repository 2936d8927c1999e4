import pytest

from semenet.evaluation.shortcut_audit import verdict
from semenet.evaluation.shortcut_audit.verdict import (
    CLASS_CLEAN,
    CLASS_LIMIT,
    LEARNT,
    LIMIT,
    describe_corner_dependence,
)


def found(low, high, classes=()):
    """Returns evidence whose classes have the mean's interval, except the given ones."""
    of_classes = {name: [low, high] for name in "abc"} | dict(classes)
    return {"macro_auroc": (low + high) / 2, "interval": [low, high], "classes": of_classes}


LEARNT_WELL = found(0.9, 0.98)


def decide(learnt, evidence, fewest_patients=30, implausible=0.0):
    return verdict.decide(learnt, evidence, fewest_patients=fewest_patients, implausible=implausible)


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0.45, 0.55), (0.4, LIMIT - 0.01)], "clean"),
        ([(0.45, 0.55), (LIMIT + 0.01, 0.8)], "shortcut"),
        ([(LIMIT + 0.01, 0.8), (0.6, 0.75)], "shortcut"),
        ([(0.45, 0.55), (LIMIT - 0.01, LIMIT + 0.01)], "undecided"),
        # An interval that touches the limit lies neither above nor below it.
        ([(0.45, 0.55), (0.5, LIMIT)], "undecided"),
        ([(0.45, 0.55), (LIMIT, 0.9)], "undecided"),
        # Worse than chance is predictive too, with the labels swapped.
        ([(0.1, 0.2), (0.4, 0.6)], "shortcut"),
        ([(0.25, 0.35), (0.4, 0.6)], "undecided"),
    ],
)
def test_the_rule(intervals, expected):
    evidence = dict(
        zip(("decisions_without_lungs", "marks"), (found(*pair) for pair in intervals), strict=True)
    )
    answer, words = decide(LEARNT_WELL, evidence)
    assert answer == expected
    assert sum("macro AUROC" in sentence for sentence in words) >= 2


@pytest.mark.parametrize("interval", [None, [0.4, 0.6], [LEARNT, 0.9]])
def test_a_network_that_has_not_learnt_is_undecided_for_any_evidence(interval):
    learnt = found(0.4, 0.9) | {"interval": interval}
    answer, words = decide(learnt, {"marks": found(0.9, 1.0)})
    assert answer == "undecided"
    assert "has not learnt enough to be judged" in words[0]


def test_undefined_evidence_is_undecided_unless_other_evidence_is_clear():
    undefined = {"macro_auroc": None, "interval": None, "classes": dict.fromkeys("abc")}
    assert (
        decide(LEARNT_WELL, {"marks": undefined, "decisions_without_lungs": found(0.4, 0.6)})[0]
        == "undecided"
    )
    assert (
        decide(LEARNT_WELL, {"marks": undefined, "decisions_without_lungs": found(0.8, 0.9)})[0] == "shortcut"
    )


def test_words_distinguish_shortcuts_in_the_data_from_shortcuts_of_the_network():
    offered = {"decisions_without_lungs": found(0.45, 0.55), "marks": found(0.95, 0.99)}
    taken = {"decisions_without_lungs": found(0.85, 0.95), "marks": found(0.95, 0.99)}
    phrase = "can be read from the images"
    assert phrase in decide(LEARNT_WELL, offered)[1][0]
    assert phrase not in decide(LEARNT_WELL, taken)[1][0]


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ([CLASS_LIMIT + 0.01, 0.99], "shortcut"),
        ([0.02, 1 - CLASS_LIMIT - 0.01], "shortcut"),
        ([CLASS_LIMIT - 0.01, CLASS_CLEAN + 0.01], "undecided"),
        ([0.6, CLASS_CLEAN - 0.01], "clean"),
        (None, "undecided"),
    ],
)
def test_one_predictable_class_is_not_hidden_by_the_mean(interval, expected):
    evidence = {"features_without_lungs": found(0.55, 0.68, {"b": interval})}
    answer, words = decide(LEARNT_WELL, evidence)
    assert answer == expected
    assert ("by class b 95 % interval" in " ".join(words)) == (expected == "shortcut")


def test_too_few_patients_or_bad_masks_are_undecided():
    clean, predictive = {"marks": found(0.45, 0.55)}, {"marks": found(0.9, 1.0)}
    for evidence in (clean, predictive):
        answer, words = decide(LEARNT_WELL, evidence, fewest_patients=9)
        assert (answer, len(words)) == ("undecided", 1)
        assert "a class has only 9 patients" in words[0]
        answer, words = decide(LEARNT_WELL, evidence, implausible=0.11)
        assert answer == "undecided"
        assert "11 % of the lung masks are implausible" in words[0]
    assert decide(LEARNT_WELL, clean, fewest_patients=10, implausible=0.1)[0] == "clean"


def test_dependence_on_the_corners():
    own = {"macro_auroc": 0.9}
    sentence = describe_corner_dependence(
        own, {"changed": 0.25, "difference": -0.1, "difference_interval": [-0.2, -0.05]}
    )
    assert "changes 25.0 % of the network's decisions" in sentence
    assert "from 0.900 by -0.100 (95 % interval -0.200 to -0.050)" in sentence
    nothing = {"changed": 0.0, "difference": None, "difference_interval": None}
    assert "undefined" in describe_corner_dependence(own, nothing)
