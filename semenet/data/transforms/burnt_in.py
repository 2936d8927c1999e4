"""Borders, collimation, letters and arrows: what covers parts of a radiograph or is written on it.

Every function takes a uint8 image (height, width), which it does not change, and returns a new one of the
same shape.
"""

import math

import cv2
import numpy as np

# The height of a capital letter of OpenCV's plain font at a scale of 1, in pixels.
_CAPITAL_HEIGHT = 21
# OpenCV draws outlines between pixels: 4 bits of a coordinate are a fraction.
_FRACTION_BITS = 4


def cover_borders(image: np.ndarray, margins: tuple[float, float, float, float], level: int) -> np.ndarray:
    """Covers the sides of an image by bars, as in a picture that was padded or photographed from a screen.

    Args:
        image: uint8 (height, width), values in [0, 255].
        margins: the bars at the top, bottom, left and right, as shares of the height and of the width.
        level: the grey level of the bars.

    Returns:
        A uint8 array of the image's shape.
    """
    height, width = image.shape
    top, bottom, left, right = margins
    covered = image.copy()
    covered[: round(top * height)] = level
    covered[height - round(bottom * height) :] = level
    covered[:, : round(left * width)] = level
    covered[:, width - round(right * width) :] = level
    return covered


def collimate(
    image: np.ndarray, margins: tuple[float, float, float, float], degrees: float, transmission: float
) -> np.ndarray:
    """Darkens an image outside a rectangle, as the collimator of an X-ray tube does.

    Args:
        image: uint8 (height, width), values in [0, 255].
        margins: how far the rectangle's top, bottom, left and right lie inside the image, as shares of the
            height and of the width.
        degrees: the angle by which the rectangle is rotated about the image's centre.
        transmission: the factor of grey levels outside the rectangle, in [0, 1].

    Returns:
        A uint8 array of the image's shape.
    """
    height, width = image.shape
    top, bottom, left, right = margins
    corners = np.array([(left, top), (1 - right, top), (1 - right, 1 - bottom), (left, 1 - bottom)]) * (
        width,
        height,
    ) - (0.5, 0.5)
    centre = ((width - 1) / 2, (height - 1) / 2)
    turn = cv2.getRotationMatrix2D(centre, degrees, 1)
    turned = corners @ turn[:, :2].T + turn[:, 2]
    factors = np.full((height, width), round(255 * transmission), np.uint8)
    points = np.rint(turned * 2**_FRACTION_BITS).astype(np.int32)
    cv2.fillConvexPoly(factors, points, 255, cv2.LINE_AA, _FRACTION_BITS)
    return cv2.multiply(image, factors, scale=1 / 255)


def write_text(
    image: np.ndarray, text: str, place: tuple[float, float], height: float, level: int, boxed: bool = False
) -> np.ndarray:
    """Writes text on an image, entirely inside of it where it fits.

    Args:
        image: uint8 (height, width), values in [0, 255].
        text: the text, in ASCII.
        place: (down, right), each in [0, 1]: where in the free space the text stands.
        height: the height of a capital letter, as a share of the image's height.
        level: the grey level of the text.
        boxed: whether the text stands on a rectangle of the opposite grey level.

    Returns:
        A uint8 array of the image's shape.
    """
    scale = height * image.shape[0] / _CAPITAL_HEIGHT
    thickness = max(1, round(2 * scale))
    (text_width, text_height), descent = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    pad = max(1, round(0.2 * text_height))
    x, y = (
        pad + round(share * max(0, side - needed - 2 * pad))
        for share, side, needed in zip(
            place[::-1], image.shape[::-1], (text_width, text_height + descent), strict=True
        )
    )
    written = image.copy()
    if boxed:
        end = (x + text_width + pad, y + text_height + descent + pad)
        cv2.rectangle(written, (x - pad, y - pad), end, 255 - level, cv2.FILLED)
    origin = (x, y + text_height)
    return cv2.putText(written, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, level, thickness, cv2.LINE_AA)


def draw_arrow(
    image: np.ndarray, tip: tuple[float, float], degrees: float, length: float, level: int
) -> np.ndarray:
    """Draws an arrow on an image.

    Args:
        image: uint8 (height, width), values in [0, 255].
        tip: (down, right), each in [0, 1]: where the arrow points to.
        degrees: the direction in which it points, counter-clockwise from the right.
        length: its length, as a share of the image's height.
        level: its grey level.

    Returns:
        A uint8 array of the image's shape.
    """
    height, width = image.shape
    y, x = tip[0] * (height - 1), tip[1] * (width - 1)
    start_x = x - length * height * math.cos(math.radians(degrees))
    start_y = y + length * height * math.sin(math.radians(degrees))
    start, end = (round(start_x), round(start_y)), (round(x), round(y))
    thickness = max(1, round(0.15 * length * height))
    return cv2.arrowedLine(image.copy(), start, end, level, thickness, cv2.LINE_AA, tipLength=0.45)
