"""Lung masks of images, from a manifest or a segmentation network, and images reduced to the lungs."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from semenet.data.images.reading import read_mask
from semenet.data.pipeline.datasets import evaluation_dataset, prepare_image
from semenet.data.pipeline.tf_data import unwrapped_errors
from semenet.data.transforms import host as host_transforms
from semenet.data.transforms.mask_threshold import MASK_LEVEL
from semenet.errors import SemenetError
from semenet.inference.network_inputs import NetworkInputs, read_views, stack_views
from semenet.training.run_folder.run import Run

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from semenet.data.pipeline.prepared_images import PreparedView


class LungMasks:
    """The source of lung masks: the manifest's column `mask`, or a segmentation network such as a U-Net.

    Args:
        run: a segmentation network with one class; None to use the manifest.

    Raises:
        SemenetError: the network does not segment, or has several classes.

    Example:
        >>> rows = semenet.read_manifest("manifest.csv").split("val")
        >>> from_manifest = semenet.inference.LungMasks()
        >>> from_manifest.has_mask(rows).all()
        np.True_
        >>> by_network = semenet.inference.LungMasks.open("unet")
        >>> mask = next(by_network.masks(rows, size=(64, 64), batch_size=4))
        >>> mask.shape, mask.dtype
        ((64, 64), dtype('bool'))
    """

    def __init__(self, run: Run | None = None) -> None:
        if run is not None and not (run.segments and len(run.class_names) == 1):
            raise SemenetError(
                "Lungs are found by a segmentation network with one class. "
                f"Received: {run.name}, a {run.model.name} with the classes {', '.join(run.class_names)}. "
                "Give a U-Net's run."
            )
        self.run = run

    @classmethod
    def open(cls, network: Run | keras.Model | pathlib.Path | str | None) -> LungMasks:
        """Opens a segmentation network, as `Run.open` does; None stands for the manifest's masks."""
        return cls(None if network is None else Run.open(network))

    @property
    def source(self) -> str:
        """The source of the masks, in words for a report."""
        return "the manifest's masks" if self.run is None else f"masks by the U-Net {self.run.name}"

    def has_mask(self, rows: pd.DataFrame) -> np.ndarray:
        """Returns for which of the N rows a mask is available: bool array `(N,)`."""
        if self.run is not None:
            return np.ones(len(rows), bool)
        return (rows["mask_path"] != "").to_numpy() if "mask_path" in rows else np.zeros(len(rows), bool)

    def check_available(self, rows: pd.DataFrame) -> None:
        """Checks that a mask is available for every row.

        Raises:
            SemenetError: masks are missing. The message says how many.
        """
        missing = rows[~self.has_mask(rows)]
        if len(missing):
            raise SemenetError(
                "Every image needs a lung mask. "
                f"Received: {len(missing)} of {len(rows)} images without a mask in the manifest's column "
                f"`mask`, first {missing['file'].iloc[0]}. "
                "Give the run of a U-Net with --lungs, which finds the lungs."
            )

    def images_with_masks(
        self, rows: pd.DataFrame, run: Run, batch_size: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Reads images, prepared for a network, together with their masks.

        Args:
            rows: rows of a manifest.
            run: the network that defines input size, channels and CLAHE of the images.
            batch_size: images per batch.

        Yields:
            Images, uint8 `(n, H, W, C)` in [0, 255], and masks, bool `(n, H, W)`, in the order of the rows.
            If the network has a lung view, both are as it shows them, and the mask of an image whose lungs
            were not found is true everywhere.

        Raises:
            ImageError: an image or mask cannot be read.
        """
        if run.lung_view.needs_mask:
            for views in self.read_views(rows, run, batch_size):
                yield np.stack([view.image for view in views]), np.stack([view.mask for view in views])
            return
        with unwrapped_errors():
            if self.run is None:
                for images, masks in _dataset(rows, run, batch_size, masks=True):
                    yield images.numpy(), masks.numpy()[..., 0] > 0
                return
            pairs = zip(_dataset(rows, run, batch_size), _dataset(rows, self.run, batch_size), strict=True)
            for images, unet_images in pairs:
                yield images.numpy(), self._segment_prepared(unet_images, run.input_size)

    def masks(self, rows: pd.DataFrame, size: tuple[int, int], batch_size: int) -> Iterator[np.ndarray]:
        """Reads or computes the masks alone.

        Args:
            rows: rows of a manifest; a mask must be available for each.
            size: `(H, W)` of the masks.
            batch_size: images per batch of the segmentation network.

        Yields:
            One mask for each row, bool `(H, W)`, in the order of the rows.

        Raises:
            ImageError: a mask, or the image to segment, cannot be read.
        """
        if self.run is None:
            for path in rows["mask_path"]:
                yield host_transforms.resize_mask(read_mask(path), size) > 0
            return
        with unwrapped_errors():
            for unet_images in _dataset(rows.reset_index(drop=True), self.run, batch_size):
                yield from self._segment_prepared(unet_images, size)

    def segment(self, images: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
        """Finds the lungs in images in memory, with the segmentation network.

        Args:
            images: n arrays, uint8 `(h, w)` of any sizes, with values in [0, 255].
            size: `(H, W)` of the masks.

        Returns:
            bool `(n, H, W)`.
        """
        return self._segment_prepared(self._prepared_for_unet(images), size)

    def segment_in_full(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Finds the lungs as `segment` does; each mask has the size of its image."""
        found = self.probabilities(self._prepared_for_unet(images))
        return [resized_mask(mask, image.shape) for mask, image in zip(found, images, strict=True)]

    def read_views(self, rows: pd.DataFrame, run: Run, batch_size: int) -> Iterator[list[PreparedView]]:
        """Reads images as `semenet.inference.network_inputs.read_views` does, with these masks."""
        segment = None if self.run is None else self.segment_in_full
        return read_views(rows, run, batch_size, segment)

    def _prepared_for_unet(self, images: Sequence[np.ndarray]) -> np.ndarray:
        unet = self.run
        return np.stack(
            [prepare_image(image, unet.input_size, unet.channels, unet.inference_clahe) for image in images]
        )

    def probabilities(self, images: np.ndarray | tf.Tensor) -> np.ndarray:
        """Returns the network's probabilities for images prepared for it: float32 `(n, h, w)`."""
        return np.asarray(self.run.model(images, training=False))[..., 0]

    def _segment_prepared(self, images: np.ndarray | tf.Tensor, size: tuple[int, int]) -> np.ndarray:
        return np.stack([resized_mask(mask, size) for mask in self.probabilities(images)])

    def masks_as_seen(self, rows: pd.DataFrame, run: Run, batch_size: int) -> Iterator[np.ndarray | None]:
        """Reads or computes masks of the images as a network sees them.

        Args:
            rows: rows of a manifest; a mask must be available for each.
            run: a classifier.
            batch_size: images per batch of the segmentation network.

        Yields:
            One mask for each row, bool `(H, W)` of the network's input; None where the network has a lung
            view but the lungs were not found.

        Raises:
            ImageError: a mask, or the image, cannot be read.
        """
        if not run.lung_view.needs_mask:
            yield from self.masks(rows, run.input_size, batch_size)
            return
        for views in self.read_views(rows, run, batch_size):
            yield from (None if view.flags else view.mask for view in views)

    def prepared(self, rows: pd.DataFrame, run: Run, batch_size: int) -> Iterator[NetworkInputs]:
        """Reads images as `network_inputs` does, with what is known about their lungs.

        Args:
            rows: as for `network_inputs`.
            run: a classifier.
            batch_size: images per batch.

        Yields:
            Batches, in the order of the rows.

        Raises:
            ImageError: an image or mask cannot be read.
            SemenetError: a mask is needed and missing.
        """
        if not run.lung_view.needs_mask:
            yield from (NetworkInputs(images) for images in self.network_inputs(rows, run, batch_size))
            return
        self.check_available(rows)
        yield from (stack_views(views, run) for views in self.read_views(rows, run, batch_size))

    def network_inputs(self, rows: pd.DataFrame, run: Run, batch_size: int) -> Iterator[np.ndarray]:
        """Reads images as a network takes them: whole, or as their lung masks tell where it was trained so.

        Args:
            rows: rows of a manifest. If the network needs lungs, each needs a mask.
            run: a classifier.
            batch_size: images per batch.

        Yields:
            Images, uint8 `(n, H, W, C)` in [0, 255], in the order of the rows.

        Raises:
            ImageError: an image or mask cannot be read.
            SemenetError: a mask is needed and missing.
        """
        if run.needs_lungs:
            self.check_available(rows)
            yield from (images for images, _ in self.network_inputs_with_masks(rows, run, batch_size))
            return
        with unwrapped_errors():
            for images in _dataset(rows, run, batch_size):
                yield images.numpy()

    def network_inputs_with_masks(
        self, rows: pd.DataFrame, run: Run, batch_size: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Reads images as `network_inputs` does, together with their masks as `images_with_masks` does."""
        for images, masks in self.images_with_masks(rows, run, batch_size):
            yield (keep_only_lungs(images, masks) if run.lungs_alone else images), masks


def resized_mask(probabilities: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Converts the probabilities of a segmentation network to a mask of another size.

    The probabilities are rounded to grey levels and resized with integer arithmetic, as images are, so that
    an exported graph computes the same mask to the pixel.

    Args:
        probabilities: float `(h, w)` in [0, 1].
        size: `(H, W)` of the mask.

    Returns:
        bool `(H, W)`.
    """
    grey = np.rint(probabilities * 255).astype("uint8")
    return host_transforms.resize(grey, size) >= MASK_LEVEL


def keep_only_lungs(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Sets everything outside the lungs to black.

    Args:
        images: uint8 `(n, H, W, C)`.
        masks: bool `(n, H, W)`.

    Returns:
        uint8 `(n, H, W, C)`.

    Example:
        >>> images = np.full((1, 1, 2, 1), 90, np.uint8)
        >>> semenet.inference.keep_only_lungs(images, np.array([[[True, False]]])).ravel()
        array([90,  0], dtype=uint8)
    """
    return np.where(masks[..., np.newaxis], images, np.uint8(0))


def _dataset(rows: pd.DataFrame, run: Run, batch_size: int, masks: bool = False) -> tf.data.Dataset:
    return evaluation_dataset(
        rows,
        input_size=run.input_size,
        channels=run.channels,
        batch_size=batch_size,
        inference_clahe=run.inference_clahe,
        masks=masks,
    )
