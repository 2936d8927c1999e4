"""Probabilities of a network for prepared images, the same numbers for evaluation and for serving."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from semenet.errors import SemenetError
from semenet.inference.heat_maps.explained_layers import is_pooled
from semenet.inference.heat_maps.graphs import class_map_network, scaled
from semenet.inference.test_time_augmentation import check_view_count, inference_view
from semenet.metrics.calibration import HIGHEST_PROBABILITY, LOWEST_PROBABILITY, check_temperature

if TYPE_CHECKING:
    from semenet.training.run_folder.run import Run

# Between the findings that a network with sigmoid outputs reports, and in their place if there are none.
SEPARATOR = "|"
NO_FINDING = "no finding"


def scoring_function(run: Run, tta: int = 1, calibrated: bool = True) -> Callable[[np.ndarray], tf.Tensor]:
    """Returns a function that computes the probabilities of batches of prepared images.

    Equal batches give bitwise equal probabilities. In batches of another size a convolution may add in
    another order.

    Args:
        run: the network.
        tta: test-time augmentation: the probabilities are the mean over the first `tta` views of
            `semenet.inference.test_time_augmentation.INFERENCE_VIEWS`. 1 uses the image alone.
        calibrated: whether to apply the temperature of the run after that mean.

    Returns:
        A function from images, uint8 `(N, H, W, C)` in [0, 255], to a float32 tensor `(N, K)`, or
        `(N, H, W, K)` for a segmentation network.

    Raises:
        RunFolderError: the calibration of the run is invalid, or belongs to another network.
        SemenetError: `tta` is out of range, or is not 1 for a segmentation network.

    Example:
        >>> run = semenet.training.Run.open("run")
        >>> score = semenet.inference.scoring_function(run)
        >>> score(np.zeros((2, 32, 32, 1), np.uint8)).shape
        TensorShape([2, 3])
    """
    _check_views(run, tta)
    score = _scoring(run, lambda images: (run.model(images, training=False),), tta, calibrated)
    return lambda images: score(images)[0]


def scoring_function_with_maps(
    run: Run, tta: int = 1
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]:
    """Returns a function that computes probabilities and class activation maps in one forward pass.

    Args:
        run: a classifier.
        tta: as for `scoring_function`. The maps show the original view, for the class with the highest mean
            probability over all views.

    Returns:
        A function from images, as for `scoring_function`, to two float32 arrays: the probabilities `(N, K)`,
        bitwise equal to those of `scoring_function`; and class activation maps `(N, h, w)` in [0, 1], see
        `semenet.inference.heat_maps.class_activation`. The maps are None for a head without global average
        pooling.

    Raises:
        RunFolderError: as for `scoring_function`.
        SemenetError: `tta` is out of range, or the network has no layers to compute maps from.
    """
    if not is_pooled(run.model):
        probabilities_only = scoring_function(run, tta)
        return lambda images: (probabilities_only(images).numpy(), None)
    _check_views(run, tta)
    score = _scoring(run, class_map_network(run.model), tta)

    def score_and_map(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities, maps = score(images)
        predicted = tf.argmax(probabilities, axis=1)
        return probabilities.numpy(), scaled(tf.gather(maps, predicted, axis=3, batch_dims=1)).numpy()

    return score_and_map


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


def _check_views(run: Run, tta: int) -> None:
    check_view_count(tta)
    if tta > 1 and run.segments:
        raise SemenetError(
            "Test-time augmentation averages class probabilities, not masks. "
            f"Received: tta={tta} for the segmentation network {run.name}. Use tta=1."
        )


def _scoring(
    run: Run, network: Callable[..., tuple], tta: int, calibrated: bool = True
) -> Callable[[np.ndarray], tuple]:
    """Returns a function from images to the final probabilities and the other outputs of a network.

    `network` maps images to a tuple that starts with the probabilities. With several views, the other
    outputs are those of the first view, the original image.
    """
    signature = tf.TensorSpec((None, *run.input_size, run.channels), tf.uint8)
    # A single trace serves every batch size, the smaller last batch included.
    predict = tf.function(network, input_signature=[signature], autograph=False)
    temper = temperature_function(run.temperature if calibrated else 1.0, run.activation)

    def score(images: np.ndarray) -> tuple:
        if tta == 1:
            outputs, *others = predict(images)
            return temper(outputs), *others
        images = np.asarray(images)
        views, *others = zip(*(predict(_views(images, number)) for number in range(tta)), strict=True)
        return temper(tf.reduce_mean(tf.stack(views), axis=0)), *(values[0] for values in others)

    return score


def temperature_function(temperature: float, activation: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns `temper_graph` with fixed arguments, traced once for batches of any size.

    Args:
        temperature: above 0. With 1 the function returns its argument.
        activation: "softmax" or "sigmoid".

    Returns:
        A function from probabilities, float32 `(N, K)`, to calibrated probabilities of the same shape.
    """
    if temperature == 1:
        return lambda probabilities: probabilities
    signature = tf.TensorSpec((None, None), tf.float32)
    return tf.function(
        lambda probabilities: temper_graph(probabilities, temperature, activation),
        input_signature=[signature],
        autograph=False,
    )


def temper_graph(probabilities: tf.Tensor, temperature: float, activation: str) -> tf.Tensor:
    """Applies temperature scaling in TensorFlow.

    Equals `semenet.metrics.apply_temperature` up to float32 rounding, and never changes the predicted class.

    Args:
        probabilities: float32 `(N, K)` in [0, 1].
        temperature: above 0.
        activation: "softmax", or "sigmoid" for independent columns.

    Returns:
        float32 tensor `(N, K)`.
    """
    check_temperature(temperature)
    if temperature == 1:
        return probabilities
    if activation == "sigmoid":
        clipped = tf.clip_by_value(probabilities, LOWEST_PROBABILITY, HIGHEST_PROBABILITY)
        tempered = tf.sigmoid((tf.math.log(clipped) - tf.math.log1p(-clipped)) * (1 / temperature))
    else:
        tempered = tf.nn.softmax(
            tf.math.log(tf.maximum(probabilities, LOWEST_PROBABILITY)) * (1 / temperature)
        )
    is_top = tf.equal(probabilities, tf.reduce_max(probabilities, axis=1, keepdims=True))
    top = tf.reduce_max(tf.where(is_top, tempered, LOWEST_PROBABILITY), axis=1, keepdims=True)
    return tf.where(is_top, top, tf.minimum(tempered, top * (1 - np.finfo(np.float32).eps)))


def _views(images: np.ndarray, number: int) -> np.ndarray:
    """Returns one view of each image. All channels of an image are equal, so only one is transformed."""
    views = [inference_view(image[..., 0], number) for image in images]
    return np.repeat(np.stack(views)[..., np.newaxis], images.shape[-1], axis=-1)
