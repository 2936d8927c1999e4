"""The pictures of an image's report: the film, its thumbnail, the lungs' outline and the heat maps."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from semenet.data.transforms.lung_view_on_host import Box
from semenet.inference.heat_maps.overlays import (
    encode_image,
    heat_map_layer,
    overlay_heat_map,
    place_heat_map,
    share_inside,
)
from semenet.models.receptive_fields import ReceptiveField

# Longest sides in pixels: sharp enough on a screen, and a thousand films are some 30 MB.
FILM_SIDE = 640
MAP_SIDE = 384
# Of the film that `semenet serve` sends, one at a time, and whose grey levels a person stretches.
PNG_SIDE = 1024
THUMBNAIL_SIDE = 112
# A heat map is smooth, and the browser enlarges it.
LAYER_SIDE = 192
# Coordinates of outlines, so that they have few digits.
OUTLINE_UNITS = 1000
_QUALITY = 80


class Film(NamedTuple):
    """A radiograph for the screen.

    Attributes:
        size: `(height, width)` of the original in pixels.
        picture: the bytes of a WebP file, at most `FILM_SIDE` pixels long.
        thumbnail: likewise, at most `THUMBNAIL_SIDE`.
        small: uint8 `(h, w)`, at most `MAP_SIDE` pixels long, to draw heat maps on.
    """

    size: tuple[int, int]
    picture: bytes
    thumbnail: bytes
    small: np.ndarray

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of `ImageReport` that show it."""
        return {"size": self.size, "film": self.picture, "thumbnail": self.thumbnail}


def make_film(image: np.ndarray) -> Film:
    """Makes the pictures of a radiograph, uint8 `(H, W)`."""
    film = _shrink(image, FILM_SIDE)
    thumbnail = _shrink(film, THUMBNAIL_SIDE)
    return Film(image.shape, encode_webp(film), encode_webp(thumbnail), _shrink(film, MAP_SIDE))


def encode_webp(image: np.ndarray) -> bytes:
    """Encodes a uint8 image, grey `(H, W)`, RGB or RGBA, as the bytes of a WebP file."""
    colours = image
    if image.ndim == 3:
        # OpenCV has blue first.
        colours = np.ascontiguousarray(image[..., [2, 1, 0, 3][: image.shape[2]]])
    return cv2.imencode(".webp", colours, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])[1].tobytes()


def outline_path(mask: np.ndarray) -> str:
    """Traces the outline of a mask.

    Args:
        mask: bool `(H, W)`.

    Returns:
        The path of an SVG whose view box is `OUTLINE_UNITS` wide and high, stretched to the image.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    scale = OUTLINE_UNITS / np.array([mask.shape[1], mask.shape[0]])
    parts = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, 1.2, closed=True)[:, 0]
        if len(points) > 2:
            ends = np.rint((points + 0.5) * scale).astype(int)
            parts.append("M" + "L".join(f"{x} {y}" for x, y in ends) + "Z")
    return "".join(parts)


def draw_map(film: Film, heat: np.ndarray, geometry: ReceptiveField | None, box: Box | None) -> bytes:
    """Draws a heat map on a radiograph.

    Args:
        film: the radiograph.
        heat: `(h, w)` in [0, 1].
        geometry: as for `semenet.inference.heat_maps.overlays.resize_heat_map`.
        box: the rectangle of the original that the network sees; None for the whole image.

    Returns:
        The bytes of a WebP file.
    """
    box = None if box is None else scale_box(box, film.size, film.small.shape)
    return encode_webp(overlay_heat_map(film.small, heat, geometry=geometry, box=box))


def draw_map_layer(film: Film, heat: np.ndarray, geometry: ReceptiveField | None, box: Box | None) -> bytes:
    """Draws a heat map alone, as a layer over the radiograph; see `draw_map`."""
    scale = min(1, LAYER_SIDE / max(film.size))
    size = tuple(max(1, round(side * scale)) for side in film.size)
    box = None if box is None else scale_box(box, film.size, size)
    return encode_webp(heat_map_layer(heat, size, geometry, box))


def film_png(image: np.ndarray) -> bytes:
    """Encodes a radiograph, uint8 `(H, W)`, without loss, at most `PNG_SIDE` pixels long: a PNG file."""
    return encode_image(_shrink(image, PNG_SIDE))


def locate_heat(
    heat: np.ndarray,
    mask: np.ndarray,
    geometry: ReceptiveField | None,
    box: Box | None,
    size: tuple[int, int],
) -> tuple[float, float] | None:
    """Measures how much of a heat map lies inside the lungs.

    Args:
        heat: `(h, w)` in [0, 1].
        mask: bool `(H, W)`, true inside the lungs, of the whole image in any size.
        geometry: as for `draw_map`.
        box: as for `draw_map`.
        size: `(height, width)` of the original.

    Returns:
        The share of the map's sum inside the lungs, and the lungs' share of what the network saw; None for a
        map that is 0 everywhere, or a mask without lungs.
    """
    box = None if box is None else scale_box(box, size, mask.shape)
    share = share_inside(place_heat_map(heat, mask.shape, geometry, box), mask)
    area = float((mask if box is None else mask[box.slices]).mean())
    return None if share is None or not mask.any() else (share, area)


def scale_box(box: Box, size: tuple[int, int], new_size: tuple[int, int]) -> Box:
    """Scales a rectangle of an image to another size of that image; at least one pixel remains."""
    top, left, bottom, right = (
        round(edge * new / old)
        for edge, old, new in zip(box, (*size, *size), (*new_size, *new_size), strict=True)
    )
    top, left = min(top, new_size[0] - 1), min(left, new_size[1] - 1)
    return Box(top, left, max(bottom, top + 1), max(right, left + 1))


def shares_of_image(box: Box | None, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Returns a rectangle's edges as shares of an image's sides; None for None or the whole image."""
    if box is None or tuple(box) == (0, 0, *size):
        return None
    return tuple(edge / side for edge, side in zip(box, (*size, *size), strict=True))


def _shrink(image: np.ndarray, longest: int) -> np.ndarray:
    """Shrinks an image to at most `longest` pixels on its longer side; smaller ones stay as they are."""
    scale = longest / max(image.shape)
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
