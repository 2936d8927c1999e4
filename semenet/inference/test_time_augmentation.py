"""Test-time augmentation: the fixed views of a prepared image whose predictions are averaged."""

import numpy as np

from semenet.data.transforms import host as host_transforms
from semenet.errors import SemenetError

# (degrees, zoom) in the order they are taken, the image itself first. Opposites stand side by side, so that
# odd counts lean to neither; all lie well within what training with `rotation` and `zoom` may do. None is
# mirrored: the heart lies left.
INFERENCE_VIEWS = (
    (0.0, 1.0),
    (5.0, 1.0),
    (-5.0, 1.0),
    (0.0, 1.05),
    (0.0, 1 / 1.05),
    (10.0, 1.0),
    (-10.0, 1.0),
    (0.0, 1.1),
    (0.0, 1 / 1.1),
)


def check_view_count(count):
    """Checks how many views are to be averaged.

    Args:
        count: int, what `--tta` says.

    Raises:
        ValueError: there are not so many, or fewer than one is asked for.
    """
    if not 1 <= count <= len(INFERENCE_VIEWS):
        raise SemenetError(
            f"Test-time augmentation (`tta`) averages 1 to {len(INFERENCE_VIEWS)} views. Received: {count}. "
            "1 looks at the image alone; 3, 5, 7 or 9 take both of every pair of opposites."
        )


def inference_view(image, number):
    """One of the views of a prepared image: turned or scaled about its centre, bilinear, on black.

    Args:
        image: uint8 (height, width), values in [0, 255], as the network would get it, CLAHE included.
        number: which of `INFERENCE_VIEWS`; 0 is the image itself.

    Returns:
        A uint8 array of the image's shape.
    """
    degrees, zoom = INFERENCE_VIEWS[number]
    # The image itself must stay as it is to the bit, whatever OpenCV's warp makes of an identity.
    return np.array(image) if number == 0 else host_transforms.warp(image, degrees, zoom)
