"""A network's probabilities for prepared images: what is measured and what is served, to the last digit."""

import numpy as np
import tensorflow as tf

from semenet.data.inference_augmentation import check_view_count, inference_view
from semenet.errors import SemenetError


def scorer(run, tta=1):
    """Makes the function that scores batches of prepared images.

    Equal batches give equal digits; in batches of another size a convolution may add in another order.

    Args:
        run: `semenet.training.run.Run`.
        tta: int, test-time augmentation: the probabilities are the mean over the first so many of
            `semenet.data.inference_augmentation.INFERENCE_VIEWS`. 1: the image's own.

    Returns:
        A function from images, uint8 (N, height, width, channels) in [0, 255], to a float32 tensor (N, K),
        or (N, height, width, K) of a segmentation network.

    Raises:
        ValueError: there are not so many views, or the network segments and `tta` is not 1.
    """
    check_view_count(tta)
    if tta > 1 and run.segments:
        raise SemenetError(
            "Test-time augmentation averages class probabilities, not masks. "
            f"Received: tta={tta} for {run.path}, a segmentation network. Leave it at 1."
        )
    signature = tf.TensorSpec((None, *run.input_size, run.channels), tf.uint8)
    # One trace, whatever the size of the last batch.
    predict = tf.function(lambda images: run.model(images, training=False), input_signature=[signature])

    def score(images):
        if tta == 1:
            return predict(images)
        images = np.asarray(images)
        return tf.reduce_mean(tf.stack([predict(_views(images, number)) for number in range(tta)]), axis=0)

    return score


def _views(images, number):
    """Of each image the one view; grey three times over stays that."""
    views = [inference_view(image[..., 0], number) for image in images]
    return np.repeat(np.stack(views)[..., np.newaxis], images.shape[-1], axis=-1)
