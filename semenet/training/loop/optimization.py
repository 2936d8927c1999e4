"""How a recipe's network learns: precision, optimizer, learning rate and loss."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from semenet.data.manifest.table import label_index

# Kernels decay; what follows a normalisation or shifts an output does not.
_KEEP_THEIR_SIZE = ("bias", "gamma", "beta")


def compile_network(network, recipe, steps_per_epoch, *, jit_compile="auto"):
    """Compiles a recipe's network with its optimizer, schedule and loss.

    Everything that a training step changes exists afterwards: TensorFlow traces a step a second time where
    the first one creates a variable, which for DenseNet169 takes as long as the first.

    Args:
        network: `keras.Model`.
        recipe: `Recipe`.
        steps_per_epoch: int.
        jit_compile: bool or "auto", as `Devices` has it: whether XLA compiles the step.
    """
    smoothing = recipe.label_smoothing
    if recipe.segments:
        loss = keras.losses.BinaryCrossentropy(label_smoothing=smoothing)
    else:
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    network.compile(
        _optimizer(recipe, steps_per_epoch),
        loss=loss,
        metrics=["binary_accuracy" if recipe.segments else "accuracy"],
        jit_compile=jit_compile,
    )
    network.optimizer.build(network.trainable_variables)
    if keras.backend.backend() == "tensorflow" and not tf.distribute.has_strategy():
        shape = (1, 1, 1, 1) if recipe.segments else (1, len(recipe.classes))
        network.compute_metrics(None, np.zeros(shape, "float32"), np.zeros(shape, "float32"))
        network.reset_metrics()


def learning_rate(recipe, steps_per_epoch):
    """A recipe's learning rate: a float, or a schedule over all steps.

    Args:
        recipe: `Recipe`.
        steps_per_epoch: int.

    Returns:
        float or `keras.optimizers.schedules.LearningRateSchedule`.
    """
    rate, steps = recipe.learning_rate, recipe.epochs * steps_per_epoch
    if recipe.schedule == "constant":
        return rate
    alpha = recipe.minimum_learning_rate / rate
    if recipe.cycles > 1:
        # A hair more than a cycle, so that the last step does not begin another one.
        length = steps / recipe.cycles * (1 + 1e-6)
        return keras.optimizers.schedules.CosineDecayRestarts(rate, length, t_mul=1.0, m_mul=1.0, alpha=alpha)
    warmup = min(round(recipe.warmup * steps), steps - 1)
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(rate, steps, alpha=alpha)
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, alpha=alpha, warmup_target=rate, warmup_steps=warmup
    )


def class_weights(recipe, rows):
    """What an image of each class counts in the loss.

    Args:
        recipe: `Recipe`.
        rows: DataFrame of the training images with their `label`.

    Returns:
        dict of the class's number to its weight, in inverse proportion to its images and 1 in the mean over
        all images; None where all count alike.
    """
    if recipe.class_weights == "none":
        return None
    counts = np.bincount(label_index(rows, recipe.classes), minlength=len(recipe.classes))
    return dict(enumerate((counts.sum() / (len(counts) * counts)).tolist()))


def precision_policy(precision):
    """The numeric policy of a recipe's `precision`: "auto" depends on the accelerator.

    Args:
        precision: str, as of `Recipe`.

    Returns:
        str: "float32", "mixed_float16" or "mixed_bfloat16".
    """
    if precision != "auto":
        return precision
    if keras.backend.backend() == "jax":
        # What JAX runs on besides CPUs has bfloat16.
        on_cpu = keras.distribution.list_devices()[0].startswith("cpu")
        return "float32" if on_cpu else "mixed_bfloat16"
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "float32"
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"


@contextlib.contextmanager
def quick_start():
    """Leaves out TensorFlow's graph optimiser on a CPU as long as the block lasts.

    It takes 7 of the 25 s that DenseNet169's first step takes, and the steps are no quicker for it: measured
    on SEME-DenseNet169 at 224, training and inference alike. On a GPU it chooses the layout.
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


def _optimizer(recipe, steps_per_epoch):
    rate = learning_rate(recipe, steps_per_epoch)
    clip = {"global_clipnorm": recipe.clip_norm} if recipe.clip_norm else {}
    if recipe.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=recipe.momentum, **clip)
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate, **clip)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, **clip)
    optimizer.exclude_from_weight_decay(var_names=list(_KEEP_THEIR_SIZE))
    return optimizer
