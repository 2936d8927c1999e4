"""Resize, equalisation, CLAHE, tone and warps of arrays on the host, where speed counts.

Every function takes and gives uint8 arrays of shape (height, width), from any number of threads at
once. `semenet.data.transforms.eager` offers them for tensors and says what each does; `graph_transforms`
has the same pixels in TensorFlow operations alone.
"""

import math
import threading

import cv2
import numpy as np
import PIL.Image

_equalizers = threading.local()


def resize(image, size):
    """Stretches an image, bilinear; where a side shrinks to under two thirds, with a filter that widens.

    Both ways are done in integers, so that no processor or compiler changes the result: OpenCV's
    INTER_LINEAR_EXACT, whose weights have 8 fractional bits, and Pillow's BILINEAR, a triangle filter as
    wide as needed against aliasing, whose weights have 22 and which rounds after each direction, rows
    first. The second takes 2.5 times as long, and at smaller reductions differs by 0.2 grey levels in the
    mean.

    Args:
        image: uint8 (height, width), values in [0, 255].
        size: (height, width) of the result, in pixels.

    Returns:
        A uint8 array of shape `size`.
    """
    height, width = size
    if not any(2 * old > 3 * new for old, new in zip(image.shape, size, strict=True)):
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    picture = PIL.Image.frombuffer("L", image.shape[::-1], np.ascontiguousarray(image), "raw", "L", 0, 1)
    # One direction at a time: which one Pillow begins with depends on its version and the sizes.
    for stretched in ((width, picture.height), (width, height)):
        if picture.size != stretched:
            picture = picture.resize(stretched, PIL.Image.Resampling.BILINEAR)
    return np.asarray(picture)


def resize_mask(mask, size):
    """Stretches a mask by the nearest pixel: that under the centre of each pixel of the result.

    Args:
        mask: uint8 (height, width).
        size: (height, width) of the result, in pixels.

    Returns:
        A uint8 array of shape `size`, with no value that `mask` has not.
    """
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(mask.shape, size, strict=True)
    )
    return mask[rows].take(columns, axis=1)


def equalize(image):
    """Histogram equalisation over the whole image, OpenCV's own.

    Args:
        image: uint8 (height, width), values in [0, 255].

    Returns:
        A uint8 array of the image's shape.
    """
    return cv2.equalizeHist(image)


def clahe(image, clip_limit=2.0, tiles=(8, 8), out=None):
    """Contrast-limited adaptive histogram equalisation, OpenCV's own.

    Args:
        image: uint8 (height, width), values in [0, 255].
        clip_limit: float, the highest histogram bin as a multiple of a flat histogram's; 0: no limit.
        tiles: how many tiles stand across and down.
        out: the uint8 array (height, width) to write into, or None for a new one.

    Returns:
        A uint8 array of the image's shape, `out` where it is given.
    """
    # OpenCV's CLAHE objects keep buffers, so that no two threads may share one.
    cache = vars(_equalizers)
    if (clip_limit, tiles) not in cache:
        cache[clip_limit, tiles] = cv2.createCLAHE(clip_limit, tiles)
    return cache[clip_limit, tiles].apply(image, out)


def rotate(image, degrees, fill=0, out=None):
    """Turns an image about its centre, bilinear; the size stays.

    Args:
        image: uint8 (height, width), values in [0, 255].
        degrees: the angle; positive turns counter-clockwise as seen.
        fill: the grey level, in [0, 255], of what comes in from outside.
        out: the uint8 array (height, width) to write into, or None for a new one.

    Returns:
        A uint8 array of the image's shape, `out` where it is given.
    """
    return _warp(image, degrees, 1.0, (0.0, 0.0), cv2.INTER_LINEAR, fill, out)


def rotate_mask(mask, degrees, out=None):
    """Turns a mask as `rotate` turns its image, by the nearest pixel; 0 comes in from outside.

    Args:
        mask: uint8 (height, width).
        degrees: as for `rotate`.
        out: as for `rotate`.

    Returns:
        A uint8 array of the mask's shape, with no value but 0 that `mask` has not.
    """
    return _warp(mask, degrees, 1.0, (0.0, 0.0), cv2.INTER_NEAREST, 0, out)


def warp(image, degrees=0.0, zoom=1.0, shift=(0.0, 0.0), out=None):
    """Turns and scales an image about its centre, then moves it, in one bilinear step; the size stays.

    With `degrees` alone it is `rotate`, bit for bit. Black comes in from outside.

    Args:
        image: uint8 (height, width), values in [0, 255].
        degrees: the angle; positive turns counter-clockwise as seen.
        zoom: the factor by which what is seen grows; 2/3 or more, or fine detail is skipped.
        shift: (down, right), as shares of the height and of the width.
        out: the uint8 array (height, width) to write into, or None for a new one.

    Returns:
        A uint8 array of the image's shape, `out` where it is given.
    """
    return _warp(image, degrees, zoom, shift, cv2.INTER_LINEAR, 0, out)


def warp_mask(mask, degrees=0.0, zoom=1.0, shift=(0.0, 0.0), out=None):
    """Warps a mask as `warp` does its image, by the nearest pixel; 0 comes in from outside.

    Args:
        mask: uint8 (height, width).
        degrees: as for `warp`.
        zoom: as for `warp`.
        shift: as for `warp`.
        out: as for `warp`.

    Returns:
        A uint8 array of the mask's shape, with no value but 0 that `mask` has not.
    """
    return _warp(mask, degrees, zoom, shift, cv2.INTER_NEAREST, 0, out)


def tone_table(gamma=1.0, contrast=1.0):
    """The grey level that each becomes: raised to a power, then scaled about mid-grey, rounded once.

    Args:
        gamma: the power, above 0, of the level as a share of 255; below 1 brightens.
        contrast: the factor, 0 or more, by which levels move away from 127.5; clipped to [0, 255].

    Returns:
        A uint8 array of 256 levels, which never falls; for a `gamma` and `contrast` of 1 each level itself.
    """
    levels = 255 * (np.arange(256) / 255) ** gamma
    return np.rint(np.clip(127.5 + contrast * (levels - 127.5), 0, 255)).astype(np.uint8)


def change_tone(image, table, out=None):
    """Replaces each grey level of an image by a table's.

    Args:
        image: uint8 (height, width), values in [0, 255].
        table: uint8 (256,), as of `tone_table`.
        out: the uint8 array (height, width) to write into, or None for a new one.

    Returns:
        A uint8 array of the image's shape, `out` where it is given.
    """
    return cv2.LUT(image, table, dst=out)


def _warp(image, degrees, zoom, shift, interpolation, fill, out):
    height, width = image.shape
    cosine, sine = math.cos(math.radians(degrees)) / zoom, math.sin(math.radians(degrees)) / zoom
    # The centre, and where it goes.
    x, y = (width - 1) / 2, (height - 1) / 2
    new_x, new_y = x + shift[1] * width, y + shift[0] * height
    # Where in the image each pixel of the result comes from; rows run downwards.
    source = np.array(
        (
            (cosine, -sine, x - cosine * new_x + sine * new_y),
            (sine, cosine, y - sine * new_x - cosine * new_y),
        )
    )
    flags = interpolation | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, source, (width, height), dst=out, flags=flags, borderValue=fill)
