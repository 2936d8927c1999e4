"""A manifest's images, decoded and stretched to one size: what comes before anything random."""

from semenet.data.images.errors import ImageError
from semenet.data.images.reading import image_size, read_image, read_mask
from semenet.data.transforms import host as host_transforms


class ResizedImages:
    """The images of a manifest's rows, each read when it is asked for, from any number of threads.

    Args:
        rows: rows of a manifest: `path` and, with `masks`, `mask_path`.
        size: (height, width) to stretch to, in pixels.
        masks: whether to read the masks too.
        cache: a cache of `semenet.data.pipeline.cache` for these rows, or None to read anew each time.

    Attributes:
        size: (height, width), in pixels.
        has_masks: whether masks are read.
    """

    def __init__(self, rows, size, *, masks=False, cache=None):
        self.paths = rows["path"].tolist()
        self.mask_paths = rows["mask_path"].tolist() if masks else None
        self.size = tuple(size)
        self.cache = cache

    @property
    def has_masks(self):
        return self.mask_paths is not None

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, row):
        """Reads an image, and its mask.

        Args:
            row: the row's number.

        Returns:
            (image, mask): uint8 of shape `size`, values in [0, 255] and in {0, 1}; the mask is None
            without masks. Neither may be written to.

        Raises:
            ImageError: a file cannot be read, or a mask has not its image's size.
        """
        found = None if self.cache is None else self.cache.get(row)
        if found is None:
            found = self._read(row)
            if self.cache is not None:
                self.cache.put(row, *found)
        return found

    def _read(self, row):
        image, mask = read_image_and_mask(self.paths[row], self.mask_paths and self.mask_paths[row])
        image = host_transforms.resize(image, self.size)
        return image, None if mask is None else host_transforms.resize_mask(mask, self.size)


def read_image_and_mask(path, mask_path=None):
    """Reads an image and the mask that belongs to it.

    Args:
        path: the image's path.
        mask_path: the mask's, or None.

    Returns:
        (image, mask): uint8 (height, width), values in [0, 255] and in {0, 1}; the mask is None
        without `mask_path`.

    Raises:
        ImageError: a file cannot be read, or the mask has not its image's size.
    """
    image = read_image(path)
    if mask_path is None:
        return image, None
    return image, _mask_of_size(mask_path, path, image.shape)


def check_mask_size(path, mask_path):
    """Reads a mask, and of the image that it belongs to what tells the size.

    Args:
        path: the image's path.
        mask_path: the mask's.

    Raises:
        ImageError: the mask cannot be read or has not its image's size, or the image tells none.
    """
    _mask_of_size(mask_path, path, image_size(path))


def _mask_of_size(mask_path, path, size):
    mask = read_mask(mask_path)
    if size != mask.shape:
        raise ImageError(
            f"A mask must have its image's size. Received: {mask_path} of {mask.shape} "
            f"for {path} of {size}. Make the mask from this very image."
        )
    return mask
