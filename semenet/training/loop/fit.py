"""Trains a network by a recipe, into a run folder that a killed run goes on from."""

import contextlib
import json
import pathlib
import sys

import keras
import tensorflow as tf

from semenet.data.manifest.table import ManifestError, label_index, read_manifest
from semenet.data.pipeline.datasets import training_batches
from semenet.data.pipeline.tf_data import as_dataset, unwrapped_errors
from semenet.models.catalog import build
from semenet.storage.atomic import write_text
from semenet.storage.hashing import file_sha256
from semenet.training.devices.distribution import open_devices
from semenet.training.distillation.distillation import distil
from semenet.training.distillation.teacher import find_teacher
from semenet.training.loop.averaging import WeightAverage
from semenet.training.loop.data_options import DataOptions
from semenet.training.loop.optimization import class_weights, compile_network, precision_policy, quick_start
from semenet.training.loop.progress import ShowProgress
from semenet.training.loop.run_options import RunOptions
from semenet.training.loop.selection import select_rows
from semenet.training.loop.tensorboard import TensorBoardLog
from semenet.training.loop.validation import Validation
from semenet.training.run_folder import run as run_folder
from semenet.training.run_folder import setup as opening
from semenet.training.run_folder.checkpoint_callback import KeepRun


def train(recipe, manifest_path, out, *, root=None, data=DataOptions(), options=RunOptions()):
    """Trains a network and keeps everything about it in a run folder.

    Started again with the same recipe, manifest and folder, a run that was killed goes on from the last step
    that it saved, and a finished one does nothing. Seeds Python, NumPy and Keras.

    Args:
        recipe: `Recipe`.
        manifest_path: CSV with the columns `file, label, patient, split` (`mask` for a segmentation
            network) and the splits `train` and `val`.
        out: the run folder: new, empty or this run's own.
        root: folder that the manifest's paths start from; None for the CSV's own.
        data: `DataOptions`: bad files, patients in two splits, caches.
        options: `RunOptions`: determinism, checkpoints, devices. With `deterministic` TensorFlow stays so
            for the rest of the process.

    Returns:
        `Run` of the folder.

    Raises:
        ManifestError: for a bad manifest, a patient in two splits unless that is allowed, or a class
            without training images.
        CacheError: for a cache without room.
        RunFolderError: if `out` holds something else, or another process trains in it.
        ImageError: for a file that cannot be read, named in the message.
        TrainingError: if the loss is not finite any more, or the disk is full; the last good checkpoint is
            kept.
        DistributionError: if the devices do not fit the recipe; ClusterError if another process ends.
    """
    out = pathlib.Path(out)
    manifest = read_manifest(manifest_path, root, required=("mask",) if recipe.segments else ("label",))
    rows, val_rows, selection = select_rows(manifest, data, masks=recipe.segments)
    _check_classes(recipe, rows, manifest.path)
    selection["teacher_sha256"] = None if recipe.teacher is None else _hash(find_teacher(recipe.teacher, out))
    selection["weights_sha256"] = None if recipe.weights is None else _hash(pathlib.Path(recipe.weights))
    record = opening.earlier_record(out, recipe, manifest, selection)
    if record is not None and record["status"] == "finished":
        print(f"{out} is finished: nothing to train.", file=sys.stderr)
        return run_folder.Run.open(out)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    with contextlib.ExitStack() as stack:
        devices = stack.enter_context(open_devices(options))
        devices.check(recipe.batch_size, recipe.clip_norm or None)
        policy = stack.enter_context(_policy(recipe))
        stack.enter_context(quick_start())
        stack.enter_context(devices.scope())
        keras.utils.set_random_seed(recipe.seed)
        model, network = _networks(recipe, out, devices)
        batches = _batches(recipe, rows, data, devices)
        compile_network(model, recipe, batches.steps, jit_compile=devices.jit_compile)
        average = WeightAverage(network, recipe.ema)
        validation = Validation(val_rows, recipe, devices, **data.cache_arguments)
        # The folder comes last: a mistake in what was handed in leaves none behind.
        if devices.is_chief:
            stack.enter_context(opening.locked(out))
            record = opening.earlier_record(out, recipe, manifest, selection)
            if record is None:
                record = opening.begin(out, recipe, manifest, selection, options, policy)
            else:
                record = opening.go_on(out, record, options, policy)
        # Rank 0 has made it.
        devices.agree("folder")
        keep = KeepRun(
            out,
            recipe,
            model=model,
            network=network,
            average=average,
            validation=validation,
            devices=devices,
            steps_per_epoch=batches.steps,
            checkpoint_every=options.checkpoint_every,
        )
        keep.restore()
        _fit(model, recipe, batches, keep, class_weights(recipe, rows), options.tensorboard)
        if devices.is_chief:
            keep.write_last_weights()
            record |= {"status": "finished", "best_epoch": keep.best_epoch, "best": keep.best}
            write_text(out / run_folder.RECORD, json.dumps(record, indent=2, allow_nan=False) + "\n")
    return run_folder.Run.open(out)


def build_network(recipe):
    """Builds a recipe's network; with `freeze_backbone` all layers up to `features` are fixed."""
    network = build(
        recipe.entry,
        classes=recipe.classes,
        input_shape=(recipe.input_size, recipe.input_size, recipe.channels),
        weights=recipe.weights,
        **recipe.architecture,
    )
    network.get_layer("head").inference_clahe = recipe.inference_clahe
    if not recipe.segments:
        network.get_layer("head").lungs_alone = recipe.lungs_alone
    if recipe.freeze_backbone:
        for layer in network.layers:
            if layer.name == "features":
                break
            layer.trainable = False
    return network


def _networks(recipe, out, devices):
    """What is fitted, and the network that is kept of it: the same where there is no teacher."""
    network = build_network(recipe)
    devices.adopt(network)
    return (network if recipe.teacher is None else distil(network, recipe, out)), network


def _batches(recipe, rows, data, devices):
    return training_batches(
        rows,
        class_names=None if recipe.segments else recipe.classes,
        input_size=(recipe.input_size, recipe.input_size),
        channels=recipe.channels,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        augmentation=recipe.augmentation,
        masks=recipe.segments,
        part=devices.part,
        multiple=devices.replicas,
        **data.cache_arguments,
    )


def _fit(model, recipe, batches, keep, weights, tensorboard):
    """Fits from where the run stands: first the rest of an epoch that was begun, then whole ones."""
    position, end = keep.epoch * batches.steps + keep.step, recipe.epochs * batches.steps
    progress = ShowProgress(recipe.epochs, batches.steps, recipe.batch_size, start=position)
    callbacks = [keep]
    if keep.devices.is_chief:
        callbacks.append(progress)
    if keep.devices.is_chief and tensorboard:
        log = TensorBoardLog(
            keep.out / run_folder.TENSORBOARD,
            recipe,
            batches.steps,
            start_step=position,
            batches=as_dataset(batches, position, position + 1),
            confusion=lambda: keep.validation.confusion,
        )
        callbacks.append(log)
    # An error leaves the terminal as it was.
    with contextlib.closing(progress):
        while position < end and not keep.stops_early:
            rest = batches.steps - position % batches.steps
            stop = end if rest == batches.steps else position + rest
            with unwrapped_errors():
                model.fit(
                    as_dataset(batches, position, stop),
                    initial_epoch=position // batches.steps,
                    epochs=stop // batches.steps,
                    steps_per_epoch=rest,
                    class_weight=weights,
                    verbose=0,
                    shuffle=False,
                    callbacks=callbacks,
                )
            position = stop


@contextlib.contextmanager
def _policy(recipe):
    """Puts the recipe's numeric policy in force as long as the block lasts."""
    previous, policy = keras.config.dtype_policy(), precision_policy(recipe.precision)
    keras.config.set_dtype_policy(policy)
    try:
        yield policy
    finally:
        keras.config.set_dtype_policy(previous)


def _hash(path):
    """The hash of a file, or of the network in a run folder; None for what is a name and no path."""
    path = path / run_folder.MODEL if path.is_dir() else path
    return file_sha256(path) if path.is_file() else None


def _check_classes(recipe, rows, path):
    if recipe.segments:
        return
    present = set(label_index(rows, recipe.classes))
    absent = [name for index, name in enumerate(recipe.classes) if index not in present]
    if absent:
        raise ManifestError(
            f"Every class needs training images. Received: {path}, whose split `train` has none of "
            f"{', '.join(absent)}. Pass --classes with those it has."
        )
