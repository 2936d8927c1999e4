"""Single images prepared for a network, as `evaluation_dataset` prepares them: whole, or with a lung view."""

from typing import NamedTuple

import numpy as np

from semenet.data.pipeline.arguments import check_input
from semenet.data.transforms import host as host_transforms
from semenet.data.transforms.lung_view import LungView
from semenet.data.transforms.lung_view_on_host import Box, view_lungs


class PreparedView(NamedTuple):
    """An image prepared for a network, its mask, and what was found on the way.

    Attributes:
        image: uint8 (height, width, channels) of the network's input.
        mask: bool (height, width), true inside the lungs; true everywhere where the mask is implausible.
        box: the rectangle of the original image that is shown.
        flags: the checks that the mask failed, separated by spaces, "" for none. If it failed any, the whole
            image is shown.
    """

    image: np.ndarray
    mask: np.ndarray
    box: Box
    flags: str


def prepare_image(
    image: np.ndarray, input_size: tuple[int, int], channels: int = 1, inference_clahe: bool = False
) -> np.ndarray:
    """Prepares one image as `evaluation_dataset` does, bit for bit.

    Args:
        image: uint8 (height, width), values in [0, 255], as from `read_image`.
        input_size: (height, width) of the network's input, in pixels.
        channels: 1 for grey, 3 for RGB (the grey image three times).
        inference_clahe: whether CLAHE is applied.

    Returns:
        A uint8 array of shape (*input_size, channels), values in [0, 255].

    Raises:
        SemenetError: an argument is out of its range.

    Example:
        >>> image = np.zeros((300, 200), np.uint8)
        >>> semenet.data.prepare_image(image, (224, 224), channels=3).shape
        (224, 224, 3)
    """
    check_input(input_size, channels)
    resized = host_transforms.resize(np.asarray(image), input_size)
    return finish_image(resized, channels, inference_clahe)


def prepare_view(
    image: np.ndarray,
    mask: np.ndarray,
    view: LungView,
    input_size: tuple[int, int],
    channels: int = 1,
    inference_clahe: bool = False,
) -> PreparedView:
    """Prepares one image with its mask as `evaluation_dataset` does with a `view`, bit for bit.

    Args:
        image: uint8 (height, width), values in [0, 255], as from `read_image`.
        mask: uint8 or bool (height, width), not 0 inside the lungs.
        view: what is done to the image with the help of its mask.
        input_size: (height, width) of the network's input, in pixels.
        channels: 1 for grey, 3 for RGB (the grey image three times).
        inference_clahe: whether CLAHE is applied.

    Returns:
        The prepared image and its mask.

    Raises:
        SemenetError: an argument is out of its range.

    Example:
        >>> manifest = semenet.read_manifest("manifest.csv")
        >>> row = manifest.rows.iloc[0]
        >>> image, mask = semenet.read_image(row["path"]), semenet.data.read_mask(row["mask_path"])
        >>> prepared = semenet.data.prepare_view(image, mask, semenet.data.LungView(box=True), (32, 32))
        >>> prepared.image.shape, prepared.flags
        ((32, 32, 1), '')
    """
    check_input(input_size, channels)
    viewed = view_lungs(np.asarray(image), np.asarray(mask), input_size, view)
    prepared = finish_image(viewed.image, channels, inference_clahe)
    return PreparedView(prepared, viewed.mask > 0, viewed.box, viewed.flags)


def finish_image(resized: np.ndarray, channels: int, inference_clahe: bool) -> np.ndarray:
    """Applies CLAHE, if it is selected, to a resized image, and repeats it for each channel.

    Args:
        resized: uint8 (height, width), values in [0, 255].
        channels: 1 or 3.
        inference_clahe: whether CLAHE is applied.

    Returns:
        uint8 (height, width, channels).
    """
    if inference_clahe:
        resized = host_transforms.clahe(resized)
    return np.repeat(resized[..., np.newaxis], channels, axis=-1)
