"""Images of a manifest, decoded and resized: the deterministic part of the pipeline, which caches hold."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from semenet.data.images.errors import ImageError
from semenet.data.images.reading import image_size, read_image, read_mask
from semenet.data.transforms import host as host_transforms
from semenet.data.transforms.lung_view import LungView
from semenet.data.transforms.lung_view_on_host import view_lungs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from semenet.data.pipeline.cache import DiskCache, MemoryCache


class ResizedImages:
    """A sequence of the resized images of a manifest's rows, read on access from any number of threads.

    Args:
        rows: rows of a manifest: `path` and, with `masks` or for the `view`, `mask_path`.
        size: (height, width) to resize to, in pixels.
        masks: whether to return the masks too.
        view: what is done to the images with the help of their masks.
        cache: a cache from `semenet.data.pipeline.cache` for these rows, or None to read files every time.

    Attributes:
        size: (height, width), in pixels.
        has_masks: whether masks are returned.
        view: what is done to the images with the help of their masks.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        size: tuple[int, int],
        *,
        masks: bool = False,
        view: LungView = LungView(),
        cache: MemoryCache | DiskCache | None = None,
    ) -> None:
        self.paths = rows["path"].tolist()
        self.mask_paths = rows["mask_path"].tolist() if masks or view.needs_mask else None
        self.has_masks = masks
        self.view = view
        height, width = size
        self.size = (height, width)
        self.cache = cache

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Reads an image and its mask.

        Args:
            row: the row's number.

        Returns:
            (image, mask): uint8 of shape `size`, values in [0, 255] and in {0, 1}; the mask is None
            without masks, and 1 everywhere where a view finds it implausible. Both are read-only.

        Raises:
            ImageError: a file cannot be read, or a mask differs in size from its image.
        """
        pair = None if self.cache is None else self.cache.get(row)
        if pair is None:
            pair = self._read(row)
            if self.cache is not None:
                self.cache.put(row, *pair)
        return pair

    def _read(self, row: int) -> tuple[np.ndarray, np.ndarray | None]:
        mask_path = None if self.mask_paths is None else self.mask_paths[row]
        image, mask = read_image_and_mask(self.paths[row], mask_path)
        if self.view.needs_mask:
            viewed = view_lungs(image, mask, self.size, self.view)
            return viewed.image, viewed.mask if self.has_masks else None
        image = host_transforms.resize(image, self.size)
        return image, None if mask is None else host_transforms.resize_mask(mask, self.size)


def read_image_and_mask(
    path: pathlib.Path | str, mask_path: pathlib.Path | str | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads an image and its mask.

    Args:
        path: the image's path.
        mask_path: the mask's path, or None.

    Returns:
        (image, mask): uint8 (height, width), values in [0, 255] and in {0, 1}; the mask is None
        without `mask_path`.

    Raises:
        ImageError: a file cannot be read, or the mask differs in size from the image.
    """
    image = read_image(path)
    if mask_path is None:
        return image, None
    return image, _read_mask_of_size(mask_path, path, image.shape)


def check_mask_size(path: pathlib.Path | str, mask_path: pathlib.Path | str) -> None:
    """Checks that a mask can be read and has the size of its image, of which only the header is read.

    Args:
        path: the image's path.
        mask_path: the mask's path.

    Raises:
        ImageError: the mask cannot be read, the image's header cannot be read, or their sizes differ.
    """
    _read_mask_of_size(mask_path, path, image_size(path))


def _read_mask_of_size(
    mask_path: pathlib.Path | str, path: pathlib.Path | str, size: tuple[int, int]
) -> np.ndarray:
    mask = read_mask(mask_path)
    if size != mask.shape:
        raise ImageError(
            f"A mask must have the size of its image. Received: {mask_path} of {mask.shape} "
            f"for {path} of {size}. Make the mask from this image."
        )
    return mask
