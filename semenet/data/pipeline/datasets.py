"""Rows of a manifest to tf.data: the only shuffle, batch and prefetch.

`semenet.data.pipeline.batches` says what an image goes through and makes each batch as arrays, by its number;
here tf.data calls it for the numbers in turn, several at a time, and hands the batches out in order.
"""

import contextlib
import os
import re

import cv2
import numpy as np
import tensorflow as tf

from semenet.data.images.errors import ImageError
from semenet.data.manifest.table import label_index
from semenet.data.pipeline.batches import EvaluationBatches, TrainingBatches
from semenet.data.pipeline.cache import CacheError, open_cache
from semenet.data.pipeline.resized import ResizedImages
from semenet.data.transforms import host as host_transforms
from semenet.data.transforms.augmentation import Augmentation
from semenet.data.transforms.host_calls import host_call
from semenet.errors import SemenetError

# TensorFlow wraps what a reader raises in its own error, as text; the marks keep ours recognisable.
_ERROR_OPENS, _ERROR_CLOSES = "<<semenet:", ":semenet>>"
_ERRORS = {error.__name__: error for error in (ImageError, CacheError)}
# A batch that is ready and one that is about to be: more would only take memory.
_READY_BATCHES = 2


def training_batches(
    rows,
    *,
    class_names,
    input_size,
    channels=1,
    batch_size,
    seed,
    augmentation=Augmentation(),
    masks=False,
    shuffle=True,
    cache=None,
    cache_folder=None,
    part=(0, 1),
    multiple=1,
):
    """Makes the batches of a training run, each by its number; `as_dataset` hands them to TensorFlow.

    No file is looked at before its batch is made.

    Args:
        rows: rows of a manifest: `path`, `label` (not with `masks`) and, with `masks` or a masked
            view, `mask_path`.
        class_names: the labels in the order of the network's outputs; not looked at with `masks`.
        input_size: (height, width) of the network's input, in pixels.
        channels: 1 for grey, 3 for grey three times over.
        batch_size: items in a batch, of all processes together.
        seed: an integer of 0 or more that, with epoch and item, decides everything random.
        augmentation: an `Augmentation`; with `masks`, image and mask are warped together.
        masks: whether the targets are masks in place of classes.
        shuffle: whether each epoch has its own order; otherwise rows stay in the manifest's, view
            after view.
        cache: where decoded and resized images are kept from the first epoch on, before anything
            random: "memory", "disk", or None for nowhere. The batches are the same.
        cache_folder: the folder of a cache on disk, which later runs and other ones may use too.
        part: (rank, processes), whose share of each batch is made; as for `TrainingBatches`.
        multiple: what every batch's length is a multiple of; as for `TrainingBatches`.

    Returns:
        `TrainingBatches`.

    Raises:
        CacheError: memory or disk is too small for the cache.
        ManifestError: a label is not among `class_names`.
        ValueError: an argument is out of its range, or `rows` has no masks where they are needed.
    """
    needs_masks = masks or augmentation.needs_masks
    _check(rows, input_size, channels, batch_size, needs_masks)
    if seed < 0:
        raise SemenetError(f"`seed` must be 0 or more. Received: {seed}. Any other number will do.")
    if masks:
        augmentation.check_for_segmentation()
    labels = None if masks else _one_hot(rows, class_names)
    return TrainingBatches(
        _resized(rows, input_size, needs_masks, cache, cache_folder),
        labels,
        channels=channels,
        batch_size=batch_size,
        seed=seed,
        augmentation=augmentation,
        shuffle=shuffle,
        part=part,
        multiple=multiple,
    )


def as_dataset(batches, start, stop):
    """Makes a dataset of batches in the order of their numbers, as many threads at work as processors.

    Datasets made of the same batches share their cache. Sets OpenCV to one thread: the parallelism is
    tf.data's.

    Args:
        batches: `TrainingBatches` or `EvaluationBatches`.
        start: the first one's number.
        stop: the number that it ends before; batches of training go on without end, epoch after epoch.

    Returns:
        A dataset of images, uint8 (batch, height, width, channels) in [0, 255], or of pairs (images,
        targets), targets float32: one-hot (batch, classes), or masks (batch, height, width, 1) in {0, 1}.

    Raises:
        ImageError: from `unwrapped_errors`, when an image or mask cannot be read.
        CacheError: from `unwrapped_errors`, when the cache fills up.
        ValueError: the numbers are none, or out of order.
    """
    if not 0 <= start <= stop:
        raise SemenetError(
            "Batches are numbered from 0, in order: 0 <= start <= stop. "
            f"Received: start={start}, stop={stop}. An epoch has {batches.steps}."
        )
    cv2.setNumThreads(1)
    specs = [tf.TensorSpec((None, *batches.images.size, batches.channels), tf.uint8)]
    if batches.target_shape is not None:
        specs.append(tf.TensorSpec((None, *batches.target_shape), tf.float32))

    @host_call
    def make(step):
        try:
            return batches[int(step)]
        except tuple(_ERRORS.values()) as error:
            marked = f"{_ERROR_OPENS}{type(error).__name__}:{error}{_ERROR_CLOSES}"
            raise type(error)(marked) from None

    def load(step):
        parts = tf.numpy_function(make, [step], [spec.dtype for spec in specs], stateful=False)
        shaped = [tf.ensure_shape(part, spec.shape) for part, spec in zip(parts, specs, strict=True)]
        return tuple(shaped) if len(shaped) > 1 else shaped[0]

    dataset = tf.data.Dataset.range(start, stop)
    dataset = dataset.map(load, num_parallel_calls=os.cpu_count(), deterministic=True)
    options = tf.data.Options()
    # There is nothing left to tune, and in TensorFlow 2.21 the tuning thread sometimes holds up the end of a
    # dataset until it wakes, every five seconds.
    options.autotune.enabled = False
    # The first batch is made while the network is traced.
    options.experimental_warm_start = True
    return dataset.prefetch(_READY_BATCHES).with_options(options)


def training_dataset(rows, *, epochs, start_epoch=0, **arguments):
    """Makes one dataset that runs through all remaining epochs.

    Batches never hold items of two epochs: an epoch's last batch is smaller where the number of
    items is no multiple of `batch_size`.

    Args:
        rows: as for `training_batches`.
        epochs: the epoch, counted from 0, before which the dataset ends.
        start_epoch: the epoch it begins with: a run that goes on gets the batches it would have got.
        **arguments: the others of `training_batches`.

    Returns:
        (dataset, steps an epoch): the dataset as of `as_dataset`.

    Raises:
        ValueError: `start_epoch` is not before `epochs`; and all that `training_batches` and `as_dataset`
            raise.
    """
    if not 0 <= start_epoch < epochs:
        raise SemenetError(
            "`start_epoch` must be in [0, epochs). Received: "
            f"start_epoch={start_epoch} of epochs={epochs}. Raise `epochs` to train on."
        )
    batches = training_batches(rows, **arguments)
    return as_dataset(batches, start_epoch * batches.steps, epochs * batches.steps), batches.steps


def evaluation_dataset(
    rows,
    *,
    input_size,
    channels=1,
    batch_size,
    inference_clahe=False,
    class_names=None,
    masks=False,
    cache=None,
    cache_folder=None,
):
    """Makes a dataset of all rows, once, in the manifest's order. Sets OpenCV to one thread.

    Args:
        rows: rows of a manifest: `path`, and `label` or `mask_path` where targets are wanted.
        input_size: (height, width) of the network's input, in pixels.
        channels: 1 for grey, 3 for grey three times over.
        batch_size: images in a batch; the last may have fewer.
        inference_clahe: whether CLAHE applies to every image.
        class_names: the labels in the order of the network's outputs, to get one-hot targets.
        masks: whether to get masks as targets.
        cache: as for `training_batches`.
        cache_folder: as for `training_batches`.

    Returns:
        A dataset of images, uint8 (batch, height, width, channels) in [0, 255], or of pairs
        (images, targets), as of `as_dataset`.

    Raises:
        ImageError: from `unwrapped_errors`, when an image or mask cannot be read.
        CacheError: memory or disk is too small for the cache; from `unwrapped_errors`, when it fills up.
        ManifestError: a label is not among `class_names`.
        ValueError: an argument is out of its range, or `rows` has no masks where they are needed.
    """
    _check(rows, input_size, channels, batch_size, masks)
    labels = None if masks or class_names is None else _one_hot(rows, class_names)
    batches = EvaluationBatches(
        _resized(rows, input_size, masks, cache, cache_folder),
        labels,
        channels=channels,
        batch_size=batch_size,
        inference_clahe=inference_clahe,
    )
    return as_dataset(batches, 0, batches.steps)


def prepare_image(image, input_size, channels=1, inference_clahe=False):
    """Prepares one image as `evaluation_dataset` does, to the same bits.

    Args:
        image: uint8 (height, width), values in [0, 255], as `read_image` gives it.
        input_size: (height, width) of the network's input, in pixels.
        channels: 1 for grey, 3 for grey three times over.
        inference_clahe: whether CLAHE applies.

    Returns:
        A uint8 array of shape (*input_size, channels), values in [0, 255].

    Raises:
        ValueError: an argument is out of its range.
    """
    _check_input(input_size, channels)
    resized = host_transforms.resize(np.asarray(image), input_size)
    if inference_clahe:
        resized = host_transforms.clahe(resized)
    return np.repeat(resized[..., np.newaxis], channels, axis=-1)


@contextlib.contextmanager
def unwrapped_errors():
    """Gives the error back that a dataset's reader raised, without TensorFlow's wrapping.

    Put it around whatever takes elements from a dataset of this module: a loop, `fit`, `predict`.

    Raises:
        ImageError: an image or mask could not be read; the message names the file.
        CacheError: the cache on disk could not be written.
    """
    try:
        yield
    except tf.errors.OpError as error:
        wrapped = re.search(f"{_ERROR_OPENS}(.*?):(.*?){_ERROR_CLOSES}", str(error), re.DOTALL)
        if wrapped is None:
            raise
        raise _ERRORS[wrapped[1]](wrapped[2]) from None


def _resized(rows, input_size, masks, cache, cache_folder):
    store = open_cache(cache, cache_folder, rows, input_size, masks)
    return ResizedImages(rows, input_size, masks=masks, cache=store)


def _one_hot(rows, class_names):
    return np.eye(len(class_names), dtype=np.float32)[label_index(rows, class_names)]


def _check(rows, input_size, channels, batch_size, needs_masks):
    _check_input(input_size, channels)
    if batch_size < 1 or len(rows) < 1:
        raise SemenetError(
            "A dataset needs `rows` and a `batch_size` of 1 or more. "
            f"Received: {len(rows)} rows, batch_size={batch_size}. Give at least one of each."
        )
    if needs_masks and ("mask_path" not in rows or (rows["mask_path"] == "").any()):
        raise SemenetError(
            "Every row needs a lung mask for segmentation and for masked views. Received: rows "
            f"with the columns {', '.join(rows.columns)}. Give the manifest a column `mask` without gaps."
        )


def _check_input(input_size, channels):
    if channels not in (1, 3) or len(input_size) != 2 or min(input_size) < 1:
        raise SemenetError(
            "`input_size` must be (height, width) and `channels` 1 or 3. Received: "
            f"input_size={input_size}, channels={channels}. A network's input_shape has both."
        )
