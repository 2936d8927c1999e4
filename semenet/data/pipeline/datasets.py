"""Datasets for training and evaluation from the rows of a manifest."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from semenet.data.manifest.class_labels import possible_classes
from semenet.data.manifest.several_labels import known_labels
from semenet.data.pipeline.arguments import check_dataset_arguments
from semenet.data.pipeline.balanced_draw import BalancedDraw
from semenet.data.pipeline.batches import EvaluationBatches, TrainingBatches
from semenet.data.pipeline.cache import CacheKind, open_cache
from semenet.data.pipeline.prepared_images import prepare_image as prepare_image
from semenet.data.pipeline.resized import ResizedImages
from semenet.data.pipeline.sampling import Sampling
from semenet.data.pipeline.tf_data import as_dataset
from semenet.data.transforms.augmentation import Augmentation
from semenet.data.transforms.lung_view import LungView
from semenet.errors import SemenetError

if TYPE_CHECKING:
    import pandas as pd
    import tensorflow as tf


def training_batches(
    rows: pd.DataFrame,
    *,
    class_names: Sequence[str] | None = None,
    input_size: tuple[int, int],
    channels: int = 1,
    batch_size: int = 16,
    seed: int = 0,
    augmentation: Augmentation = Augmentation(),
    masks: bool = False,
    view: LungView = LungView(),
    shuffle: bool = True,
    cache: CacheKind | None = None,
    cache_folder: pathlib.Path | str | None = None,
    part: tuple[int, int] = (0, 1),
    multiple: int = 1,
    row_values: Mapping[str, np.ndarray] | None = None,
    lung_masks: bool = False,
    sampling: Sampling = Sampling(),
    several_labels: bool = False,
) -> TrainingBatches:
    """Makes the numbered batches of a training run, which `as_dataset` turns into a dataset.

    No file is opened before its batch is made.

    Args:
        rows: rows of a manifest: `path`, `label` (not with `masks`) and, with `masks` or a masked
            view, `mask_path`.
        class_names: the labels in the order of the network's outputs; not used with `masks`.
        input_size: (height, width) of the network's input, in pixels.
        channels: 1 for grey, 3 for RGB (the grey image three times).
        batch_size: items in a batch, of all processes together. An item is one view of one row.
        seed: an integer of 0 or more that determines, with epoch and item, all random choices.
        augmentation: the random changes and the views. With `masks`, image and mask are warped together.
        masks: whether the targets are masks instead of classes.
        view: what is done to every image with the help of its mask, before all else.
        shuffle: whether each epoch has its own random order; otherwise rows keep the manifest's order, one
            view after another.
        cache: where decoded and resized images are kept from the first epoch on: "memory", "disk", or None
            for no cache. The batches are the same.
        cache_folder: the folder of a cache on disk, which other runs may use too.
        part: (rank, processes): the share of each batch to make, as in `TrainingBatches`.
        multiple: every batch's length is a multiple of this number, as in `TrainingBatches`.
        row_values: values of the rows to deliver beside the images, as in `TrainingBatches`.
        lung_masks: whether to deliver the lung masks beside the images, as in `TrainingBatches`.
        sampling: how many images an epoch has, and how often each is drawn.
        several_labels: whether the targets are `known_labels` instead of `possible_classes`.

    Returns:
        The batches.

    Raises:
        CacheError: memory or disk is too small for the cache.
        ManifestError: a label is not among `class_names`, or a column to balance by is missing or not filled.
        SemenetError: an argument is out of its range, or masks are needed and `rows` has none.
    """
    needs_masks = masks or augmentation.needs_masks or lung_masks
    check_dataset_arguments(rows, input_size, channels, batch_size, needs_masks or view.needs_mask)
    if seed < 0:
        raise SemenetError(f"`seed` must be 0 or more. Received: {seed}. Use any such number.")
    if masks:
        augmentation.check_for_segmentation()
    elif class_names is None:
        raise SemenetError(
            "Classification needs `class_names`, the labels in the order of the network's outputs. "
            "Received: None. Pass them, or masks=True for segmentation."
        )
    targets = known_labels if several_labels else possible_classes
    return TrainingBatches(
        _resized_images(rows, input_size, needs_masks, view, cache, cache_folder),
        None if masks else targets(rows, class_names),
        channels=channels,
        batch_size=batch_size,
        seed=seed,
        augmentation=augmentation,
        shuffle=shuffle,
        part=part,
        multiple=multiple,
        row_values=row_values,
        lung_masks=lung_masks,
        draw=BalancedDraw(rows, sampling) if sampling.draws else None,
    )


def training_dataset(
    rows: pd.DataFrame,
    *,
    class_names: Sequence[str] | None = None,
    input_size: tuple[int, int],
    channels: int = 1,
    batch_size: int = 16,
    epochs: int,
    start_epoch: int = 0,
    seed: int = 0,
    augmentation: Augmentation = Augmentation(),
    masks: bool = False,
    view: LungView = LungView(),
    shuffle: bool = True,
    cache: CacheKind | None = None,
    cache_folder: pathlib.Path | str | None = None,
    part: tuple[int, int] = (0, 1),
    multiple: int = 1,
    sampling: Sampling = Sampling(),
) -> tuple[tf.data.Dataset, int]:
    """Makes one dataset of all epochs of a training run, and the number of its steps per epoch.

    A batch never holds items of two epochs: an epoch's last batch is smaller if the number of items is not a
    multiple of `batch_size`. Pass the steps to Keras: `fit(dataset, epochs=epochs, steps_per_epoch=steps)`.

    Args:
        rows: rows of a manifest, such as `read_manifest(...).split("train")`: `path`, `label` (not with
            `masks`) and, with `masks` or a masked view, `mask_path`.
        class_names: the labels in the order of the network's outputs; not used with `masks`.
        input_size: (height, width) of the network's input, in pixels.
        channels: 1 for grey, 3 for RGB (the grey image three times).
        batch_size: items in a batch. An item is one view of one row.
        epochs: the number of epochs.
        start_epoch: the first epoch, counted from 0. A resumed run gets the batches of an uninterrupted one.
        seed: an integer of 0 or more that determines, with epoch and item, all random choices.
        augmentation: the random changes and the views. With `masks`, image and mask are warped together.
        masks: whether the targets are masks instead of classes.
        view: what is done to every image with the help of its mask, before all else.
        shuffle: whether each epoch has its own random order; otherwise rows keep the manifest's order, one
            view after another.
        cache: where decoded and resized images are kept from the first epoch on: "memory", "disk", or None
            for no cache. The batches are the same.
        cache_folder: the folder of a cache on disk, which other runs may use too.
        part: (rank, processes): the share of each batch to make, as in `TrainingBatches`.
        multiple: every batch's length is a multiple of this number, as in `TrainingBatches`.
        sampling: how many images an epoch has, and how often each is drawn.

    Returns:
        (dataset, steps per epoch). The dataset yields pairs (images, targets): images uint8 (batch, height,
        width, channels) in [0, 255]; targets float32, one-hot (batch, classes), with a 1 for each
        possible class of a partial label, or masks (batch, height,
        width, 1) in {0, 1}.

    Raises:
        ImageError: inside `unwrapped_errors`, when an image or mask cannot be read.
        CacheError: memory or disk is too small for the cache.
        ManifestError: a label is not among `class_names`, or a column to balance by is missing or not filled.
        SemenetError: an argument is out of its range, or masks are needed and `rows` has none.

    Example:
        >>> rows = semenet.read_manifest("manifest.csv").split("train")
        >>> dataset, steps = semenet.training_dataset(
        ...     rows,
        ...     class_names=("normal", "bacteria", "virus"),
        ...     input_size=(64, 64),
        ...     batch_size=8,
        ...     epochs=2,
        ...     augmentation=semenet.data.Augmentation(clahe=0.4, rotation=30),
        ... )
        >>> len(dataset) == 2 * steps
        True
        >>> images, targets = next(iter(dataset))
        >>> images.shape, images.dtype, targets.shape
        (TensorShape([8, 64, 64, 1]), tf.uint8, TensorShape([8, 3]))
    """
    if not 0 <= start_epoch < epochs:
        raise SemenetError(
            "`start_epoch` must be in [0, epochs). "
            f"Received: start_epoch={start_epoch}, epochs={epochs}. Use more `epochs` to continue training."
        )
    batches = training_batches(
        rows,
        class_names=class_names,
        input_size=input_size,
        channels=channels,
        batch_size=batch_size,
        seed=seed,
        augmentation=augmentation,
        masks=masks,
        view=view,
        shuffle=shuffle,
        cache=cache,
        cache_folder=cache_folder,
        part=part,
        multiple=multiple,
        sampling=sampling,
    )
    return as_dataset(batches, start_epoch * batches.steps, epochs * batches.steps), batches.steps


def evaluation_dataset(
    rows: pd.DataFrame,
    *,
    input_size: tuple[int, int],
    channels: int = 1,
    batch_size: int = 16,
    inference_clahe: bool = False,
    class_names: Sequence[str] | None = None,
    masks: bool = False,
    view: LungView = LungView(),
    cache: CacheKind | None = None,
    cache_folder: pathlib.Path | str | None = None,
) -> tf.data.Dataset:
    """Makes a dataset of all rows, once, in the manifest's order, without augmentation.

    Args:
        rows: rows of a manifest: `path`, and `label` or `mask_path` if targets are wanted.
        input_size: (height, width) of the network's input, in pixels.
        channels: 1 for grey, 3 for RGB (the grey image three times).
        batch_size: images in a batch; the last batch may have fewer.
        inference_clahe: whether CLAHE is applied to every image.
        class_names: the labels in the order of the network's outputs, for one-hot targets.
        masks: whether the targets are masks.
        view: as for `training_dataset`.
        cache: as for `training_dataset`.
        cache_folder: as for `training_dataset`.

    Returns:
        A dataset of images, uint8 (batch, height, width, channels) in [0, 255]; with `class_names` or `masks`
        of pairs (images, targets), as for `training_dataset`.

    Raises:
        ImageError: inside `unwrapped_errors`, when an image or mask cannot be read.
        CacheError: memory or disk is too small for the cache.
        ManifestError: a label is not among `class_names`.
        SemenetError: an argument is out of its range, or masks are needed and `rows` has none.

    Example:
        >>> rows = semenet.read_manifest("manifest.csv").rows
        >>> dataset = semenet.data.evaluation_dataset(rows, input_size=(64, 64), batch_size=20)
        >>> [len(images) for images in dataset]
        [20, 20, 5]
    """
    check_dataset_arguments(rows, input_size, channels, batch_size, masks or view.needs_mask)
    labels = None if masks or class_names is None else possible_classes(rows, class_names)
    batches = EvaluationBatches(
        _resized_images(rows, input_size, masks, view, cache, cache_folder),
        labels,
        channels=channels,
        batch_size=batch_size,
        inference_clahe=inference_clahe,
    )
    return as_dataset(batches, 0, batches.steps)


def _resized_images(
    rows: pd.DataFrame,
    input_size: tuple[int, int],
    masks: bool,
    view: LungView,
    cache: CacheKind | None,
    cache_folder: pathlib.Path | str | None,
) -> ResizedImages:
    opened = open_cache(cache, cache_folder, rows, input_size, masks, view)
    return ResizedImages(rows, input_size, masks=masks, view=view, cache=opened)
