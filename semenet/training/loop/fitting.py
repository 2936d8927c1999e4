"""Fits a network from the restored step to the end of its run, one input size after another."""

import contextlib
from collections.abc import Callable

import keras
import tensorflow as tf

from semenet.data.pipeline.batches import TrainingBatches
from semenet.data.pipeline.tf_data import as_dataset, unwrapped_errors
from semenet.training.loop.checkpoint_callback import CheckpointCallback
from semenet.training.loop.progress import ProgressCallback, smaller_training
from semenet.training.loop.tensorboard import TensorBoardCallback
from semenet.training.loop.validation import Validation
from semenet.training.recipe import Recipe
from semenet.training.run_folder.file_names import TENSORBOARD
from semenet.training.unlearning.group_weights import GroupWeightsLog


def fit_phases(
    model: keras.Model,
    recipe: Recipe,
    data_of: Callable[[int], tuple[TrainingBatches, Validation]],
    checkpoints: CheckpointCallback,
    weights: dict[int, float] | None,
    tensorboard: bool,
) -> None:
    """Fits from the restored step on: first the rest of a started epoch, then whole epochs.

    Args:
        model: the compiled model that is fitted.
        recipe: the recipe.
        data_of: returns the batches and the validation of an input size.
        checkpoints: the callback that holds the position.
        weights: the weight of each class in the loss, or None.
        tensorboard: whether to write event files.
    """
    steps = checkpoints.steps_per_epoch
    position = checkpoints.epoch * steps + checkpoints.step
    # A GPU needs no smaller training.
    smaller = None
    if not tf.config.list_physical_devices("GPU"):
        smaller = smaller_training(recipe.input_size, recipe.width, recipe.epochs)
    progress = ProgressCallback(recipe.size_phases, steps, recipe.batch_size, start=position, smaller=smaller)
    # Before the callbacks that write the logs of an epoch.
    callbacks = [GroupWeightsLog(), checkpoints] if recipe.dro_step else [checkpoints]
    if checkpoints.devices.is_chief:
        callbacks.append(progress)
    log = None
    # Closing restores the terminal after an error.
    with contextlib.closing(progress):
        for phase in recipe.size_phases:
            end = phase.end_epoch * steps
            if position >= end or checkpoints.stops_early:
                continue
            batches, checkpoints.validation = data_of(phase.size)
            progress.images = batches.items
            # Traced for this size alone, as in a run that is resumed within this phase.
            model.train_function = checkpoints.network.predict_function = None
            if log is None and checkpoints.devices.is_chief and tensorboard:
                log = TensorBoardCallback(
                    checkpoints.out / TENSORBOARD,
                    recipe,
                    steps,
                    start_step=position,
                    batches=as_dataset(batches, position, position + 1),
                    confusion=lambda: checkpoints.validation.confusion,
                )
                callbacks.append(log)
            while position < end and not checkpoints.stops_early:
                rest = steps - position % steps
                stop = end if rest == steps else position + rest
                with unwrapped_errors():
                    model.fit(
                        as_dataset(batches, position, stop),
                        initial_epoch=position // steps,
                        epochs=stop // steps,
                        steps_per_epoch=rest,
                        class_weight=weights,
                        verbose=0,
                        shuffle=False,
                        callbacks=callbacks,
                    )
                position = stop
