import numpy as np
import pytest
import tensorflow as tf

from semenet.serving.cascade.decisions import REASONS, ChainRule

STAGE1, STAGE2 = ("normal", "bacteria", "virus"), ("other_viral", "COVID-19")


def decided(rule, first, second):
    chosen, reason = rule.decide(tf.constant([first], tf.float32), tf.constant([second], tf.float32))
    return rule.class_names[int(chosen[0])], REASONS[int(reason[0])]


def test_the_chain_rule_by_hand():
    rule = ChainRule(STAGE1, STAGE2, "virus")
    assert rule.class_names == ("normal", "bacteria", "other_viral", "COVID-19")
    joint = rule.joint(tf.constant([[0.2, 0.3, 0.5]]), tf.constant([[0.6, 0.4]]))
    np.testing.assert_allclose(joint, [[0.2, 0.3, 0.3, 0.2]], rtol=1e-6)
    # The divided class may have any position.
    rule = ChainRule(STAGE1, STAGE2, "normal")
    assert rule.class_names == ("bacteria", "virus", "other_viral", "COVID-19")
    joint = rule.joint(tf.constant([[0.2, 0.3, 0.5]]), tf.constant([[0.6, 0.4]]))
    np.testing.assert_allclose(joint, [[0.3, 0.5, 0.12, 0.08]], rtol=1e-6)


def test_the_most_probable_class_wins_not_the_most_probable_path():
    """Virus leads stage 1, but neither kind of virus is as probable as bacteria."""
    rule = ChainRule(STAGE1, STAGE2, "virus")
    assert decided(rule, [0.1, 0.4, 0.5], [0.5, 0.5]) == ("bacteria", "stage1")
    assert decided(rule, [0.1, 0.4, 0.5], [0.05, 0.95]) == ("COVID-19", "stage2")


def test_a_stage_below_its_confidence_abstains():
    rule = ChainRule(STAGE1, STAGE2, "virus", (0.6, 0.8))
    assert decided(rule, [0.7, 0.2, 0.1], [0.5, 0.5]) == ("normal", "stage1")
    assert decided(rule, [0.5, 0.4, 0.1], [0.9, 0.1]) == ("normal", "abstain_stage1")
    assert decided(rule, [0.1, 0.2, 0.7], [0.3, 0.7]) == ("COVID-19", "abstain_stage2")
    assert decided(rule, [0.1, 0.2, 0.7], [0.2, 0.81]) == ("COVID-19", "stage2")
    # Stage 2 does not abstain where stage 1 decides.
    assert decided(ChainRule(STAGE1, STAGE2, "virus", (None, 0.99)), [0.9, 0.1, 0], [0.5, 0.5])[1] == "stage1"


def test_stages_that_do_not_fit_are_rejected():
    with pytest.raises(ValueError, match="which are normal, bacteria, virus. Received: 'viral'"):
        ChainRule(STAGE1, STAGE2, "viral")
    with pytest.raises(ValueError, match="must have different names. Received: normal in both"):
        ChainRule(STAGE1, ("normal", "COVID-19"), "virus")
    # A class of stage 2 may have the name of the divided class.
    assert ChainRule(STAGE1, ("virus", "COVID-19"), "virus").class_names[-2:] == ("virus", "COVID-19")
