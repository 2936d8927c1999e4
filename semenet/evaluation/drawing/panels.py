"""Panels: a radiograph beside its heat map, a colour bar and a caption, as the paper's figures 11 and 17."""

import functools

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from semenet.inference.heat_map_overlays import COLOUR_MAP

# The longer side of each picture in pixels: of a small radiograph, of a large one.
SHORTEST, LONGEST = 320, 640
FONT_SIZE = 18
_MARGIN = 16
_BAR_WIDTH = 18
# A caption's line holds some words even under a narrow picture.
_NARROWEST = 480
_INK, _PAPER = (0, 0, 0), (255, 255, 255)


def panel(image, picture, caption):
    """Draws a panel.

    Args:
        image: uint8 `(H, W)`, the radiograph.
        picture: uint8 RGB `(H, W, 3)`, the radiograph under its heat map.
        caption: sequence of str, a line each; long ones are broken between words. The font has Latin letters.

    Returns:
        uint8 RGB: both pictures side by side, their longer side between `SHORTEST` and `LONGEST` pixels, a
        colour bar from 0 to 1 to their right, and the caption below.
    """
    left, right = (_scaled(each) for each in (np.repeat(image[..., None], 3, axis=-1), picture))
    height, width = left.shape[:2]
    font = _font()
    label_width = round(max(font.getlength(label) for label in "01"))
    content = 2 * width + 2 * _MARGIN + _BAR_WIDTH + _MARGIN // 2 + label_width
    total_width = max(content, _NARROWEST) + 2 * _MARGIN
    lines = [part for line in caption for part in _broken(line, total_width - 2 * _MARGIN, font)]
    line_height = sum(font.getmetrics()) + 4
    total_height = height + 3 * _MARGIN + line_height * len(lines)

    canvas = Image.new("RGB", (total_width, total_height), _PAPER)
    draw = ImageDraw.Draw(canvas)
    canvas.paste(Image.fromarray(left), (_MARGIN, _MARGIN))
    canvas.paste(Image.fromarray(right), (2 * _MARGIN + width, _MARGIN))
    x = 3 * _MARGIN + 2 * width
    canvas.paste(Image.fromarray(_colour_bar(height)), (x, _MARGIN))
    x += _BAR_WIDTH + _MARGIN // 2
    draw.text((x, _MARGIN), "1", _INK, font, anchor="lt")
    draw.text((x, _MARGIN + height - 1), "0", _INK, font, anchor="lb")
    for number, line in enumerate(lines):
        draw.text((_MARGIN, 2 * _MARGIN + height + number * line_height), line, _INK, font)
    return np.asarray(canvas)


@functools.cache
def _font():
    return ImageFont.load_default(FONT_SIZE)


def _scaled(image):
    longer = max(image.shape[:2])
    scale = min(max(longer, SHORTEST), LONGEST) / longer
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def _colour_bar(height):
    shades = matplotlib.colormaps[COLOUR_MAP](np.linspace(1, 0, height))[:, None, :3]
    return np.repeat(np.rint(shades * 255).astype(np.uint8), _BAR_WIDTH, axis=1)


def _broken(line, width, font):
    """A line's parts that each fit the width, broken between words, and within one that fits no line."""
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
