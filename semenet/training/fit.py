"""Trains a network by a recipe, into a run folder that a killed run goes on from."""

import dataclasses
import json
import os
import pathlib
import platform
import shlex
import sys

import keras
import tensorflow as tf

from semenet.data.augmentation import Augmentation
from semenet.data.files import is_temporary, output_folder, replacing, write_text
from semenet.data.manifest import ManifestError, label_index, read_manifest
from semenet.data.pipeline import plain_errors, training_dataset
from semenet.models.catalog import build
from semenet.training import run as run_folder
from semenet.training.data_options import DataOptions
from semenet.training.keep import KeepRun
from semenet.training.progress import ShowProgress
from semenet.training.recipe import Recipe
from semenet.training.selection import select_rows
from semenet.training.validation import Validate


def train(recipe, manifest_path, out, *, root=None, data=DataOptions()):
    """Trains a network and keeps everything about it in a run folder.

    Started again with the same recipe, manifest and folder, a run that was killed goes on from its last
    whole epoch, and a finished one does nothing.

    Args:
        recipe: `Recipe`.
        manifest_path: CSV with the columns `file, label, patient, split` (`mask` for a segmentation
            network) and the splits `train` and `val`.
        out: the run folder: new, empty or this run's own.
        root: folder that the manifest's paths start from; None for the CSV's own.
        data: `DataOptions`: bad files, patients in two splits, caches.

    Returns:
        `Run` of the folder.

    Raises:
        ManifestError: for a bad manifest, a patient in two splits unless that is allowed, or a class
            without training images.
        CacheError: for a cache without room.
        RunFolderError: if `out` holds something else.
        ImageError: for a file that cannot be read, named in the message.
        TrainingError: if the loss is not finite any more; the last good checkpoint is kept.
    """
    out = pathlib.Path(out)
    manifest = read_manifest(manifest_path, root, need=("mask",) if recipe.segments else ("label",))
    rows, val_rows, selection = select_rows(manifest, data, masks=recipe.segments)
    _check_classes(recipe, rows, manifest.path)
    record = _earlier_record(out, recipe, manifest, selection)
    if record is not None and record["status"] == "finished":
        print(f"{out} is finished: nothing to train.", file=sys.stderr)
        return run_folder.Run.open(out)

    keras.utils.set_random_seed(recipe.seed)
    previous_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision_policy(recipe.precision))
    try:
        validate = Validate(val_rows, recipe, **data.cache_arguments)
        model = build_model(recipe)
        steps = -(-len(rows) * len(recipe.views) // recipe.batch_size)
        compile_model(model, recipe, steps)
        keep = KeepRun(out, recipe)
        start = 0 if record is None else keep.restore(model)
        dataset = _dataset(recipe, rows, start, data) if start < recipe.epochs else None
        # The folder comes last: a mistake in what was handed in leaves none behind.
        if record is None:
            record = _begin_folder(out, recipe, manifest, selection)
        if dataset is not None:
            with plain_errors():
                model.fit(
                    dataset,
                    epochs=recipe.epochs,
                    initial_epoch=start,
                    steps_per_epoch=steps,
                    verbose=0,
                    shuffle=False,
                    callbacks=[validate, keep, ShowProgress(steps, recipe.batch_size)],
                )
    finally:
        keras.config.set_dtype_policy(previous_policy)
    with replacing(out / run_folder.LAST_WEIGHTS) as temporary:
        model.save_weights(temporary)
    record |= {"status": "finished", "best_epoch": keep.best_epoch, "best": keep.best}
    write_text(out / run_folder.RECORD, json.dumps(record, indent=2, allow_nan=False) + "\n")
    return run_folder.Run.open(out)


def _dataset(recipe, rows, start, data):
    dataset, _ = training_dataset(
        rows,
        class_names=None if recipe.segments else recipe.classes,
        input_size=(recipe.input_size, recipe.input_size),
        channels=recipe.channels,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        start_epoch=start,
        seed=recipe.seed,
        augmentation=Augmentation(recipe.clahe, recipe.rotation, recipe.views, recipe.clahe_draw),
        masks=recipe.segments,
        **data.cache_arguments,
    )
    return dataset


def build_model(recipe):
    """Builds a recipe's network; with `freeze_backbone` all layers up to `features` are fixed."""
    model = build(
        recipe.entry,
        classes=recipe.classes,
        input_shape=(recipe.input_size, recipe.input_size, recipe.channels),
        weights=recipe.weights,
        **recipe.architecture,
    )
    model.get_layer("head").inference_clahe = recipe.inference_clahe
    if recipe.freeze_backbone:
        for layer in model.layers:
            if layer.name == "features":
                break
            layer.trainable = False
    return model


def compile_model(model, recipe, steps_per_epoch):
    """Compiles a recipe's network with its optimizer, schedule and loss."""
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            recipe.learning_rate,
            decay_steps=recipe.epochs * steps_per_epoch,
            alpha=recipe.minimum_learning_rate / recipe.learning_rate,
        )
    if recipe.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=recipe.momentum)
    else:
        optimizer = keras.optimizers.Adam(rate)
    model.compile(
        optimizer,
        loss="binary_crossentropy" if recipe.segments else "categorical_crossentropy",
        metrics=["binary_accuracy" if recipe.segments else "accuracy"],
        # XLA takes minutes to compile these networks for a CPU, and its step is slower there.
        jit_compile="auto" if tf.config.list_physical_devices("GPU") else False,
    )


def precision_policy(precision):
    """The numeric policy of a recipe's `precision`: "auto" depends on the GPU."""
    if precision != "auto":
        return precision
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "float32"
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"


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


def _earlier_record(out, recipe, manifest, selection):
    """The record of this run's earlier start, or None where there was none.

    Raises:
        RunFolderError: if `out` holds another run, or something else.
    """
    if not (out / run_folder.RECORD).exists():
        # A run that was killed as it began has left nothing but its recipe.
        if out.exists() and (not out.is_dir() or any(not _is_ours(item) for item in out.iterdir())):
            raise run_folder.RunFolderError(
                "A run needs a new or an empty folder, or its own to go on in. "
                f"Received: {out}, which holds something else. Give another --out."
            )
        return None
    record = run_folder.read_record(out)
    found = Recipe.from_json((out / run_folder.RECIPE).read_text(encoding="utf-8"))
    differences = [
        f"{field.name} {getattr(found, field.name)!r}, now {getattr(recipe, field.name)!r}"
        for field in dataclasses.fields(recipe)
        if getattr(found, field.name) != getattr(recipe, field.name)
    ]
    if record["manifest_sha256"] != manifest.sha256:
        differences.append("another manifest")
    if record.get("skipped", []) != selection["skipped"]:
        differences.append("other files left out")
    if differences:
        raise run_folder.RunFolderError(
            "A run goes on only with the recipe and the manifest it was started with. "
            f"Received: {out}, begun with {'; '.join(differences)}. Give another --out."
        )
    return record


def _is_ours(item):
    """Whether a file is a recipe, or what a killed process was writing when it died."""
    return item.name == run_folder.RECIPE or is_temporary(item, (run_folder.RECIPE, run_folder.RECORD))


def _begin_folder(out, recipe, manifest, selection):
    output_folder(out)
    record = {
        "status": "training",
        "manifest": str(manifest.path.resolve()),
        "manifest_sha256": manifest.sha256,
        "images": manifest.rows["split"].value_counts().to_dict(),
        **selection,
        "command": shlex.join(sys.argv),
        "versions": run_folder.versions(),
        "devices": [device.name for device in tf.config.list_physical_devices()],
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    write_text(out / run_folder.RECIPE, recipe.to_json())
    write_text(out / run_folder.RECORD, json.dumps(record, indent=2) + "\n")
    return record
