"""Rows of a manifest to batches: the only shuffle, batch and prefetch.

What an image goes through is one specification, in this order: decode, stretch to the network's
size, CLAHE where it is asked for, lung mask where a view wants it, rotation (training alone).
Every random choice is a function of (seed, epoch, item) by stateless operations: the same run gives
the same batches whatever the parallelism, and every epoch others.
"""

import contextlib
import os
import re

import cv2
import numpy as np
import tensorflow as tf

from semenet.data import transforms
from semenet.data.augmentation import Augmentation
from semenet.data.images import ImageError, read_image, read_mask
from semenet.data.manifest import label_index
from semenet.errors import SemenetError

# TensorFlow wraps what a reader raises in its own error, as text; the marks keep ours recognisable.
_ERROR_OPENS, _ERROR_CLOSES = "<<semenet:", ":semenet>>"
# The draws of an epoch's items are numbered from 0, so that its order must not be.
_ORDER_DRAW = -1


def training_dataset(
    rows,
    *,
    class_names,
    input_size,
    channels=1,
    batch_size,
    epochs,
    start_epoch=0,
    seed,
    augmentation=Augmentation(),
    masks=False,
    shuffle=True,
):
    """Makes one dataset that runs through all remaining epochs.

    Batches never hold items of two epochs: an epoch's last batch is smaller where the number of
    items is no multiple of `batch_size`. Sets OpenCV to one thread: the parallelism is tf.data's.

    Args:
        rows: rows of a manifest: `path`, `label` (not with `masks`) and, with `masks` or a masked
            view, `mask_path`.
        class_names: the labels in the order of the network's outputs; not looked at with `masks`.
        input_size: (height, width) of the network's input, in pixels.
        channels: 1 for grey, 3 for grey three times over.
        batch_size: items in a batch.
        epochs: the epoch, counted from 0, before which the dataset ends.
        start_epoch: the epoch it begins with: a run that goes on gets the batches it would have got.
        seed: an integer that, with epoch and item, decides everything random.
        augmentation: an `Augmentation`; with `masks`, image and mask are turned together.
        masks: whether the targets are masks in place of classes.
        shuffle: whether each epoch has its own order; otherwise rows stay in the manifest's, view
            after view.

    Returns:
        (dataset, steps an epoch): the dataset gives pairs (images, targets), images uint8
        (batch, height, width, channels) in [0, 255], targets float32: one-hot (batch, classes), or
        masks (batch, height, width, 1) in {0, 1}.

    Raises:
        ImageError: from `plain_errors`, when an image or mask cannot be read.
        ManifestError: a label is not among `class_names`.
        ValueError: an argument is out of its range, or `rows` has no masks where they are needed.
    """
    _check(rows, input_size, channels, batch_size, masks or augmentation.needs_masks)
    if not 0 <= start_epoch < epochs:
        raise SemenetError(
            f"`start_epoch` must be in [0, epochs). Received: start_epoch={start_epoch} of "
            f"epochs={epochs}. Raise `epochs` to train on."
        )
    if masks and augmentation.needs_masks:
        raise SemenetError(
            f"Segmentation looks at whole images. Received: views={augmentation.views} with masks=True. "
            "Use the views 'original' and 'clahe'."
        )
    cv2.setNumThreads(1)
    items = len(rows) * len(augmentation.views)
    steps = -(-items // batch_size)
    load = _loader(rows, input_size, channels, None if masks else class_names, masks)
    base_seed = tf.constant(seed, tf.int64)

    def order(epoch):
        items_in_order = tf.range(items, dtype=tf.int64)
        if shuffle:
            draw = _draw_seed(base_seed, epoch, _ORDER_DRAW)
            items_in_order = tf.random.experimental.stateless_shuffle(items_in_order, draw, alg="philox")
        return tf.data.Dataset.from_tensor_slices(items_in_order).map(lambda item: (epoch, item))

    def augmented(epoch, item):
        share, turn = tf.unstack(
            tf.random.stateless_uniform([2], _draw_seed(base_seed, epoch, item), alg="philox")
        )
        row, view = item % len(rows), item // len(rows)
        has_clahe = tf.gather([view.endswith("clahe") for view in augmentation.views], view)
        has_mask = tf.gather([view.startswith("masked") for view in augmentation.views], view)
        return load(
            row,
            has_clahe=has_clahe | (share < augmentation.clahe),
            has_mask=has_mask if augmentation.needs_masks else None,
            degrees=(2 * turn - 1) * augmentation.rotation if augmentation.rotation else None,
        )

    dataset = tf.data.Dataset.range(start_epoch, epochs).flat_map(order)
    dataset = dataset.map(augmented, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    sizes = [batch_size] * (items // batch_size) + ([items % batch_size] if items % batch_size else [])
    # Batches of one joined to the sizes of an epoch's: loading goes on across the epochs' borders.
    dataset = dataset.batch(1).rebatch(tf.constant(sizes, tf.int64))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps * (epochs - start_epoch)))
    return dataset.prefetch(tf.data.AUTOTUNE), steps


def evaluation_dataset(
    rows, *, input_size, channels=1, batch_size, inference_clahe=False, class_names=None, masks=False
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

    Returns:
        A dataset of images, uint8 (batch, height, width, channels) in [0, 255], or of pairs
        (images, targets) as `training_dataset` has them.

    Raises:
        ImageError: from `plain_errors`, when an image or mask cannot be read.
        ManifestError: a label is not among `class_names`.
        ValueError: an argument is out of its range, or `rows` has no masks where they are needed.
    """
    _check(rows, input_size, channels, batch_size, masks)
    cv2.setNumThreads(1)
    load = _loader(rows, input_size, channels, class_names, masks)
    dataset = tf.data.Dataset.range(len(rows)).map(
        lambda row: load(row, has_clahe=inference_clahe),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def prepare(image, input_size, channels=1, inference_clahe=False):
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
    resized = transforms.resize(np.asarray(image)[..., np.newaxis], input_size)
    if inference_clahe:
        resized = transforms.clahe(resized)
    return np.repeat(resized.numpy(), channels, axis=-1)


@contextlib.contextmanager
def plain_errors():
    """Gives the ImageError back that a dataset's reader raised, without TensorFlow's wrapping.

    Put it around whatever takes elements from a dataset of this module: a loop, `fit`, `predict`.

    Raises:
        ImageError: an image or mask could not be read; the message names the file.
    """
    try:
        yield
    except tf.errors.OpError as error:
        wrapped = re.search(f"{_ERROR_OPENS}(.*?){_ERROR_CLOSES}", str(error), re.DOTALL)
        if wrapped is None:
            raise
        raise ImageError(wrapped[1]) from None


def _loader(rows, input_size, channels, class_names, masks):
    """Returns load(row, ...), which makes a row's element inside a graph."""
    paths = tf.constant([os.fsencode(path) for path in rows["path"]])
    if "mask_path" in rows:
        mask_paths = tf.constant([os.fsencode(path) for path in rows["mask_path"]])
    if class_names is not None:
        classes = tf.constant(label_index(rows, class_names))

    def load(row, *, has_clahe, has_mask=None, degrees=None):
        if masks or has_mask is not None:
            image, mask = _read_pair(paths[row], mask_paths[row])
            mask = transforms.resize(mask, input_size, mask=True)
        else:
            image = tf.numpy_function(_read, [paths[row]], tf.uint8)
        image = transforms.resize(tf.ensure_shape(image, (None, None, 1)), input_size)
        image = tf.cond(tf.cast(has_clahe, tf.bool), lambda: transforms.clahe(image), lambda: image)
        if has_mask is not None:
            image = tf.cond(has_mask, lambda: transforms.keep_mask(image, mask), lambda: image)
        if degrees is not None and masks:
            image, mask = transforms.rotate(image, degrees, mask=mask)
        elif degrees is not None:
            image = transforms.rotate(image, degrees)
        image = tf.repeat(image, channels, axis=-1)
        if masks:
            return image, tf.cast(mask, tf.float32)
        if class_names is not None:
            return image, tf.one_hot(classes[row], len(class_names))
        return image

    return load


def _read_pair(path, mask_path):
    image, mask = tf.numpy_function(_read_with_mask, [path, mask_path], [tf.uint8, tf.uint8])
    return tf.ensure_shape(image, (None, None, 1)), tf.ensure_shape(mask, (None, None, 1))


def _read(path):
    with _marked_errors():
        return read_image(os.fsdecode(path))[..., np.newaxis]


def _read_with_mask(path, mask_path):
    with _marked_errors():
        image, mask = read_image(os.fsdecode(path)), read_mask(os.fsdecode(mask_path))
        if image.shape != mask.shape:
            raise ImageError(
                f"A mask must have its image's size. Received: {os.fsdecode(mask_path)} of {mask.shape} "
                f"for {os.fsdecode(path)} of {image.shape}. Make the mask from this very image."
            )
        return image[..., np.newaxis], mask[..., np.newaxis]


@contextlib.contextmanager
def _marked_errors():
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{_ERROR_OPENS}{error}{_ERROR_CLOSES}") from None


def _draw_seed(base_seed, epoch, draw):
    return tf.random.fold_in(tf.stack([base_seed, epoch]), draw, alg="philox")


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
