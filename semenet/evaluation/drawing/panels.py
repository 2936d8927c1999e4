"""Panels as in the paper's figures 11 and 17: radiograph, heat map, colour bar and caption."""

import functools
from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from semenet.inference.heat_maps.overlays import COLOUR_MAP

# Limits of the longer side of each picture in pixels.
MIN_SIDE, MAX_SIDE = 320, 640
FONT_SIZE = 18
_MARGIN = 16
_BAR_WIDTH = 18
# Leaves room for some words per line of the caption under a narrow picture.
_MIN_WIDTH = 480
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def panel(image: np.ndarray, picture: np.ndarray, caption: Sequence[str]) -> np.ndarray:
    """Draws a panel.

    Args:
        image: uint8 `(H, W)`, the radiograph.
        picture: uint8 RGB `(H, W, 3)`, the radiograph with its heat map.
        caption: lines of text; long ones are wrapped between words. The font has Latin letters only.

    Returns:
        uint8 RGB: both pictures side by side, their longer side between `MIN_SIDE` and `MAX_SIDE` pixels, a
        colour bar from 0 to 1 on the right, and the caption below.
    """
    left, right = (_scaled(each) for each in (np.repeat(image[..., None], 3, axis=-1), picture))
    height, width = left.shape[:2]
    font = _font()
    label_width = round(max(font.getlength(label) for label in "01"))
    content = 2 * width + 2 * _MARGIN + _BAR_WIDTH + _MARGIN // 2 + label_width
    total_width = max(content, _MIN_WIDTH) + 2 * _MARGIN
    lines = [part for line in caption for part in _wrapped(line, total_width - 2 * _MARGIN, font)]
    line_height = sum(font.getmetrics()) + 4
    total_height = height + 3 * _MARGIN + line_height * len(lines)

    canvas = Image.new("RGB", (total_width, total_height), _WHITE)
    draw = ImageDraw.Draw(canvas)
    canvas.paste(Image.fromarray(left), (_MARGIN, _MARGIN))
    canvas.paste(Image.fromarray(right), (2 * _MARGIN + width, _MARGIN))
    x = 3 * _MARGIN + 2 * width
    canvas.paste(Image.fromarray(_colour_bar(height)), (x, _MARGIN))
    x += _BAR_WIDTH + _MARGIN // 2
    draw.text((x, _MARGIN), "1", _BLACK, font, anchor="lt")
    draw.text((x, _MARGIN + height - 1), "0", _BLACK, font, anchor="lb")
    for number, line in enumerate(lines):
        draw.text((_MARGIN, 2 * _MARGIN + height + number * line_height), line, _BLACK, font)
    return np.asarray(canvas)


@functools.cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)


def _scaled(image: np.ndarray) -> np.ndarray:
    longer = max(image.shape[:2])
    scale = min(max(longer, MIN_SIDE), MAX_SIDE) / longer
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def _colour_bar(height: int) -> np.ndarray:
    shades = matplotlib.colormaps[COLOUR_MAP](np.linspace(1, 0, height))[:, None, :3]
    return np.repeat(np.rint(shades * 255).astype(np.uint8), _BAR_WIDTH, axis=1)


def _wrapped(line: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """Wraps a line to the width, between words, or within a word that is longer than a line."""
    parts, current = [], ""
    for word in line.split(" "):
        joined = f"{current} {word}" if current else word
        if font.getlength(joined) <= width:
            current = joined
            continue
        if current:
            parts.append(current)
        while font.getlength(word) > width:
            fits = next(n for n in range(len(word), 0, -1) if font.getlength(word[:n]) <= width)
            parts.append(word[:fits])
            word = word[fits:]
        current = word
    return [*parts, current]
