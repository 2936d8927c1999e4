"""A network's probabilities for prepared images: what is measured and what is served, to the last digit."""

import numpy as np
import tensorflow as tf

from semenet.errors import SemenetError
from semenet.inference.class_activation import cam_network, scaled
from semenet.inference.explained_layers import is_pooled
from semenet.inference.test_time_augmentation import check_view_count, inference_view
from semenet.metrics.calibration import HIGHEST, LOWEST, check_temperature


def scorer(run, tta=1, calibrated=True):
    """Makes the function that scores batches of prepared images.

    Equal batches give equal digits; in batches of another size a convolution may add in another order.

    Args:
        run: `semenet.training.run_folder.run.Run`.
        tta: int, test-time augmentation: the probabilities are the mean over the first so many of
            `semenet.inference.test_time_augmentation.INFERENCE_VIEWS`. 1: the image's own.
        calibrated: whether the run's temperature applies, after that mean; else the network's own outputs.

    Returns:
        A function from images, uint8 (N, height, width, channels) in [0, 255], to a float32 tensor (N, K),
        or (N, height, width, K) of a segmentation network.

    Raises:
        RunFolderError: the run's calibration is broken, or of another network than the one there now.
        ValueError: there are not so many views, or the network segments and `tta` is not 1.
    """
    _check_views(run, tta)
    score = _scoring(run, lambda images: (run.model(images, training=False),), tta, calibrated)
    return lambda images: score(images)[0]


def mapping_scorer(run, tta=1):
    """Makes the function that scores as `scorer` does, and says of the same forward pass what spoke for it.

    Args:
        run: `semenet.training.run_folder.run.Run` of a classifier.
        tta: as for `scorer`; the maps are of the images' own view, for the classes predicted over all.

    Returns:
        A function from images, as for `scorer`, to float32 arrays: the probabilities (N, K), to the digit
        those of `scorer`; and class activation maps (N, h, w) in [0, 1], see
        `semenet.inference.class_activation`, or None for a head that follows no global average pooling.

    Raises:
        RunFolderError: as `scorer`.
        ValueError: there are not so many views, or the network has no layers to make maps of.
    """
    if not is_pooled(run.model):
        plain = scorer(run, tta)
        return lambda images: (plain(images).numpy(), None)
    _check_views(run, tta)
    score = _scoring(run, cam_network(run.model), tta)

    def score_and_map(images):
        probabilities, maps = score(images)
        predicted = tf.argmax(probabilities, axis=1)
        return probabilities.numpy(), scaled(tf.gather(maps, predicted, axis=3, batch_dims=1)).numpy()

    return score_and_map


def _check_views(run, tta):
    check_view_count(tta)
    if tta > 1 and run.segments:
        raise SemenetError(
            "Test-time augmentation averages class probabilities, not masks. "
            f"Received: tta={tta} for {run.path}, a segmentation network. Leave it at 1."
        )


def _scoring(run, network, tta, calibrated=True):
    """The function of images that gives a network's outputs, finished, and what else it gives of them.

    `network` is a function of images to a tuple that begins with the outputs; of several views the rest is
    the first one's, the image itself.
    """
    signature = tf.TensorSpec((None, *run.input_size, run.channels), tf.uint8)
    # One trace, whatever the size of the last batch.
    predict = tf.function(network, input_signature=[signature])
    finish = tempering(run.temperature if calibrated else 1.0, run.activation)

    def score(images):
        if tta == 1:
            outputs, *others = predict(images)
            return finish(outputs), *others
        images = np.asarray(images)
        views, *others = zip(*(predict(_views(images, number)) for number in range(tta)), strict=True)
        return finish(tf.reduce_mean(tf.stack(views), axis=0)), *(of_views[0] for of_views in others)

    return score


def tempering(temperature, activation):
    """Makes the function that `scorer` ends with: `temper_graph`, traced once, for batches of any size.

    Args:
        temperature: float above 0; 1 makes a function that returns what it is given.
        activation: "softmax" or "sigmoid".

    Returns:
        A function of probabilities, float32 (N, K), that returns the like.
    """
    if temperature == 1:
        return lambda probabilities: probabilities
    signature = tf.TensorSpec((None, None), tf.float32)
    return tf.function(
        lambda probabilities: temper_graph(probabilities, temperature, activation),
        input_signature=[signature],
    )


def temper_graph(probabilities, temperature, activation):
    """`semenet.metrics.temper` in TensorFlow: the same to float32's rounding, and as sure to keep the class.

    Args:
        probabilities: float32 tensor (N, K), in [0, 1].
        temperature: float above 0.
        activation: "softmax", or "sigmoid" for independent columns.

    Returns:
        float32 tensor (N, K).
    """
    check_temperature(temperature)
    if temperature == 1:
        return probabilities
    if activation == "sigmoid":
        clipped = tf.clip_by_value(probabilities, LOWEST, HIGHEST)
        tempered = tf.sigmoid((tf.math.log(clipped) - tf.math.log1p(-clipped)) * (1 / temperature))
    else:
        tempered = tf.nn.softmax(tf.math.log(tf.maximum(probabilities, LOWEST)) * (1 / temperature))
    is_top = tf.equal(probabilities, tf.reduce_max(probabilities, axis=1, keepdims=True))
    top = tf.reduce_max(tf.where(is_top, tempered, LOWEST), axis=1, keepdims=True)
    return tf.where(is_top, top, tf.minimum(tempered, top * (1 - np.finfo(np.float32).eps)))


def _views(images, number):
    """Of each image the one view; grey three times over stays that."""
    views = [inference_view(image[..., 0], number) for image in images]
    return np.repeat(np.stack(views)[..., np.newaxis], images.shape[-1], axis=-1)
