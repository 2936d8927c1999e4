"""Trains the network of a recipe in a run folder, and resumes a run that was killed."""

import contextlib
import dataclasses
import json
import os
import pathlib
import sys

import keras
import pandas as pd
import tensorflow as tf

from semenet.data.manifest.table import read_manifest
from semenet.data.pipeline.balanced_draw import format_cells
from semenet.data.pipeline.batches import TrainingBatches
from semenet.data.pipeline.datasets import training_batches
from semenet.errors import WrongTypeError
from semenet.storage.atomic import write_text
from semenet.storage.hashing import file_sha256
from semenet.training.devices.device import Devices
from semenet.training.devices.distribution import open_devices
from semenet.training.distillation.distillation import distil
from semenet.training.distillation.teacher import find_teacher
from semenet.training.loop.averaging import WeightAverage
from semenet.training.loop.checkpoint_callback import CheckpointCallback
from semenet.training.loop.class_checks import check_classes, findings_sha256, target_columns
from semenet.training.loop.fitting import fit_phases
from semenet.training.loop.lung_screening import check_lung_masks, find_implausible_lungs
from semenet.training.loop.optimization import class_weights, compile_network, quick_start, training_labels
from semenet.training.loop.recipe_network import build_network
from semenet.training.loop.selection import describe_sampling, select_rows
from semenet.training.loop.validation import Validation
from semenet.training.options import DataOptions, RunOptions
from semenet.training.precision import choose_precision, dtype_policy
from semenet.training.recipe import Recipe, find_recipe
from semenet.training.run_folder.file_names import RECORD, model_file
from semenet.training.run_folder.image_sample import sample_sha256
from semenet.training.run_folder.run import Run
from semenet.training.run_folder.run_folder_setup import (
    find_earlier_record,
    locked_run_folder,
    resume_record,
    start_record,
)
from semenet.training.stop_signals import noted_signals
from semenet.training.unlearning.row_values import UnlearningValues, unlearning_values
from semenet.training.unlearning.source_unlearning import group_record, unlearn_source


def train(
    recipe: Recipe | str,
    manifest: str | os.PathLike,
    out: str | os.PathLike,
    *,
    root: str | os.PathLike | None = None,
    data: DataOptions = DataOptions(),
    options: RunOptions = RunOptions(),
) -> Run:
    """Trains a network and writes everything about its training into a run folder.

    A call with the same recipe, manifest and folder resumes a run that was killed from its last checkpoint;
    it ends with the same weights as a run that was never interrupted. A finished run is returned as it is.
    The seeds of Python, NumPy and Keras are set.

    Args:
        recipe: the recipe, or the name of a committed one, such as "seme_resnet50".
        manifest: path of a CSV file with the columns `file, label, patient, split` (for a segmentation
            network `mask` instead of `label`) and the splits `train` and `val`.
        out: the run folder: a new or empty folder, or that of the same run. It receives `model.keras` (the
            best network by the recipe's `monitor`), `last.weights.h5`, `recipe.json`, `run.json`,
            `history.csv`, `timings.csv`, `checkpoints/last.npz` and `tensorboard/`.
        root: folder that the manifest's relative paths start from; None for the manifest's own folder.
        data: what to do with unreadable files and with patients in two splits, and where to cache images.
        options: determinism, checkpoints and devices. With `deterministic`, TensorFlow stays deterministic
            for the rest of the process.

    Returns:
        The `Run` of the folder.

    Raises:
        RecipeError: there is no recipe of that name.
        WrongTypeError: `recipe` is neither a `Recipe` nor a name.
        ManifestError: the manifest is invalid, a patient occurs in two splits without permission, or a class
            has no training images.
        CacheError: there is no room for the cache.
        RunFolderError: `out` holds something else, or another process trains in it.
        ImageError: a file cannot be read; the message names it.
        TeacherError: the recipe's teacher cannot be found, or does not fit.
        TrainingError: the loss is no longer finite, or the disk is full. The last checkpoint is kept.
        DistributionError: the devices do not fit the recipe.
        ClusterError: another process did not start, or has ended.
        TrainingStopped: a signal (Ctrl-C, SIGTERM) asked for it. The last checkpoint is that of this step.

    Example:
        >>> import dataclasses
        >>> recipe = semenet.training.find_recipe("seme_resnet50")
        >>> recipe = dataclasses.replace(recipe, input_size=32, width=0.125, depth=0.01, epochs=1)
        >>> run = semenet.train(recipe, "manifest.csv", "tiny_run")
        >>> run.record["status"], run.record["best_epoch"]
        ('finished', 1)
        >>> run.model.output_shape
        (None, 3)
    """
    recipe = _find(recipe)
    out = pathlib.Path(out)
    table = read_manifest(manifest, root, required=target_columns(recipe))
    check_lung_masks(recipe, table)
    rows, val_rows, inputs = select_rows(table, data, masks=recipe.segments or recipe.lung_view.needs_mask)
    check_classes(recipe, rows, table.path)
    values = unlearning_values(recipe, rows, table.path)
    inputs["columns_sha256"] = values.sha256 or findings_sha256(recipe, rows, val_rows)
    inputs["sampling"] = describe_sampling(recipe, rows)
    inputs["teacher_sha256"] = None if recipe.teacher is None else _sha256(find_teacher(recipe.teacher, out))
    inputs["images_sha256"] = sample_sha256([rows, val_rows])
    inputs["weights_sha256"] = None if recipe.weights is None else _sha256(pathlib.Path(recipe.weights))
    record = find_earlier_record(out, recipe, table, inputs)
    if record is not None and record["status"] == "finished":
        print(f"{out} is finished: nothing to train.", file=sys.stderr)
        return Run.open(out)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    with contextlib.ExitStack() as stack:
        devices = stack.enter_context(open_devices(options))
        devices.check(recipe.batch_size, recipe.clip_norm or None)
        precision = choose_precision(recipe.precision, recipe.entry, record)
        stack.enter_context(dtype_policy(precision.policy))
        stack.enter_context(quick_start())
        stack.enter_context(devices.scope())
        keras.utils.set_random_seed(recipe.seed)
        model, network = _build_model(recipe, out, devices)
        # Of the last size, which needs the most room in a cache.
        batches = _batches(recipe, rows, data, devices, values)
        if recipe.unlearns:
            model = unlearn_source(model, network, recipe, values, recipe.epochs * batches.steps)
        labels = training_labels(recipe, rows)
        compile_network(model, recipe, batches.steps, jit_compile=devices.jit_compile, labels=labels)
        average = WeightAverage(network, recipe.ema)
        validation = Validation(val_rows, recipe, devices, **data.cache_arguments)
        # The folder is created last, so that wrong arguments leave none behind.
        if devices.is_chief:
            stack.enter_context(locked_run_folder(out))
            record = find_earlier_record(out, recipe, table, inputs)
            if record is None:
                lungs = find_implausible_lungs(recipe, rows, val_rows)
                record = start_record(out, recipe, table, inputs | lungs, options, precision)
            else:
                record = resume_record(out, record, options, precision)
            if recipe.sampling.draws:
                print(format_cells(inputs["sampling"], len(rows)), file=sys.stderr)
        # The other processes wait until rank 0 has created the folder.
        devices.broadcast("folder")
        stop = stack.enter_context(noted_signals())
        checkpoints = CheckpointCallback(
            out,
            recipe,
            model=model,
            network=network,
            average=average,
            validation=validation,
            devices=devices,
            steps_per_epoch=batches.steps,
            checkpoint_every=options.checkpoint_every,
            stop=stop,
        )
        checkpoints.restore()
        if devices.is_chief:
            print(f"Precision: {precision.policy}, because {precision.reason}.", file=sys.stderr)

        def data_of(size: int) -> tuple[TrainingBatches, Validation]:
            if size == recipe.input_size:
                return batches, validation
            smaller = dataclasses.replace(recipe, input_sizes=(), input_size=size)
            own = Validation(val_rows, recipe, devices, **data.cache_arguments, input_size=size)
            return _batches(smaller, rows, data, devices, values), own

        fit_phases(model, recipe, data_of, checkpoints, class_weights(recipe, rows), options.tensorboard)
        if devices.is_chief:
            checkpoints.write_last_weights()
            result = {"best_epoch": checkpoints.best_epoch, "best": checkpoints.best}
            result |= group_record(model, values)
            record |= {"status": "finished"} | result
            write_text(out / RECORD, json.dumps(record, indent=2, allow_nan=False) + "\n")
        stop.raise_after(f"stopped after the training had ended: {out} is finished")
    return Run.open(out)


def _find(recipe: Recipe | str) -> Recipe:
    if isinstance(recipe, str):
        return find_recipe(recipe)
    if not isinstance(recipe, Recipe):
        raise WrongTypeError(
            "`recipe` must be a Recipe or the name of one. "
            f"Received: {recipe!r} of type {type(recipe).__name__}. Pass a name such as 'seme_resnet50'."
        )
    return recipe


def _build_model(recipe: Recipe, out: pathlib.Path, devices: Devices) -> tuple[keras.Model, keras.Model]:
    """Returns the model to fit and the network to save: the same model where there is no teacher."""
    network = build_network(recipe)
    devices.prepare_model(network)
    return (network if recipe.teacher is None else distil(network, recipe, out)), network


def _batches(
    recipe: Recipe, rows: pd.DataFrame, data: DataOptions, devices: Devices, values: UnlearningValues
) -> TrainingBatches:
    return training_batches(
        rows,
        class_names=None if recipe.segments else recipe.classes,
        input_size=(recipe.input_size, recipe.input_size),
        channels=recipe.channels,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        augmentation=recipe.augmentation,
        masks=recipe.segments,
        view=recipe.lung_view,
        several_labels=recipe.several_labels,
        part=devices.part,
        multiple=devices.replicas,
        row_values=values.of_rows,
        lung_masks=recipe.lung_attention_weight > 0,
        sampling=recipe.sampling,
        **data.cache_arguments,
    )


def _sha256(path: pathlib.Path) -> str | None:
    """Returns the hash of a file, or of a run folder's network; None for a name that is no path."""
    file = model_file(path)
    return file_sha256(file) if file.is_file() else None
