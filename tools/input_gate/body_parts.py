"""Synthetic radiographs of other parts of the body, from which the input gate learns what is not a chest."""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

SIDE = 128


def draw_body_part(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Draws a coarse radiograph of a part of the body: bones with a cortex, inside soft tissue.

    Args:
        kind: a key of `BODY_PARTS`.
        rng: source of randomness.

    Returns:
        float array (SIDE, SIDE), the attenuation: 0 is air, 1 is thick bone.
    """
    attenuation = BODY_PARTS[kind](rng)
    grain = cv2.GaussianBlur(rng.normal(size=attenuation.shape), (0, 0), rng.uniform(1, 5))
    tissue = attenuation > 0.05
    return attenuation + tissue * rng.uniform(0, 0.04) * grain / grain.std()


def _points(points: Sequence[Sequence[float]]) -> np.ndarray:
    """Converts shares of the side to pixels with 4 binary digits after the point."""
    return np.int32(np.round(np.float64(points) * SIDE * 16))


def outline(points: Sequence[Sequence[float]]) -> np.ndarray:
    """Returns the mask of a polygon."""
    mask = np.zeros((SIDE, SIDE), "uint8")
    cv2.fillPoly(mask, [_points(points)], 1, cv2.LINE_8, 4)
    return mask


def ellipse(centre: Sequence[float], radii: Sequence[float], angle: float = 0) -> np.ndarray:
    """Returns the mask of an ellipse; lengths in shares of the side, the angle in degrees."""
    turn = np.linspace(0, 2 * np.pi, 40)
    x, y = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return outline(np.stack([centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y], axis=1))


def tube(points: Sequence[Sequence[float]], radii: Sequence[float]) -> np.ndarray:
    """Returns the mask of a limb or a long bone: circles at points, joined by their tangents."""
    mask = np.zeros((SIDE, SIDE), "uint8")
    turn = np.linspace(0, 2 * np.pi, 24)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rings = [np.float64(point) + radius * circle for point, radius in zip(points, radii, strict=True)]
    for first, second in itertools.pairwise(rings):
        hull = cv2.convexHull(np.float32(np.concatenate([first, second])))[:, 0]
        mask |= outline(hull)
    return mask


def tissue(mask: np.ndarray, depth: float = 0.45) -> np.ndarray:
    """Returns the attenuation of a rounded piece of soft tissue."""
    distance = cv2.distanceTransform(np.pad(mask, 1, mode="edge"), cv2.DIST_L2, 3)[1:-1, 1:-1]
    return depth * np.sqrt(distance / max(distance.max(), 1))


def bone(mask: np.ndarray, rng: np.random.Generator, density: float = 0.5) -> np.ndarray:
    """Returns the attenuation of a bone: a bright cortex around a less dense inside."""
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    cortex = np.exp(-(((distance - 1) / rng.uniform(1, 2.2)) ** 2))
    inside = np.sqrt(np.minimum(distance / 6, 1))
    return density * mask * (rng.uniform(0.35, 0.7) * inside + rng.uniform(0.4, 0.7) * cortex)


def _along(start: Sequence[float], angle: float, length: float) -> np.ndarray:
    return np.float64(start) + length * np.array([np.sin(np.radians(angle)), -np.cos(np.radians(angle))])


def _hand(rng: np.random.Generator) -> np.ndarray:
    """A hand from the palm, or a foot from above, whose metatarsal bones are long and whose toes short."""
    foot = rng.random() < 0.3
    spread, size = rng.uniform(3, 8) if foot else rng.uniform(6, 18), rng.uniform(0.85, 1.25)
    lengths = np.array([0.20, 0.06, 0.04, 0.03] if foot else [0.17, 0.11, 0.07, 0.05]) * size
    wrist = np.array([0.5, 0.74]) + rng.uniform(-0.05, 0.05, 2)
    flesh = tissue(ellipse(np.subtract(wrist, (0, 0.12 * size)), (0.14 * size, 0.16 * size)))
    flesh = np.maximum(flesh, tissue(tube([wrist, np.add(wrist, (0, 0.4))], [0.08, 0.10])))
    bones = np.zeros_like(flesh)
    for place in range(-2, 3):
        thumb = place == -2 and not foot
        angle = place * spread - (30 if thumb else 0) + rng.uniform(-4, 4)
        at = np.add(wrist, (place * 0.032 * size, -0.07 * size - (0 if thumb else 0.02)))
        start = at
        for length in lengths[: 3 if thumb else 4] * (0.8 if thumb else 1 - 0.05 * abs(place)):
            radius = 0.014 * size * (0.6 + length / lengths[0] * 0.5)
            far = _along(at, angle, length * 0.9)
            middle = (at + far) / 2
            shaft = tube([at, middle, far], [radius * 1.3, radius * 0.8, radius * 1.2])
            bones = np.maximum(bones, bone(shaft, rng))
            at = _along(at, angle, length)
            angle += rng.uniform(-5, 5)
        flesh = np.maximum(flesh, tissue(tube([start, at], [0.045 * size, 0.03 * size]), 0.3))
    for _ in range(8):
        centre = wrist + rng.uniform((-0.07, -0.07), (0.07, 0.02)) * size
        bones = np.maximum(bones, bone(ellipse(centre, rng.uniform(0.018, 0.035, 2) * size), rng))
    for side in (-0.04, 0.035):
        start = np.add(wrist, (side, 0.05))
        shaft = tube([start, np.add(start, (0, 0.1)), np.add(start, (0, 0.45))], [0.036, 0.022, 0.022])
        bones = np.maximum(bones, bone(shaft, rng))
    return flesh + bones


def _joint(rng: np.random.Generator) -> np.ndarray:
    """A knee, elbow, ankle or shaft of a long bone, straight or bent; sometimes both knees."""
    both = rng.random() < 0.2
    total = np.zeros((SIDE, SIDE))
    for centre in [0.27, 0.73] if both else [rng.uniform(0.4, 0.6)]:
        scale = 0.6 if both else rng.uniform(0.6, 1.5)
        joint = np.array([centre, rng.uniform(0.25, 0.75)])
        bend = 0 if both else rng.choice([0, 0, rng.uniform(20, 110)])
        width, flare = rng.uniform(0.045, 0.08) * scale, rng.uniform(1.3, 2.4)
        flesh, bones = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
        for angle in (rng.uniform(-6, 6), 180 - bend):
            near = _along(joint, angle, width * flare * 1.05)
            neck, end = _along(joint, angle, width * flare * 2.6), _along(joint, angle, 1.2)
            fat = rng.uniform(2.2, 3.6)
            limb = tube([joint, end], [width * fat * 0.9, width * fat * 1.1])
            flesh = np.maximum(flesh, tissue(limb, rng.uniform(0.25, 0.5)))
            twin = rng.random() < 0.5
            thick = width * (0.65 if twin else 1)
            shafts = [tube([near, neck, end], [width * flare, thick, thick])]
            if twin:
                aside = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * width * flare
                shafts.append(tube([neck + aside, end + aside], [thick * 0.7, thick * 0.6]))
            for shaft in shafts:
                bones = np.maximum(bones, bone(shaft, rng, rng.uniform(0.35, 0.6)))
        if rng.random() < 0.4:
            cap = ellipse(_along(joint, rng.uniform(0, 360), width * 1.5), (width, width * 0.7))
            bones += 0.5 * bone(cap, rng)
        total = np.maximum(total, flesh + bones)
    return total


def _shoulder(rng: np.random.Generator) -> np.ndarray:
    """A shoulder and upper arm, with a corner of the chest."""
    head = rng.uniform((0.25, 0.28), (0.45, 0.45))
    flesh = tissue(outline([(0, 1), (0.05, 0.5), head - (0.12, 0.18), (1, 0.05), (1, 1)]), 0.5)
    chest = ellipse((1.0, 0.85), rng.uniform((0.25, 0.4), (0.45, 0.6)))
    flesh = flesh - 0.3 * cv2.GaussianBlur(np.float64(chest), (0, 0), 2)
    elbow = np.add(head, (rng.uniform(-0.25, 0.05), 0.9))
    masks = [tube([head, head + (elbow - head) * 0.25, elbow], [0.11, 0.06, 0.05])]
    masks.append(
        outline([np.add(head, (0.12, -0.05)), np.add(head, (0.32, -0.02)), np.add(head, (0.22, 0.4))])
    )
    masks.append(
        tube([np.add(head, (0.02, -0.16)), (0.7, head[1] - 0.2), (1, head[1] - 0.08)], [0.02, 0.02, 0.03])
    )
    for height in np.arange(0.3, 1, 0.13):
        masks.append(tube([(0.98, height), (0.72, height + 0.03), (0.6, height + 0.2)], [0.016] * 3))
    return np.maximum(flesh, 0) + sum(bone(mask, rng, rng.uniform(0.15, 0.45)) for mask in masks)


def _skull(rng: np.random.Generator) -> np.ndarray:
    """A skull with orbits or in profile, jaws with teeth, and the neck."""
    side = rng.random() < 0.5
    radii = rng.uniform((0.34, 0.30), (0.42, 0.36)) if side else rng.uniform((0.28, 0.32), (0.34, 0.4))
    vault = ellipse((0.5, 0.4), radii, rng.uniform(-15, 15) if side else 0)
    shift = -0.17 if side else 0
    jaw = ellipse((0.5 + shift, 0.72), rng.uniform((0.14, 0.14), (0.2, 0.2)))
    distance = cv2.distanceTransform(vault, cv2.DIST_L2, 3)
    total = tissue(vault | jaw, 0.35) + 0.4 * vault * np.exp(-((distance - 2) ** 2) / 6)
    total += 0.25 * tissue(jaw, 1) + 0.3 * tissue(ellipse((0.5 + shift / 2, 0.62), (0.17, 0.14)), 1)
    for place in (-0.11, 0.11) if not side else (shift - 0.08,):
        total -= 0.2 * tissue(ellipse((0.5 + place, 0.5), (0.075, 0.06)), 1)
    for row in (0.7, 0.75):
        for place in np.linspace(-0.09, 0.09, 8):
            total += 0.25 * ellipse((0.5 + shift + place, row), (0.009, 0.022))
    return np.maximum(total, 0) + _column(rng, (0.5 - shift * 0.6, 0.72), 1.3, 0.07)


def _dental(rng: np.random.Generator) -> np.ndarray:
    """A panoramic view of the jaws."""
    total = 0.35 + 0.1 * tissue(ellipse((0.5, 0.5), (0.5, 0.35)), 1)
    curve = rng.uniform(0.1, 0.3)
    for row, sign in ((0.43, -1), (0.53, 1)):
        for place in np.linspace(-0.33, 0.33, 16):
            centre = np.array([0.5 + place, row - curve * place**2 * 4 * 0.4])
            root = np.add(centre, (0, sign * rng.uniform(0.07, 0.1)))
            total = total + 0.4 * bone(tube([centre, root], [0.018, 0.008]), rng, 0.9)
    jaw = [(0.06, 0.3), (0.12, 0.68), (0.5, 0.86), (0.88, 0.68), (0.94, 0.3)]
    total += bone(tube(jaw, [0.04, 0.06, 0.06, 0.06, 0.04]), rng, 0.35)
    total -= 0.25 * tissue(ellipse((0.5, 0.22), (0.3, 0.12)), 1)
    return np.maximum(total, 0)


def _column(
    rng: np.random.Generator, top: Sequence[float], bottom: float, width: float, sway: float = 0.04
) -> np.ndarray:
    """Returns the attenuation of vertebrae with discs between them, from `top` down to `bottom`."""
    total, height = np.zeros((SIDE, SIDE)), float(top[1])
    step, phase = width * rng.uniform(1.1, 1.5), rng.uniform(0, 6)
    while height < bottom:
        x = top[0] + sway * np.sin(phase + 3 * height)
        half, thick = width / 2, step * 0.4
        corners = [(x - half, height), (x + half, height), (x + half, height + 2 * thick)]
        total += bone(outline([*corners, (x - half, height + 2 * thick)]), rng, 0.45)
        height += step
    return total


def _spine(rng: np.random.Generator) -> np.ndarray:
    """Part of the spine, from the front or the side."""
    half = rng.uniform(0.2, 0.6)
    flesh = rng.uniform(0.2, 0.6) * np.exp(-(((np.arange(SIDE) / SIDE - 0.5) / half) ** 4))
    column = _column(rng, (rng.uniform(0.4, 0.6), -0.05), 1.05, rng.uniform(0.1, 0.24), rng.uniform(0, 0.12))
    gas = sum(
        ellipse(rng.uniform(0, 1, 2), rng.uniform(0.03, 0.12, 2)).astype(float)
        for _ in range(rng.integers(1, 5))
    )
    flesh = np.tile(flesh, (SIDE, 1)) - 0.1 * cv2.GaussianBlur(gas, (0, 0), 2)
    return np.maximum(flesh, 0.02) + column * rng.uniform(0.4, 1)


def _pelvis(rng: np.random.Generator, level: float | None = None) -> np.ndarray:
    """Hips and pelvis; with a level below the image, an abdomen with bowel gas."""
    level = rng.uniform(0.2, 0.45) if level is None else level
    trunk = rng.uniform(0.38, 0.6)
    total = tissue(ellipse((0.5, 0.4), (trunk, 1.2)), rng.uniform(0.4, 0.6))
    total += _column(rng, (0.5, -0.05), level + 0.15, rng.uniform(0.09, 0.14), 0.01)
    width = rng.uniform(0.85, 1.1)
    for sign in (-1, 1):
        wing = ellipse((0.5 + sign * 0.22 * width, level + 0.1), (0.11, 0.2), sign * 30)
        ring = ellipse((0.5 + sign * 0.09 * width, level + 0.42), (0.08, 0.1), sign * 20)
        hole = ellipse((0.5 + sign * 0.09 * width, level + 0.43), (0.045, 0.06), sign * 20)
        hip = np.array([0.5 + sign * 0.25 * width, level + 0.33])
        knee = np.add(hip, (sign * 0.08, 0.8))
        thigh = tube([hip, np.add(hip, (sign * 0.09, 0.08)), knee], [0.07, 0.05, 0.045])
        for mask in (wing, ring & (1 - hole), thigh):
            total += bone(mask, rng, 0.4)
    for _ in range(rng.integers(2, 12)):
        centre = rng.uniform((0.2, 0), (0.8, level + 0.2))
        total -= rng.uniform(0.05, 0.2) * tissue(ellipse(centre, rng.uniform(0.03, 0.12, 2)), 1)
    return np.maximum(total, 0)


def _abdomen(rng: np.random.Generator) -> np.ndarray:
    total = _pelvis(rng, rng.uniform(0.5, 1.0))
    for sign in (-1, 1):
        for height in np.arange(-0.1, rng.uniform(0.1, 0.35), 0.11):
            rib = [(0.08, height), (0.3, height + 0.05), (0.4, height + 0.2)]
            rib = [(0.5 + sign * x, y) for x, y in rib]
            total += bone(tube(rib, [0.014] * 3), rng, 0.25)
    return total + rng.uniform(0, 0.15) * tissue(ellipse((0.3, 0.1), (0.3, 0.3)), 1)


def _breast(rng: np.random.Generator) -> np.ndarray:
    """A mammogram: a half ellipse on one side, with glandular tissue."""
    radii = rng.uniform((0.4, 0.35), (0.85, 0.55))
    mask = ellipse((0, rng.uniform(0.4, 0.6)), radii)
    clouds = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), rng.uniform(2, 8))
    gland = ellipse((radii[0] * 0.45, 0.5), radii * 0.5) * np.maximum(clouds / clouds.std() + 0.7, 0)
    total = tissue(mask, 0.35) + mask * 0.15 + rng.uniform(0.05, 0.25) * cv2.GaussianBlur(gland, (0, 0), 1)
    if rng.random() < 0.6:
        total += 0.35 * (outline([(0, 0), (rng.uniform(0.2, 0.5), 0), (0, rng.uniform(0.4, 0.8))]) & mask)
    return total[:, ::-1] if rng.random() < 0.5 else total


BODY_PARTS = {
    "hand or foot": _hand,
    "long bone or joint": _joint,
    "shoulder": _shoulder,
    "skull": _skull,
    "jaws": _dental,
    "spine": _spine,
    "pelvis": _pelvis,
    "abdomen": _abdomen,
    "breast": _breast,
}
