import numpy as np
import pytest
import tensorflow as tf

from semenet.inference.scoring import reported_findings, reported_findings_graph

NAMES = ("oedema", "effusion", "mass")
PROBABILITIES = np.array([[0.5, 0.1, 0.9], [0.49, 0.2, 0.1], [0.9, 0.7, 0.8], [0.2, 0.7, 0.2]], np.float32)
EXPECTED = ["oedema|mass", "no finding", "oedema|effusion|mass", "effusion"]


def test_findings_that_reach_their_threshold_are_reported():
    # A threshold of float64 meets a probability of float32 that was rounded from it.
    thresholds = (0.5, float(np.float32(0.7)), 0.3)
    assert reported_findings(PROBABILITIES, NAMES, thresholds) == EXPECTED
    assert reported_findings(PROBABILITIES[:, 1:2], NAMES[1:2], (0.7,))[3] == "effusion"


@pytest.mark.parametrize("seed", range(3))
def test_the_graph_reports_the_same(seed):
    rng = np.random.default_rng(seed)
    probabilities = np.round(rng.random((200, 3)), 1).astype(np.float32)
    thresholds = (0.3, 0.7, 0.9)
    found = tf.function(lambda values: reported_findings_graph(values, NAMES, thresholds))(probabilities)
    expected = reported_findings(probabilities, NAMES, thresholds)
    assert [text.decode() for text in found.numpy()] == expected
    assert len(set(expected)) == 8
