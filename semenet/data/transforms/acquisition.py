"""Changes of how a radiograph was acquired, processed and stored, but not of the patient.

Every function takes a uint8 image (height, width), which it does not change, and returns a new one of the
same shape. It may be called from any number of threads at once. `acquisition_draw` draws the arguments, and
`burnt_in` covers parts of images and writes on them.
"""

import functools
import threading

import cv2
import numpy as np

from semenet.data.transforms import host

_NOISE_SEED = 1
_NOISE_SIDE = 1024


class _ThreadState(threading.local):
    """One thread's OpenCV CLAHE object, which keeps buffers, so that threads must not share it."""

    def __init__(self) -> None:
        self.clahe = cv2.createCLAHE()


_state = _ThreadState()


def sharpen(image: np.ndarray, amount: float, sigma: float) -> np.ndarray:
    """Sharpens an image by an unsharp mask: adds its difference from a blurred copy.

    Args:
        image: uint8 (height, width), values in [0, 255].
        amount: the factor of the difference, 0 or more.
        sigma: the standard deviation of the Gaussian blur, in pixels.

    Returns:
        A uint8 array of the image's shape.
    """
    return cv2.addWeighted(image, 1 + amount, blur(image, sigma), -amount, 0)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blurs an image by a Gaussian.

    Args:
        image: uint8 (height, width), values in [0, 255].
        sigma: its standard deviation, in pixels.

    Returns:
        A uint8 array of the image's shape.
    """
    return cv2.GaussianBlur(image, (0, 0), sigma)


def change_resolution(image: np.ndarray, factor: float, cubic: bool = False) -> np.ndarray:
    """Shrinks an image and enlarges it to its old size, as if it had been stored with fewer pixels.

    Args:
        image: uint8 (height, width), values in [0, 255].
        factor: the factor of both sides, in (0, 1].
        cubic: whether to interpolate both times by a cubic function; otherwise linearly.

    Returns:
        A uint8 array of the image's shape.
    """
    height, width = image.shape
    small = (max(1, round(factor * width)), max(1, round(factor * height)))
    method = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    return cv2.resize(cv2.resize(image, small, interpolation=method), (width, height), interpolation=method)


def equalize_locally(image: np.ndarray, clip_limit: float, tiles: int) -> np.ndarray:
    """Applies CLAHE as `host.clahe` does, without an object for each combination of arguments.

    Args:
        image: uint8 (height, width), values in [0, 255].
        clip_limit: the highest histogram bin, as a multiple of a flat histogram's.
        tiles: the number of tiles across, and down.

    Returns:
        A uint8 array of the image's shape.
    """
    _state.clahe.setClipLimit(clip_limit)
    _state.clahe.setTilesGridSize((tiles, tiles))
    return _state.clahe.apply(image)


def change_tone(image: np.ndarray, gamma: float, contrast: float, brightness: float) -> np.ndarray:
    """Changes the tone curve.

    Args:
        image: uint8 (height, width), values in [0, 255].
        gamma: the power, above 0, to which the grey level as a share of 255 is raised.
        contrast: the factor by which the distance from mid-grey, 127.5, is then multiplied.
        brightness: the number of grey levels that is then added.

    Returns:
        A uint8 array of the image's shape.
    """
    return host.change_tone(image, host.tone_table(gamma, contrast, brightness))


def add_noise(image: np.ndarray, deviation: float, place: tuple[float, float]) -> np.ndarray:
    """Adds Gaussian noise, independent between pixels.

    The noise is a part of one noise image, which is made once: to draw it anew takes ten times as long.

    Args:
        image: uint8 (height, width), values in [0, 255].
        deviation: the standard deviation, in grey levels.
        place: which part of the noise image to use: (down, right), each in [0, 1).

    Returns:
        A uint8 array of the image's shape.
    """
    noise = _noise_image()
    if max(image.shape) > _NOISE_SIDE:
        noise = np.tile(noise, [-(-side // _NOISE_SIDE) for side in image.shape])
    row, column = (
        int(share * (available - side + 1))
        for share, available, side in zip(place, noise.shape, image.shape, strict=True)
    )
    height, width = image.shape
    part = noise[row : row + height, column : column + width]
    return cv2.addWeighted(image, 1.0, part, deviation, 0.0, dtype=cv2.CV_8U)


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Stores an image as JPEG and reads it again.

    Args:
        image: uint8 (height, width), values in [0, 255].
        quality: the JPEG quality, from 1 to 100.

    Returns:
        A uint8 array of the image's shape.
    """
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)


@functools.cache
def _noise_image() -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(_NOISE_SEED))
    noise = generator.standard_normal((_NOISE_SIDE, _NOISE_SIDE), dtype=np.float32)
    noise.flags.writeable = False
    return noise
