"""Optimizer, learning rate, loss and class weights of a recipe."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from semenet.data.manifest.class_labels import possible_classes
from semenet.data.manifest.several_labels import known_labels
from semenet.training.losses.masked_loss import MaskedBinaryCrossentropy, positive_weights
from semenet.training.losses.partial_loss import (
    PartialLabelCrossentropy,
    are_partial,
    balanced_weights,
    possible_accuracy,
)
from semenet.training.recipe import Recipe

# Only kernels decay: biases and the scales and offsets of normalisation do not.
_WITHOUT_DECAY = ("bias", "gamma", "beta")


def compile_network(
    network: keras.Model,
    recipe: Recipe,
    steps_per_epoch: int,
    *,
    jit_compile: bool | str = "auto",
    labels: np.ndarray | None = None,
) -> None:
    """Compiles a recipe's network with its optimizer, learning rate and loss.

    All variables that a training step changes exist afterwards. TensorFlow would trace a step a second time
    if the first trace created a variable, and for DenseNet169 that takes as long as the first trace.

    Args:
        network: the network, or a distillation of it.
        recipe: the recipe.
        steps_per_epoch: number of steps in an epoch.
        jit_compile: whether XLA compiles the step: True, False or "auto", as `Devices.jit_compile`.
        labels: `training_labels` of the training images; if some are partial, the loss is
            `PartialLabelCrossentropy`, which holds the class weights too. None where all are complete.
    """
    smoothing = recipe.label_smoothing
    measured: list[str | keras.metrics.Metric] = ["accuracy"]
    if recipe.segments:
        loss = keras.losses.BinaryCrossentropy(label_smoothing=smoothing)
        measured = ["binary_accuracy"]
    elif recipe.several_labels:
        balanced = recipe.class_weights == "balanced" and labels is not None
        loss = MaskedBinaryCrossentropy(smoothing, positive_weights(labels) if balanced else None)
        measured = []
    elif labels is not None and are_partial(labels):
        weights = balanced_weights(labels) if recipe.class_weights == "balanced" else None
        loss = PartialLabelCrossentropy(smoothing, weights)
        measured = [keras.metrics.MeanMetricWrapper(possible_accuracy, name="accuracy")]
    else:
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    network.compile(
        _optimizer(recipe, steps_per_epoch),
        loss=loss,
        metrics=measured,
        jit_compile=jit_compile,
    )
    network.optimizer.build(network.trainable_variables)
    if keras.backend.backend() == "tensorflow" and not tf.distribute.has_strategy():
        shape = (1, 1, 1, 1) if recipe.segments else (1, len(recipe.classes))
        network.compute_metrics(None, np.zeros(shape, "float32"), np.zeros(shape, "float32"))
        network.reset_metrics()


def learning_rate(
    recipe: Recipe, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns a recipe's learning rate: a number, or a schedule over all steps.

    Args:
        recipe: the recipe.
        steps_per_epoch: number of steps in an epoch.
    """
    rate, steps = recipe.learning_rate, recipe.epochs * steps_per_epoch
    if recipe.schedule == "constant":
        return rate
    alpha = recipe.minimum_learning_rate / rate
    if recipe.cycles > 1:
        # Slightly longer than a cycle, so that the last step does not start another one.
        length = steps / recipe.cycles * (1 + 1e-6)
        return keras.optimizers.schedules.CosineDecayRestarts(rate, length, t_mul=1.0, m_mul=1.0, alpha=alpha)
    warmup = min(round(recipe.warmup * steps), steps - 1)
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(rate, steps, alpha=alpha)
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, alpha=alpha, warmup_target=rate, warmup_steps=warmup
    )


def training_labels(recipe: Recipe, rows: pd.DataFrame) -> np.ndarray | None:
    """Returns the targets of the training images in a loss, `(rows, K)`; None for a segmentation network.

    They are those of `semenet.data.possible_classes`, or of `semenet.data.known_labels` where an image may
    have several labels.
    """
    if recipe.segments:
        return None
    return (known_labels if recipe.several_labels else possible_classes)(rows, recipe.classes)


def class_weights(recipe: Recipe, rows: pd.DataFrame) -> dict[int, float] | None:
    """Returns the weight of each class in the loss.

    Args:
        recipe: the recipe.
        rows: the training images with their `label`.

    Returns:
        The weight of each class index, inversely proportional to the number of its images, with a mean of 1
        over all images; None where all classes have the same weight, or where the loss holds the weights:
        where labels are partial, or an image may have several.
    """
    if recipe.class_weights == "none" or recipe.several_labels:
        return None
    possible = possible_classes(rows, recipe.classes)
    return None if are_partial(possible) else dict(enumerate(balanced_weights(possible).tolist()))


@contextlib.contextmanager
def quick_start() -> Iterator[None]:
    """Disables TensorFlow's graph optimiser on a CPU as long as the block lasts.

    It takes 7 of the 25 s of DenseNet169's first step and does not make later steps faster: measured on
    SEME-DenseNet169 at 224 pixels, in training and in inference. On a GPU it chooses the memory layout.
    """
    if keras.backend.backend() != "tensorflow" or tf.config.list_physical_devices("GPU"):
        yield
        return
    switch = "disable_meta_optimizer"
    previous = tf.config.optimizer.get_experimental_options().get(switch, False)
    tf.config.optimizer.set_experimental_options({switch: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({switch: previous})


def _optimizer(recipe: Recipe, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    rate = learning_rate(recipe, steps_per_epoch)
    clip = {"global_clipnorm": recipe.clip_norm} if recipe.clip_norm else {}
    if recipe.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=recipe.momentum, **clip)
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate, **clip)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, **clip)
    optimizer.exclude_from_weight_decay(var_names=list(_WITHOUT_DECAY))
    return optimizer
