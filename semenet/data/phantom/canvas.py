"""Drawing for phantoms: curves, filled outlines and textures that look the same at every image size.

A phantom is described in body coordinates, in units of the image's side: `u` runs from the midline to the
patient's left (the image's right), `v` downwards, with (0, 0) in the middle of the chest. A `Pose` maps them
to the image. Outlines and lines are drawn on a canvas of fixed size and brought to the size asked for, so
that a picture does not change with its size.
"""

import dataclasses
import math

import cv2
import numpy as np

SIDES = (-1, 1)  # the patient's right stands on the image's left
CANVAS = 512
_WIDEST, _LEVELS = 0.016, 20  # vessels: a width, and steps of width up to it
_COARSE = 128  # enough for what changes slowly
_SHIFT = 4  # OpenCV's fixed-point coordinates: sixteenths of a pixel
_TEXTURE_EXTENT = 1.5


@dataclasses.dataclass(frozen=True)
class Pose:
    """How a patient stands before the detector: an affine map from body to relative image coordinates.

    Args:
        matrix: float64 (2, 3); `matrix @ (u, v, 1)` is (x, y) in units of the image's side, both in [0, 1]
            inside it.
    """

    matrix: np.ndarray

    @classmethod
    def of(cls, degrees=0.0, scale=1.0, stretch=1.0, shift=(0.0, 0.0)):
        """Rotation about the middle of the chest, magnification, horizontal stretch and shift.

        Args:
            degrees: rotation, counter-clockwise in the image.
            scale: magnification; 1 fills the image with the chest.
            stretch: additional magnification of the width.
            shift: (x, y) in units of the image's side.
        """
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        matrix = [
            [scale * stretch * cosine, scale * sine, 0.5 + shift[0]],
            [-scale * stretch * sine, scale * cosine, 0.5 + shift[1]],
        ]
        return cls(np.array(matrix))

    def to_image(self, points):
        """Body points, float (N, 2), as relative image coordinates, float64 (N, 2)."""
        return np.asarray(points) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def body_grid(self, size):
        """The body coordinates of every pixel's centre: two float32 arrays (size, size), `u` and `v`."""
        inverse = np.linalg.inv(self.matrix[:, :2]).astype(np.float32)
        centres = (np.arange(size, dtype=np.float32) + 0.5) / size
        x = centres[None, :] - np.float32(self.matrix[0, 2])
        y = centres[:, None] - np.float32(self.matrix[1, 2])
        return inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y

    def rows(self, half_width, top, bottom, size):
        """The slice of image rows that a body box reaching from -half_width to half_width touches."""
        corners = [(u, v) for u in (-half_width, half_width) for v in (top, bottom)]
        y = self.to_image(corners)[:, 1] * size
        return slice(max(int(y.min()), 0), max(min(int(y.max()) + 2, size), 0))


def to_size(canvas, size):
    """A square float32 or uint8 canvas at (size, size): averaged when smaller, bilinear when larger."""
    if size == canvas.shape[0]:
        return canvas
    method = cv2.INTER_AREA if size < canvas.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(canvas, (size, size), interpolation=method)


def fill(outlines, pose):
    """Fills closed outlines on one canvas.

    Args:
        outlines: list of body points, each float (N, 2).
        pose: the `Pose`.

    Returns:
        uint8 (CANVAS, CANVAS): 255 inside any outline, 0 outside, anti-aliased.
    """
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    for outline in outlines:
        cv2.fillPoly(canvas, [_fixed_point(pose.to_image(outline))], 255, cv2.LINE_AA, _SHIFT)
    return canvas


def draw_segments(segments, widths, pose, size):
    """Draws tapering vessels: a line a segment, brighter the wider it is.

    Args:
        segments: float (N, 2, 2), body points from and to.
        widths: float (N,), in units of the image's side.
        pose: the `Pose`.
        size: image side in pixels.

    Returns:
        float32 (size, size) in [0, 1]; 1 at the width 0.016 and above.
    """
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    ends = _fixed_point(pose.to_image(np.reshape(segments, (-1, 2)))).reshape(-1, 2, 2)
    levels = np.minimum(np.ceil(np.asarray(widths) / _WIDEST * _LEVELS), _LEVELS).astype(int)
    for level in range(1, _LEVELS + 1):
        share = level / _LEVELS
        grey, thickness = round(255 * share**0.6), max(round(share * _WIDEST * CANVAS), 1)
        lines = ends[levels == level]
        cv2.polylines(canvas, list(lines), False, grey, thickness, cv2.LINE_AA, _SHIFT)
    return soften(canvas, 0.0018, size)


def curve(points, steps=10):
    """A smooth open curve (Catmull-Rom) through points, float (N, 2), as a float64 polyline."""
    points = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    before, start, stop, after = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    pieces = 0.5 * (
        2 * start
        + (stop - before) * t
        + (2 * before - 5 * start + 4 * stop - after) * t**2
        + (3 * start - before - 3 * stop + after) * t**3
    )
    return np.concatenate([pieces.reshape(-1, 2), points[-1:]])


def depth_profile(canvas, radius, size):
    """How deep a rounded body is from the front: 0 at the outline, 1 at `radius` and further in.

    Args:
        canvas: uint8 (CANVAS, CANVAS) of `fill`.
        radius: in units of the image's side.
        size: image side in pixels.

    Returns:
        float32 (size, size) in [0, 1].
    """
    coarse = to_size(canvas, _COARSE)
    distance = cv2.distanceTransform((coarse > 127).astype(np.uint8), cv2.DIST_L2, 5)
    inward = 1 - np.minimum(distance / np.float32(radius * _COARSE), 1)
    return to_size(cv2.blur(np.sqrt(1 - inward * inward), (3, 3)), size)


def soften(canvas, sigma, size):
    """Gaussian blur of a uint8 canvas; `sigma` in units of the image's side.

    Returns:
        float32 (size, size) in [0, 1].
    """
    # Neither a small picture nor a wide blur leaves anything that needs every pixel.
    side = CANVAS if size > CANVAS // 4 else CANVAS // 2
    while sigma * side > 2.4:
        side //= 2
    blurred = cv2.GaussianBlur(to_size(canvas, side), (0, 0), sigma * side)
    return to_size(blurred, size).astype(np.float32) / 255


def texture(rng, cells, pose, size):
    """Smooth Gaussian noise that belongs to the body: the same field under every pose.

    Args:
        rng: numpy Generator.
        cells: independent values along the image's side: the more, the finer.
        pose: the `Pose`.
        size: image side in pixels.

    Returns:
        float32 (size, size), mean about 0, standard deviation below 1 and falling with the detail
        that the size cannot hold.
    """
    count = math.ceil(cells * _TEXTURE_EXTENT)
    lattice = rng.standard_normal((count, count)).astype(np.float32)
    side = next(side for side in (64, 128, 256, CANVAS) if side >= 3 * cells)
    middle = (count - 1) / 2
    to_canvas = np.empty((2, 3))
    to_canvas[:, :2] = pose.matrix[:, :2] * (side / cells)
    to_canvas[:, 2] = pose.matrix[:, 2] * side - 0.5 - to_canvas[:, :2] @ (middle, middle)
    field = cv2.warpAffine(
        lattice, to_canvas, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return to_size(field, size)


def smooth(image, sigma):
    """Wide Gaussian blur of a float32 image; `sigma` in units of its side, 0.03 or more."""
    side = 64
    coarse = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(coarse, (0, 0), sigma * side)
    return cv2.resize(coarse, image.shape[::-1], interpolation=cv2.INTER_CUBIC)


def _fixed_point(points):
    return np.rint((points * CANVAS - 0.5) * (1 << _SHIFT)).astype(np.int32)
