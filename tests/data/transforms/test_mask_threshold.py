import numpy as np
import tensorflow as tf

from semenet.data.transforms.mask_threshold import MASK_LEVEL, MASK_PROBABILITY


def test_the_grey_level_and_the_probability_are_one_threshold():
    half = np.float32(MASK_PROBABILITY)
    around = [np.nextafter(half, np.float32(0)), half, np.nextafter(half, np.float32(1))]
    probabilities = np.concatenate([np.linspace(0, 1, 100001, dtype=np.float32), around])
    inside = probabilities >= MASK_PROBABILITY
    np.testing.assert_array_equal(np.rint(probabilities * 255).astype(np.uint8) >= MASK_LEVEL, inside)
    # Exported graphs round in TensorFlow.
    np.testing.assert_array_equal(tf.round(tf.constant(probabilities) * 255).numpy() >= MASK_LEVEL, inside)
