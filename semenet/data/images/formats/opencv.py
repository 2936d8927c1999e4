"""Decodes images with OpenCV."""

import cv2
import numpy as np


def decode_with_opencv(contents: bytes, flags: int) -> np.ndarray | None:
    """Decodes an image and leaves its orientation as stored.

    Args:
        contents: the bytes of an encoded image.
        flags: OpenCV's `IMREAD_` flags.

    Returns:
        uint8 or uint16 `(height, width)` or `(height, width, 3)`; None where OpenCV cannot decode the image.
    """
    try:
        return cv2.imdecode(np.frombuffer(contents, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
