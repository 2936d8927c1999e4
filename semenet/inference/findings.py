"""What a network with sigmoid outputs reports: the findings whose probability reaches their threshold."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

SEPARATOR = "|"
NO_FINDING = "no finding"


def reported_findings(
    probabilities: np.ndarray, class_names: Sequence[str], thresholds: Sequence[float]
) -> list[str]:
    """Returns the findings that are reported for each image.

    Args:
        probabilities: float32 `(N, K)`.
        class_names: the K names.
        thresholds: for each class, the lowest probability at which it is reported.

    Returns:
        N texts: the names joined by `|`, in the order of the classes; "no finding" if there are none.

    Example:
        >>> from semenet.inference import reported_findings
        >>> probabilities = np.array([[0.7, 0.6], [0.2, 0.9], [0.1, 0.3]], np.float32)
        >>> reported_findings(probabilities, ("edema", "effusion"), (0.5, 0.5))
        ['edema|effusion', 'effusion', 'no finding']
    """
    reported = np.asarray(probabilities, np.float32) >= np.asarray(thresholds, np.float32)
    return [
        SEPARATOR.join(name for name, is_reported in zip(class_names, row, strict=True) if is_reported)
        or NO_FINDING
        for row in reported
    ]


def reported_findings_graph(
    probabilities: tf.Tensor, class_names: Sequence[str], thresholds: Sequence[float]
) -> tf.Tensor:
    """Computes `reported_findings` in a graph: float32 `(N, K)` to string `(N,)`."""
    reported = probabilities >= tf.constant(thresholds, tf.float32)
    words = tf.where(reported, tf.constant([[name + SEPARATOR for name in class_names]]), "")
    joined = tf.strings.reduce_join(words, axis=1)
    texts = tf.strings.regex_replace(joined, re.escape(SEPARATOR) + "$", "")
    return tf.where(tf.equal(joined, ""), NO_FINDING, texts)
