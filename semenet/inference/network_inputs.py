"""Batches of images as a network takes them: whole, cut to the lungs, standardised, or the lungs alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semenet.data.images.reading import read_image
from semenet.data.pipeline.prepared_images import PreparedView, prepare_view
from semenet.data.pipeline.resized import read_image_and_mask
from semenet.inference.reading_ahead import read_ahead

if TYPE_CHECKING:
    import pandas as pd

    from semenet.data.transforms.lung_view_on_host import Box
    from semenet.training.run_folder.run import Run


class NetworkInputs(NamedTuple):
    """A batch of n images as a network takes them.

    Attributes:
        images: uint8 `(n, H, W, C)` in [0, 255].
        masks: bool `(n, H, W)` of the lungs, as the images show them; None where no mask was needed.
        boxes: for each image the rectangle of the original image that it shows; None where all are whole.
        flags: for each image the checks that its mask failed, separated by spaces; None for a network
            without a lung view. The whole image is shown, unmasked, where a check failed.
    """

    images: np.ndarray
    masks: np.ndarray | None = None
    boxes: list[Box] | None = None
    flags: list[str] | None = None


def prepare_views(images: Sequence[np.ndarray], masks: Sequence[np.ndarray], run: Run) -> list[PreparedView]:
    """Prepares images in memory for a network with a lung view, without making anything black.

    Args:
        images: n arrays, uint8 `(h, w)` of any sizes, with values in [0, 255].
        masks: n arrays `(h, w)`, not 0 inside the lungs.
        run: the network.
    """
    return [
        prepare_view(image, mask, run.lung_view, run.input_size, run.channels, run.inference_clahe)
        for image, mask in zip(images, masks, strict=True)
    ]


def stack_views(views: Sequence[PreparedView], run: Run) -> NetworkInputs:
    """Stacks prepared images to a batch; makes all but the lungs black if the network takes lungs alone."""
    images = np.stack([view.image for view in views])
    masks = np.stack([view.mask for view in views])
    if run.lungs_alone:
        images = images * masks[..., np.newaxis].astype(np.uint8)
    return NetworkInputs(images, masks, [view.box for view in views], [view.flags for view in views])


def read_views(
    rows: pd.DataFrame,
    run: Run,
    batch_size: int,
    segment: Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]] | None = None,
) -> Iterator[list[PreparedView]]:
    """Reads images and prepares them for a network with a lung view, without making anything black.

    Args:
        rows: rows of a manifest, each with a mask if `segment` is None.
        run: the network.
        batch_size: images per batch.
        segment: finds the lungs: from uint8 images `(h, w)` to masks of the same sizes. None reads the masks
            of the rows.

    Yields:
        One list for each batch, in the order of the rows.

    Raises:
        ImageError: an image or mask cannot be read.
    """
    paths = rows["path"].tolist()
    if segment is None:

        def read(pair: tuple[str, str]) -> PreparedView:
            image, mask = read_image_and_mask(*pair)
            return prepare_views([image], [mask], run)[0]

        yield from read_ahead(list(zip(paths, rows["mask_path"], strict=True)), read, batch_size)
        return
    for images in read_ahead(paths, read_image, batch_size):
        yield prepare_views(images, segment(images), run)
