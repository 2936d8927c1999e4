"""Test-time augmentation: fixed views of a prepared image, over which the predictions are averaged."""

import numpy as np

from semenet.data.transforms import host as host_transforms
from semenet.errors import SemenetError

# (degrees, zoom), the original image first. Opposite views are adjacent, so that an odd count is balanced.
# All stay within the ranges of training's `rotation` and `zoom`. None is mirrored: the heart is on the left.
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


def check_view_count(count: int) -> None:
    """Checks the number of views to average.

    Args:
        count: the value of `--tta`.

    Raises:
        SemenetError: the number is below 1 or above the number of `INFERENCE_VIEWS`.
    """
    if not 1 <= count <= len(INFERENCE_VIEWS):
        raise SemenetError(
            f"Test-time augmentation (`tta`) averages 1 to {len(INFERENCE_VIEWS)} views. Received: {count}. "
            "1 uses the image alone; 3, 5, 7 or 9 include both views of every opposite pair."
        )


def inference_view(image: np.ndarray, number: int) -> np.ndarray:
    """Computes one view of a prepared image: rotated or scaled about its centre, bilinear, on black.

    Args:
        image: uint8 `(H, W)` in [0, 255], as the network takes it, CLAHE included.
        number: index into `INFERENCE_VIEWS`; 0 is the image itself.

    Returns:
        A uint8 array of the image's shape.
    """
    degrees, zoom = INFERENCE_VIEWS[number]
    # View 0 must equal the image bit for bit, which OpenCV does not guarantee for an identity warp.
    return np.array(image) if number == 0 else host_transforms.warp(image, degrees, zoom)
