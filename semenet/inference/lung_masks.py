"""Images with the masks of their lungs, a batch at a time, and what is left when either is taken away."""

import numpy as np

from semenet.data.images.reading import read_mask
from semenet.data.pipeline.datasets import evaluation_dataset, plain_errors, prepare
from semenet.data.transforms import host as host_transforms
from semenet.errors import SemenetError
from semenet.training.run_folder.run import Run

# The share of a chest radiograph that both lungs may take up.
PLAUSIBLE_AREA = (0.05, 0.75)
# A probability of 0.5 that a pixel lies in the lungs, where 255 is 1.
MASK_LEVEL = 128


class LungMasks:
    """Where the masks of the lungs come from: the manifest's column `mask`, or a U-Net.

    Args:
        run: `semenet.training.run_folder.run.Run` of a segmentation network with one class, or None for
        the manifest.

    Raises:
        ValueError: the network does not segment, or has several classes.
    """

    def __init__(self, run=None):
        if run is not None and not (run.segments and len(run.class_names) == 1):
            raise SemenetError(
                "Lungs are found by a segmentation network with one class. "
                f"Received: {run.path}, {run.model.name} with {', '.join(run.class_names)}. "
                "Give a U-Net's run."
            )
        self.run = run

    @classmethod
    def open(cls, path):
        """Of a U-Net's run folder or `.keras` file, or of the manifest where `path` is None."""
        return cls(None if path is None else Run.open(path))

    @property
    def source(self):
        """str, where the masks come from, as a report says it."""
        return "the manifest's masks" if self.run is None else f"masks by the U-Net {self.run.name}"

    def has_mask(self, rows):
        """Which rows have a mask, or get one: bool array `(N,)`."""
        if self.run is not None:
            return np.ones(len(rows), bool)
        return (rows["mask_path"] != "").to_numpy() if "mask_path" in rows else np.zeros(len(rows), bool)

    def check_available(self, rows):
        """Refuses rows without masks where the manifest is to have them.

        Raises:
            ValueError: the message says how many have none.
        """
        bare = rows[~self.has_mask(rows)]
        if len(bare):
            raise SemenetError(
                f"Lung masks are needed for every image. Received: {len(bare)} of {len(rows)} images without "
                f"one in the manifest's column `mask`, first {bare['file'].iloc[0]}. "
                "Name a U-Net's run with --lungs, which finds them."
            )

    def images_with_masks(self, rows, run, batch_size):
        """Goes through the images once, in order, as a network takes them, with their masks.

        Args:
            rows: rows of a manifest.
            run: `Run` whose input size, channels and CLAHE the images get.
            batch_size: int.

        Yields:
            images, uint8 `(n, H, W, C)` in [0, 255], and masks, bool `(n, H, W)`, of the same size.

        Raises:
            ImageError: an image or mask cannot be read.
        """
        with plain_errors():
            if self.run is None:
                for images, masks in _dataset(rows, run, batch_size, masks=True):
                    yield images.numpy(), masks.numpy()[..., 0] > 0
                return
            pairs = zip(_dataset(rows, run, batch_size), _dataset(rows, self.run, batch_size), strict=True)
            for images, whole in pairs:
                yield images.numpy(), self._found(whole, run.input_size)

    def masks(self, rows, size, batch_size):
        """Goes through the masks once, in order, without the images that a network is fed.

        Args:
            rows: rows of a manifest; each has a mask, or gets one.
            size: `(H, W)` of the masks.
            batch_size: int, of a U-Net that finds them.

        Yields:
            bool `(H, W)`, one for each row.

        Raises:
            ImageError: a mask, or the image that it is found in, cannot be read.
        """
        if self.run is None:
            for path in rows["mask_path"]:
                yield host_transforms.resize_mask(read_mask(path), size) > 0
            return
        with plain_errors():
            for whole in _dataset(rows.reset_index(drop=True), self.run, batch_size):
                yield from self._found(whole, size)

    def segment(self, images, size):
        """Finds the lungs of images in memory; only by a U-Net.

        Args:
            images: sequence of uint8 `(h, w)` of any sizes, values in [0, 255].
            size: `(H, W)` of the masks.

        Returns:
            bool `(n, H, W)`.
        """
        unet = self.run
        whole = [prepare(image, unet.input_size, unet.channels, unet.inference_clahe) for image in images]
        return self._found(np.stack(whole), size)

    def _found(self, whole, size):
        probabilities = np.asarray(self.run.model(whole, training=False))[..., 0]
        return np.stack([resized_mask(mask, size) for mask in probabilities])

    def network_inputs(self, rows, run, batch_size):
        """Goes through the images once, in order, as a network is fed them: whole, or the lungs alone.

        Args:
            rows: rows of a manifest; checked for masks where the network needs them.
            run: the `Run` of a classifier.
            batch_size: int.

        Yields:
            images, uint8 `(n, H, W, C)` in [0, 255].

        Raises:
            ImageError: an image or mask cannot be read.
            ValueError: a mask is needed and absent.
        """
        if run.lungs_alone:
            self.check_available(rows)
            yield from (images for images, _ in self.network_inputs_with_masks(rows, run, batch_size))
            return
        with plain_errors():
            for images in _dataset(rows, run, batch_size):
                yield images.numpy()

    def network_inputs_with_masks(self, rows, run, batch_size):
        """As `images_with_masks`, the images as the network is fed them."""
        for images, masks in self.images_with_masks(rows, run, batch_size):
            yield (keep_only_lungs(images, masks) if run.lungs_alone else images), masks


def resized_mask(probabilities, size):
    """A mask from a segmentation network's probabilities, in another size.

    It is stretched in whole numbers, as images are: an exported graph gives the same mask to the pixel.

    Args:
        probabilities: float `(h, w)` in [0, 1].
        size: `(H, W)` of the mask.

    Returns:
        bool `(H, W)`.
    """
    grey = np.rint(probabilities * 255).astype("uint8")
    return host_transforms.resize(grey, size) >= MASK_LEVEL


def keep_only_lungs(images, masks):
    """Blacks out everything but the lungs.

    Args:
        images: uint8 `(n, H, W, C)`.
        masks: bool `(n, H, W)`.

    Returns:
        uint8 `(n, H, W, C)`.
    """
    return np.where(masks[..., np.newaxis], images, np.uint8(0))


def _dataset(rows, run, batch_size, masks=False):
    return evaluation_dataset(
        rows,
        input_size=run.input_size,
        channels=run.channels,
        batch_size=batch_size,
        inference_clahe=run.inference_clahe,
        masks=masks,
    )
