"""Batches of a manifest's rows as arrays, each a function of its number alone.

An image goes through these steps, in this order: decode, resize to the network's input size, changes of how
it was acquired and stored (training only), CLAHE if it is selected, a tone change (training only), the lung
mask if a view needs it, and one warp that rotates, scales and moves (training only). The tone change comes
after CLAHE, which would undo it, and before mask and warp, so that what these make black stays black. Every
random choice is a function of (seed, epoch, item), so that batches may be made in any order and by any number
of threads. `semenet.data.pipeline.tf_data` passes them to TensorFlow.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from semenet.data.pipeline.epoch_plan import count_items, draw_epoch_plan
from semenet.data.transforms import host as host_transforms
from semenet.data.transforms.acquisition_draw import change_acquisition
from semenet.errors import SemenetError

if TYPE_CHECKING:
    from semenet.data.pipeline.balanced_draw import BalancedDraw
    from semenet.data.pipeline.resized import ResizedImages
    from semenet.data.transforms.augmentation import Augmentation

# In bytes; EIGEN_MAX_ALIGN_BYTES is at most this.
_ALIGNMENT = 64


class TrainingBatches:
    """The batches of a training run, numbered from 0 through all its epochs.

    An item is one view of one row, or of one draw of a row if rows are drawn by weight, or a copy with CLAHE
    that is added. A batch never holds items of two epochs: an epoch's last batch is smaller if the number of
    items is not a multiple of `batch_size`.

    On several devices every batch must split evenly, which `multiple` ensures: an epoch's last batch is
    filled up to a multiple with the epoch's first items, in their order. No item is lost, and up to
    `multiple` - 1 items occur twice (more often if the epoch has fewer), each time with the same
    augmentation.

    Args:
        images: the resized images, with masks if the targets or a view need them.
        labels: the rows' classes, one-hot float32 (rows, classes); None makes the masks the targets.
        channels: 1 for grey, 3 for RGB (the grey image three times).
        batch_size: items in a batch.
        seed: an integer of 0 or more that determines, with epoch and item, all random choices.
        augmentation: the random changes. With masks as targets, image and mask are warped together.
        shuffle: whether each epoch has its own order; otherwise rows keep the manifest's order, one view
            after another.
        part: (rank, processes): only this process's contiguous share of each batch is made, and only its
            files are read. The concatenated shares of all ranks are the batch of (0, 1).
        multiple: every batch's length is a multiple of this number, itself a multiple of `processes`.
        row_values: values of the rows that training needs beside the images, such as the number of a row's
            source: arrays (rows,) by name. They do not change with the augmentation.
        lung_masks: whether the lung masks, warped with their images, are delivered beside them.
        draw: which rows each epoch holds; None for each row once. Two draws of the same row in one epoch are
            two items, with different random changes.

    Attributes:
        steps: batches per epoch, the same for every part.

    Raises:
        SemenetError: `rank` is not one of the `processes`, `batch_size` is not a multiple of `multiple`, or
            `multiple` is not one of `processes`.
    """

    def __init__(
        self,
        images: ResizedImages,
        labels: np.ndarray | None,
        *,
        channels: int,
        batch_size: int,
        seed: int,
        augmentation: Augmentation,
        shuffle: bool,
        part: tuple[int, int] = (0, 1),
        multiple: int = 1,
        row_values: Mapping[str, np.ndarray] | None = None,
        lung_masks: bool = False,
        draw: BalancedDraw | None = None,
    ) -> None:
        _check_part(part, multiple, batch_size)
        self.images = images
        self.labels = labels
        self.channels = channels
        self.batch_size = batch_size
        self.seed = seed
        self.augmentation = augmentation
        self.shuffle = shuffle
        self.part = tuple(part)
        self.multiple = multiple
        self.row_values = dict(row_values or {})
        self.lung_masks = lung_masks
        self.draws = len(images) if draw is None else draw.count
        self.items = count_items(augmentation, self.draws)
        self.steps = -(-self.items // batch_size)
        # Two epochs overlap while one ends and the next begins.
        self._plan = functools.lru_cache(2)(
            lambda epoch: draw_epoch_plan(
                augmentation, len(images), seed, epoch, shuffle=shuffle, multiple=multiple, draw=draw
            )
        )

    @property
    def target_shape(self) -> tuple[int, ...]:
        """The shape of one item's target: (classes,), or (height, width, 1) of a mask."""
        return (*self.images.size, 1) if self.labels is None else self.labels.shape[1:]

    @property
    def extra_inputs(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """The shape of one item and the dtype of everything delivered beside the images, by name."""
        values = {name: (array.shape[1:], array.dtype) for name, array in self.row_values.items()}
        return values | ({"lungs": (self.images.size, np.dtype(np.uint8))} if self.lung_masks else {})

    def __getitem__(self, step: int) -> tuple[np.ndarray | dict[str, np.ndarray], np.ndarray]:
        """Makes a batch, or this process's part of it.

        Args:
            step: the batch's number: the epoch, counted from 0, times `steps`, plus the step in the epoch.

        Returns:
            (images, targets): uint8 (batch, height, width, channels) in [0, 255], and float32 one-hot
            (batch, classes) or masks (batch, height, width, 1) in {0, 1}. With `row_values` or `lung_masks`,
            a dict instead of the images: `images`, the values by name, and `lungs`, uint8 (batch, height,
            width) in {0, 1}.

        Raises:
            ImageError: an image or mask cannot be read.
        """
        epoch, step = divmod(int(step), self.steps)
        plan = self._plan(epoch)
        items = self._select_part(plan.order[step * self.batch_size : (step + 1) * self.batch_size])
        views, draws = np.divmod(items, self.draws)
        rows = plan.drawn[draws]
        images = _aligned_empty((len(items), *self.images.size))
        # Allocating memory costs a tenth of CLAHE itself: all images share one or two arrays.
        enhanced = np.empty(self.images.size, np.uint8)
        toned = np.empty_like(enhanced) if self.augmentation.changes_tone else None
        wants_masks = self.labels is None or self.lung_masks
        masks = np.empty_like(images) if wants_masks else [None] * len(items)
        for place, item in enumerate(items):
            image, mask = self.images[rows[place]]
            *geometry, gamma, contrast = plan.changes_of(item)
            if self.augmentation.acquisition:
                image = change_acquisition(image, self.augmentation, (epoch, self.seed, int(item)))
            if plan.has_clahe[item]:
                image = host_transforms.clahe(image, out=enhanced)
            if toned is not None:
                table = host_transforms.tone_table(gamma, contrast)
                image = host_transforms.change_tone(image, table, out=toned)
            if self.augmentation.is_masked(views[place]):
                image = image * mask
            self._warp(image, mask, plan.degrees[item], geometry, images[place], masks[place])
        inputs = _with_channels(images, self.channels)
        if self.extra_inputs:
            inputs = {"images": inputs} | {name: values[rows] for name, values in self.row_values.items()}
            inputs |= {"lungs": masks} if self.lung_masks else {}
        return inputs, (_as_targets(masks) if self.labels is None else self.labels[rows])

    def _select_part(self, items: np.ndarray) -> np.ndarray:
        rank, processes = self.part
        return items[rank * len(items) // processes : (rank + 1) * len(items) // processes]

    def _warp(
        self,
        image: np.ndarray,
        mask: np.ndarray | None,
        degrees: float,
        geometry: list[float],
        out: np.ndarray,
        mask_out: np.ndarray | None,
    ) -> None:
        """Writes the warped image and mask into `out` and `mask_out`."""
        if not self.augmentation.warps:
            out[...] = image
            if mask_out is not None:
                mask_out[...] = mask
            return
        zoom, *shift = geometry
        host_transforms.warp(image, degrees, zoom, shift, out=out)
        if mask_out is not None:
            host_transforms.warp_mask(mask, degrees, zoom, shift, out=mask_out)


class EvaluationBatches:
    """The batches of all rows, once, in the manifest's order.

    Args:
        images: the resized images; if they have masks, these are the targets.
        labels: the rows' classes as targets, one-hot float32 (rows, classes), or None.
        channels: 1 for grey, 3 for RGB (the grey image three times).
        batch_size: images in a batch; the last batch may have fewer.
        inference_clahe: whether CLAHE is applied to every image.

    Attributes:
        steps: the number of batches.
    """

    def __init__(
        self,
        images: ResizedImages,
        labels: np.ndarray | None,
        *,
        channels: int,
        batch_size: int,
        inference_clahe: bool,
    ) -> None:
        self.images = images
        self.labels = labels
        self.channels = channels
        self.batch_size = batch_size
        self.inference_clahe = inference_clahe
        self.steps = -(-len(images) // batch_size)

    extra_inputs: ClassVar[dict] = {}

    @property
    def target_shape(self) -> tuple[int, ...] | None:
        """The shape of one image's target, as in `TrainingBatches`; None without targets."""
        if self.images.has_masks:
            return (*self.images.size, 1)
        return None if self.labels is None else self.labels.shape[1:]

    def __getitem__(self, step: int) -> tuple[np.ndarray, ...]:
        """Makes a batch.

        Args:
            step: the batch's number.

        Returns:
            (images,) or (images, targets), as in `TrainingBatches`.

        Raises:
            ImageError: an image or mask cannot be read.
        """
        rows = range(len(self.images))[step * self.batch_size : (step + 1) * self.batch_size]
        pairs = [self.images[row] for row in rows]
        finish = host_transforms.clahe if self.inference_clahe else np.asarray
        images = _with_channels(np.stack([finish(image) for image, _ in pairs]), self.channels)
        if self.images.has_masks:
            return images, _as_targets(np.stack([mask for _, mask in pairs]))
        if self.labels is not None:
            # A copy, because TensorFlow takes over the array's memory and may compute in place.
            return images, self.labels[rows.start : rows.stop].copy()
        return (images,)


def _check_part(part: tuple[int, int], multiple: int, batch_size: int) -> None:
    rank, processes = part
    if not 0 <= rank < processes:
        raise SemenetError(
            "`part` must be (rank, processes) with 0 <= rank < processes. "
            f"Received: {tuple(part)}. Number the processes from 0."
        )
    if multiple < 1 or multiple % processes or batch_size % multiple:
        raise SemenetError(
            "Batches must split evenly: `batch_size` must be a multiple of `multiple`, and `multiple` of the "
            f"number of processes. Received: batch_size={batch_size}, multiple={multiple}, "
            f"{processes} processes. Set `multiple` to the number of devices of all processes, and "
            "`batch_size` to a multiple of it."
        )


def _aligned_empty(shape: tuple[int, ...]) -> np.ndarray:
    """Returns an empty uint8 array aligned so that TensorFlow uses its memory without a copy."""
    count = math.prod(shape)
    buffer = np.empty(count + _ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % _ALIGNMENT
    return buffer[start : start + count].reshape(shape)


def _with_channels(images: np.ndarray, channels: int) -> np.ndarray:
    return np.repeat(images[..., np.newaxis], channels, axis=-1) if channels > 1 else images[..., np.newaxis]


def _as_targets(masks: np.ndarray) -> np.ndarray:
    return masks[..., np.newaxis].astype(np.float32)
