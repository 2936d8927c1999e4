"""What the report says in words, against the rule that decides."""

import pytest

from semenet.inference.input_gate import CODES
from semenet.inference.lung_plausibility import CHECKS
from semenet.serving.cascade.decisions import ChainRule
from semenet.serving.image_reports import sentences

RULE = ChainRule(("normal", "bacteria", "virus"), ("other_viral", "COVID-19"), "virus", (0.75, 0.6))


def said(reason, first, second):
    joint = {"normal": first[0], "bacteria": first[1]}
    joint |= {name: first[2] * value for name, value in zip(RULE.stage2, second, strict=True)}
    named = (
        dict(zip(names, values, strict=True))
        for names, values in ((RULE.stage1, first), (RULE.stage2, second))
    )
    return sentences.cascade_sentences(reason, RULE, *named, joint)


def test_no_answer_names_the_stage_that_was_not_sure_and_its_limit():
    result, why = said("abstain_stage1", (0.42, 0.21, 0.37), (0.5, 0.5))
    assert result == "Stage 1 is not sure enough: normal 0.42, virus 0.37. No answer."
    assert "0.75" in why
    result, why = said("abstain_stage2", (0.1, 0.1, 0.8), (0.55, 0.45))
    assert result == "Stage 2 is not sure enough: other viral 0.55, COVID-19 0.45. No answer."
    assert "0.60" in why


def test_an_answer_names_the_stage_that_decided():
    result, why = said("stage1", (0.9, 0.06, 0.04), (0.5, 0.5))
    assert result == "The most probable class is normal (0.90), then bacteria (0.06)."
    assert why == "Stage 1 is sure enough: it answers from a probability of 0.75 on."
    result, why = said("stage2", (0.05, 0.05, 0.9), (0.1, 0.9))
    assert result == "The most probable class is COVID-19 (0.81), then other viral (0.09)."
    assert why == "Stage 1 says virus (0.90), and stage 2 divides virus: COVID-19 0.90, other viral 0.10."
    # Half of virus is less probable than bacteria.
    result, why = said("stage1", (0.0, 0.45, 0.55), (0.5, 0.5))
    assert result == "The most probable class is bacteria (0.45), then other viral (0.28)."
    assert why.startswith("Stage 1 says virus (0.55), but stage 2 divides it")


def test_every_code_has_words():
    assert set(sentences.GATE_REASONS) == set(CODES)
    assert set(sentences.LUNG_REASONS) == set(CHECKS)
    result, _ = sentences.rejected_sentences(("lateral",))
    assert result == "Not accepted: it looks like a view from the side."


@pytest.mark.parametrize(("share", "area", "warns"), [(0.2, 0.3, True), (0.3, 0.3, False), (0.6, 0.3, False)])
def test_a_heat_map_outside_the_lungs_is_a_doubt(share, area, warns):
    assert bool(sentences.heat_caution("Stage 1", share, area)) is warns
