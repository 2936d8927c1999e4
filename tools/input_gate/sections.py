"""Synthetic CT, MR and ultrasound images, from which the input gate learns what is not a radiograph."""

import cv2
import numpy as np
from body_parts import SIDE, ellipse, outline, tube


def draw_section(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Draws a coarse section through the body.

    Args:
        kind: a key of `SECTIONS`.
        rng: source of randomness.

    Returns:
        uint8 array (SIDE, SIDE).
    """
    grey = SECTIONS[kind](rng)
    if rng.random() < 0.7:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, 1))
    grey = grey + rng.normal(0, rng.uniform(0, 0.06), grey.shape)
    return np.uint8(np.clip(grey, 0, 1) * 255)


def _window(rng: np.random.Generator) -> dict[str, float]:
    """Returns the grey levels of air, lungs, fat, tissue and bone in a lung or a soft-tissue window."""
    if rng.random() < 0.7:
        tissue = rng.uniform(0.45, 1)
        lung = rng.uniform(0.05, 0.3)
        return {
            "air": rng.choice([0, 0, rng.uniform(0, 0.4)]),
            "lung": lung,
            "fat": tissue * rng.uniform(0.7, 1),
            "tissue": tissue,
            "bone": min(1, tissue + rng.uniform(0, 0.4)),
        }
    return {
        "air": 0,
        "lung": rng.uniform(0, 0.08),
        "fat": rng.uniform(0.1, 0.35),
        "tissue": rng.uniform(0.4, 0.7),
        "bone": 1,
    }


def _vessels(mask: np.ndarray, level: float, image: np.ndarray, rng: np.random.Generator) -> None:
    """Paints vessels and sometimes cloudy disease inside the lungs, in place."""
    points = rng.uniform(0, SIDE, (rng.integers(20, 110), 2))
    spots = np.zeros((SIDE, SIDE))
    for x, y in points:
        end = (int(x + rng.normal(0, 4)), int(y + rng.normal(0, 4)))
        cv2.line(spots, (int(x), int(y)), end, float(rng.uniform(0.3, 1)), 1)
    if rng.random() < 0.5:
        clouds = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), rng.uniform(3, 9))
        spots += np.clip(clouds / clouds.std() - rng.uniform(0.3, 1.5), 0, 0.8)
    image[:] = np.where(mask > 0, np.maximum(image, image + (level - image) * np.minimum(spots, 1)), image)


def _body(rng: np.random.Generator, levels: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Returns an image with the cross section of a trunk and a table, and the section's centre and radii."""
    radii = rng.uniform((0.28, 0.2), (0.52, 0.42))
    centre = np.array([0.5, 0.5]) + rng.uniform(-0.05, 0.05, 2)
    image = np.full((SIDE, SIDE), levels["air"], "float64")
    if rng.random() < 0.7:
        for lower in (0.03, 0.06):
            arc = [
                (0.05, centre[1] + radii[1] - 0.05),
                (0.5, centre[1] + radii[1] + lower),
                (0.95, centre[1] + radii[1] - 0.05),
            ]
            image[tube(arc, [0.006] * 3) > 0] = levels["tissue"] * rng.uniform(0.3, 1)
    turn = np.linspace(0, 2 * np.pi, 60)
    power = rng.uniform(0.7, 1)
    shape = np.stack(
        [
            np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power,
            np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power,
        ],
        axis=1,
    )
    image[outline(centre + radii * shape) > 0] = levels["fat"]
    image[outline(centre + radii * rng.uniform(0.88, 0.97) * shape) > 0] = levels["tissue"]
    return image, np.array([*centre, *radii])


def _bones(image: np.ndarray, place: np.ndarray, level: float, rng: np.random.Generator, ribs: bool) -> None:
    """Paints the vertebra, the sternum and the ribs, in place."""
    x, y, wide, high = place
    vertebra = (x, y + high * rng.uniform(0.5, 0.68))
    image[ellipse(vertebra, (wide * 0.14, high * 0.16)) > 0] = level
    image[tube([vertebra, (x, y + high * 0.9)], [wide * 0.05] * 2) > 0] = level
    image[
        tube(
            [(x - wide * 0.22, vertebra[1] + high * 0.12), (x + wide * 0.22, vertebra[1] + high * 0.12)],
            [0.012] * 2,
        )
        > 0
    ] = level
    if ribs:
        for angle in rng.uniform(0, 2 * np.pi, rng.integers(6, 14)):
            at = np.array([x + wide * 0.86 * np.cos(angle), y + high * 0.86 * np.sin(angle)])
            turn = np.degrees(np.arctan2(np.cos(angle) * high, -np.sin(angle) * wide))
            image[ellipse(at, (0.035, 0.012), turn) > 0] = level


def _axial_chest(rng: np.random.Generator) -> np.ndarray:
    levels = _window(rng)
    image, place = _body(rng, levels)
    x, y, wide, high = place
    lungs = np.zeros((SIDE, SIDE), "uint8")
    for sign in (-1, 1):
        lungs |= ellipse(
            (x + sign * wide * 0.45, y),
            (wide * rng.uniform(0.28, 0.4), high * rng.uniform(0.5, 0.8)),
            sign * rng.uniform(-15, 5),
        )
    image[lungs > 0] = levels["lung"]
    _vessels(lungs, levels["tissue"], image, rng)
    heart = (x + wide * rng.uniform(-0.05, 0.2), y + high * rng.uniform(-0.35, 0))
    image[
        ellipse(heart, (wide * rng.uniform(0.15, 0.36), high * rng.uniform(0.25, 0.5)), rng.uniform(-40, 40))
        > 0
    ] = levels["tissue"]
    if rng.random() < 0.5:
        image[ellipse((x, y), (0.02, 0.02)) > 0] = levels["lung"]
    if rng.random() < 0.3:
        image[
            ellipse((x + wide * rng.choice([-1, 1]) * 0.4, y), (wide * 0.4, high * rng.uniform(0.3, 0.7))) > 0
        ] = levels["tissue"]
    _bones(image, place, levels["bone"], rng, True)
    return _field(image, rng)


def _axial_abdomen(rng: np.random.Generator) -> np.ndarray:
    levels = _window(rng)
    image, place = _body(rng, levels)
    x, y, wide, high = place
    image[ellipse((x - wide * 0.4, y - high * 0.1), (wide * 0.45, high * 0.6)) > 0] *= rng.uniform(1, 1.15)
    for sign in (-1, 1):
        image[ellipse((x + sign * wide * 0.4, y + high * 0.4), (0.05, 0.06)) > 0] *= 1.15
    for _ in range(rng.integers(2, 9)):
        at = (x + wide * rng.uniform(-0.5, 0.6), y + high * rng.uniform(-0.7, 0.2))
        image[ellipse(at, rng.uniform(0.02, 0.07, 2)) > 0] = rng.choice(
            [levels["air"], levels["fat"], levels["tissue"] * 0.8]
        )
    _bones(image, place, levels["bone"], rng, rng.random() < 0.6)
    return _field(image, rng)


def _field(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sometimes cuts a section to a circle, enlarges it, or adds a small overview."""
    if rng.random() < 0.25:
        image = np.where(ellipse((0.5, 0.5), (0.5, 0.5)) > 0, image, 0)
    if rng.random() < 0.5:
        cut = int(rng.uniform(0, 0.22) * SIDE)
        image = cv2.resize(image[cut : SIDE - cut, cut // 2 : SIDE - cut // 2], (SIDE, SIDE))
    if rng.random() < 0.15:
        image[100:, :20] = cv2.GaussianBlur(rng.uniform(0, 1, (28, 20)), (0, 0), 4)
    return image


def _coronal(rng: np.random.Generator) -> np.ndarray:
    """A frontal CT section of the chest: flat tissue, sharp lungs, ribs cut across, no clavicles."""
    levels = _window(rng)
    edge = rng.uniform(-0.1, 0.2)
    image = np.full((SIDE, SIDE), levels["air"], "float64")
    image[outline([(edge + 0.05, 0), (1 - edge - 0.05, 0), (1 - edge, 1), (edge, 1)]) > 0] = levels["tissue"]
    top, bottom, gap = rng.uniform(-0.1, 0.2), rng.uniform(0.72, 1.05), rng.uniform(0.03, 0.12)
    outer = min(0.44, 0.5 - edge - 0.06)
    lungs = np.zeros((SIDE, SIDE), "uint8")
    for sign in (-1, 1):
        lower = bottom + rng.uniform(-0.08, 0.05)
        points = [
            (gap, lower - 0.1),
            (gap, top + 0.05),
            ((gap + outer) / 2, top),
            (outer * 0.85, top + 0.15),
            (outer, 0.55),
        ]
        points += [(outer, lower), (outer * 0.7, lower - 0.12)]
        lungs |= outline([(0.5 + sign * x, y) for x, y in points])
    image[lungs > 0] = levels["lung"]
    _vessels(lungs, levels["tissue"], image, rng)
    middle = rng.random()
    if middle < 0.5:
        heart = ellipse(
            (0.5 + rng.uniform(0, 0.08), rng.uniform(0.45, 0.7)), rng.uniform((0.1, 0.12), (0.22, 0.25)), 30
        )
        image[heart > 0] = levels["tissue"]
        image[outline([(0.48, 0), (0.53, 0), (0.53, 0.4), (0.48, 0.4)]) > 0] = levels["lung"]
    else:
        image[:, int(0.46 * SIDE) : int(0.54 * SIDE)] = levels["tissue"]
        for height in np.arange(0, 1, rng.uniform(0.06, 0.1)):
            image[
                outline([(0.45, height), (0.55, height), (0.55, height + 0.05), (0.45, height + 0.05)]) > 0
            ] = levels["bone"]
    for height in np.arange(rng.uniform(0, 0.1), 0.95, rng.uniform(0.07, 0.12)):
        for sign in (-1, 1):
            at = (0.5 + sign * (outer + 0.03), height)
            image[ellipse(at, (0.022, 0.03), sign * 20) > 0] = levels["bone"]
    for _ in range(rng.integers(0, 4)):
        image[ellipse(rng.uniform((0.2, bottom + 0.05), (0.8, 1.1)), rng.uniform(0.03, 0.09, 2)) > 0] = (
            levels["air"]
        )
    return image


def _head(rng: np.random.Generator) -> np.ndarray:
    """An axial or sagittal section of the head, by CT or MR."""
    radii = rng.uniform((0.28, 0.34), (0.4, 0.46))
    image = np.zeros((SIDE, SIDE))
    image[ellipse((0.5, 0.5), radii) > 0] = rng.uniform(0.2, 1)
    image[ellipse((0.5, 0.5), radii * 0.93) > 0] = rng.uniform(0, 1)
    brain = ellipse((0.5, 0.5), radii * rng.uniform(0.82, 0.9))
    folds = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), rng.uniform(1.5, 3))
    image[brain > 0] = (rng.uniform(0.25, 0.6) + rng.uniform(0, 0.12) * folds / folds.std())[brain > 0]
    for sign in (-1, 1):
        hollow = ellipse((0.5 + sign * 0.05, 0.47), (0.03, 0.11), -sign * rng.uniform(0, 25))
        image[hollow > 0] = rng.choice([0.05, 0.1, 0.9])
    if rng.random() < 0.3:
        image[int(0.6 * SIDE) :, int(0.4 * SIDE) : int(0.7 * SIDE)] = 0.4
    return image


def _ultrasound(rng: np.random.Generator) -> np.ndarray:
    """A fan of speckle with dark cysts."""
    down, across = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    apex = rng.uniform(-0.5, -0.05)
    radius, angle = np.hypot(across - 0.5, down - apex), np.arctan2(across - 0.5, down - apex)
    fan = (
        (np.abs(angle) < rng.uniform(0.4, 0.8))
        & (radius > 0.1 - apex)
        & (radius < rng.uniform(0.85, 1) - apex)
    )
    speckle = np.abs(cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), 1)) * 2.2
    clouds = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), 9)
    image = speckle * np.clip(0.6 + 0.4 * clouds / clouds.std(), 0, 1.5)
    for _ in range(rng.integers(0, 4)):
        image *= 1 - 0.9 * ellipse(rng.uniform(0.3, 0.8, 2), rng.uniform(0.04, 0.16, 2))
    return image * fan


SECTIONS = {
    "CT, axial, chest": _axial_chest,
    "CT, axial, abdomen": _axial_abdomen,
    "CT, frontal": _coronal,
    "CT or MR, head": _head,
    "ultrasound": _ultrasound,
}
