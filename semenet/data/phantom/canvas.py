"""Drawing operations of phantoms: curves, filled outlines and textures, independent of the image size.

A phantom is described in body coordinates, in units of the image's side: `u` points from the midline to the
patient's left (the image's right) and `v` downwards, with (0, 0) in the middle of the chest. A `Pose` maps
them to the image. Outlines and lines are drawn on a canvas of fixed size, which is then resized, so that an
image looks the same at every size.
"""

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np

SIDES = (-1, 1)  # the patient's right is on the image's left
CANVAS = 512
_WIDEST, _LEVELS = 0.016, 20  # vessels: the largest width, and the number of widths drawn
_COARSE = 128  # enough for shapes that change slowly
_SHIFT = 4  # OpenCV's fixed-point coordinates: sixteenths of a pixel
_TEXTURE_EXTENT = 1.5


@dataclasses.dataclass(frozen=True)
class Pose:
    """The pose of a patient: an affine map from body coordinates to relative image coordinates.

    Args:
        matrix: float64 array (2, 3); `matrix @ (u, v, 1)` is (x, y) in units of the image's side, both in
            [0, 1] inside the image.
    """

    matrix: np.ndarray

    @classmethod
    def from_parameters(
        cls,
        degrees: float = 0.0,
        scale: float = 1.0,
        stretch: float = 1.0,
        shift: Sequence[float] = (0.0, 0.0),
    ) -> "Pose":
        """Returns the pose of a rotation about the middle of the chest, a magnification and a shift.

        Args:
            degrees: rotation, counter-clockwise in the image.
            scale: magnification; at 1 the chest fills the image.
            stretch: additional magnification of the width.
            shift: (x, y) in units of the image's side.

        Returns:
            The pose.
        """
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        matrix = [
            [scale * stretch * cosine, scale * sine, 0.5 + shift[0]],
            [-scale * stretch * sine, scale * cosine, 0.5 + shift[1]],
        ]
        return cls(np.array(matrix))

    def to_image(self, points: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
        """Converts body points, float (N, 2), into relative image coordinates, float64 (N, 2)."""
        return np.asarray(points) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def body_grid(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the body coordinates of all pixel centres: two float32 arrays (size, size), `u` and `v`."""
        inverse = np.linalg.inv(self.matrix[:, :2]).astype(np.float32)
        centres = (np.arange(size, dtype=np.float32) + 0.5) / size
        x = centres[None, :] - np.float32(self.matrix[0, 2])
        y = centres[:, None] - np.float32(self.matrix[1, 2])
        return inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y

    def rows(self, half_width: float, top: float, bottom: float, size: int) -> slice:
        """Returns the image rows that contain a box in body coordinates.

        Args:
            half_width: the box reaches from u = -half_width to u = half_width.
            top: its smallest v.
            bottom: its largest v.
            size: image side in pixels.

        Returns:
            Slice of row numbers.
        """
        corners = [(u, v) for u in (-half_width, half_width) for v in (top, bottom)]
        y = self.to_image(corners)[:, 1] * size
        return slice(max(int(y.min()), 0), max(min(int(y.max()) + 2, size), 0))


def to_size(canvas: np.ndarray, size: int) -> np.ndarray:
    """Resizes a square float32 or uint8 canvas to (size, size): by area if smaller, bilinearly if larger."""
    if size == canvas.shape[0]:
        return canvas
    method = cv2.INTER_AREA if size < canvas.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(canvas, (size, size), interpolation=method)


def fill(outlines: Sequence[np.ndarray], pose: Pose) -> np.ndarray:
    """Fills closed outlines on one canvas.

    Args:
        outlines: float arrays (N, 2) of body points.
        pose: pose of the patient.

    Returns:
        uint8 array (CANVAS, CANVAS): 255 inside any outline, 0 outside, anti-aliased.
    """
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    for outline in outlines:
        cv2.fillPoly(canvas, [_fixed_point(pose.to_image(outline))], 255, cv2.LINE_AA, _SHIFT)
    return canvas


def draw_segments(segments: np.ndarray, widths: np.ndarray, pose: Pose, size: int) -> np.ndarray:
    """Draws tapering vessels: one line per segment, brighter if it is wider.

    Args:
        segments: float array (N, 2, 2), start and end points in body coordinates.
        widths: float array (N,), in units of the image's side.
        pose: pose of the patient.
        size: image side in pixels.

    Returns:
        float32 array (size, size) in [0, 1]; 1 from the width 0.016 on.
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


def curve(points: np.ndarray | Sequence[Sequence[float]], steps: int = 10) -> np.ndarray:
    """Returns a smooth open curve (Catmull-Rom) through points.

    Args:
        points: float (N, 2).
        steps: number of segments between two points.

    Returns:
        float64 array (M, 2), a polyline.
    """
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


def depth_profile(canvas: np.ndarray, radius: float, size: int) -> np.ndarray:
    """Returns the depth of a rounded body along the ray: 0 at the outline, 1 from `radius` inwards.

    Args:
        canvas: uint8 array (CANVAS, CANVAS), as `fill` returns it.
        radius: in units of the image's side.
        size: image side in pixels.

    Returns:
        float32 array (size, size) in [0, 1].
    """
    coarse = to_size(canvas, _COARSE)
    distance = cv2.distanceTransform((coarse > 127).astype(np.uint8), cv2.DIST_L2, 5)
    inward = 1 - np.minimum(distance / np.float32(radius * _COARSE), 1)
    return to_size(cv2.blur(np.sqrt(1 - inward * inward), (3, 3)), size)


def soften(canvas: np.ndarray, sigma: float, size: int) -> np.ndarray:
    """Blurs a canvas with a Gaussian filter.

    Args:
        canvas: uint8 array (CANVAS, CANVAS).
        sigma: standard deviation in units of the image's side.
        size: image side in pixels.

    Returns:
        float32 array (size, size) in [0, 1].
    """
    # A small image and a wide blur do not need the full resolution.
    side = CANVAS if size > CANVAS // 4 else CANVAS // 2
    while sigma * side > 2.4:
        side //= 2
    blurred = cv2.GaussianBlur(to_size(canvas, side), (0, 0), sigma * side)
    return to_size(blurred, size).astype(np.float32) / 255


def texture(rng: np.random.Generator, cells: int, pose: Pose, size: int) -> np.ndarray:
    """Draws smooth Gaussian noise that moves with the body: the same field under every pose.

    Args:
        rng: random generator.
        cells: number of independent values along the image's side; more cells make finer noise.
        pose: pose of the patient.
        size: image side in pixels.

    Returns:
        float32 array (size, size), mean about 0, standard deviation below 1; it is smaller where the image
        is too small for the detail.
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


def smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blurs a float32 image with a wide Gaussian filter; `sigma` is 0.03 or more, in units of its side."""
    side = 64
    coarse = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(coarse, (0, 0), sigma * side)
    return cv2.resize(coarse, image.shape[::-1], interpolation=cv2.INTER_CUBIC)


def _fixed_point(points: np.ndarray) -> np.ndarray:
    """Converts relative image coordinates into the fixed-point coordinates of OpenCV."""
    return np.rint((points * CANVAS - 0.5) * (1 << _SHIFT)).astype(np.int32)
