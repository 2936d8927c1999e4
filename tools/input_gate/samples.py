"""Draws the images that the input gate is trained on, from pools of radiographs, phantoms and pictures."""

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np
from body_parts import BODY_PARTS, SIDE, draw_body_part
from sections import SECTIONS, draw_section

from semenet.data.phantom.lateral import draw_lateral_radiograph

# Limbs lie at any angle; the other parts of the body stand nearly upright.
_AT_ANY_ANGLE = ("hand or foot", "long bone or joint")


@dataclasses.dataclass(frozen=True)
class Pools:
    """The images that samples are made of, each uint8 `(N, SIDE, SIDE)`.

    Attributes:
        frontal: upright frontal radiographs.
        lateral: lateral ones.
        section: CT, MR and ultrasound images.
        body_part: radiographs of other parts of the body.
        picture: other pictures.
    """

    frontal: np.ndarray
    lateral: np.ndarray
    section: np.ndarray
    body_part: np.ndarray
    picture: np.ndarray


def drawn_laterals(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws lateral phantoms; tools/input_gate/measure.py draws seeds from 10,000 on."""
    seeds = rng.choice(10_000, count, replace=False)
    return np.stack([draw_lateral_radiograph(size=SIDE, seed=int(seed)) for seed in seeds])


def drawn_sections(count: int, rng: np.random.Generator, without: tuple[str, ...] = ()) -> np.ndarray:
    """Draws a number of sections of each kind of `SECTIONS`, and drops some kinds."""
    drawn = {kind: [draw_section(kind, rng) for _ in range(count)] for kind in SECTIONS}
    return np.concatenate([images for kind, images in drawn.items() if kind not in without])


def drawn_body_parts(count: int, rng: np.random.Generator, without: tuple[str, ...] = ()) -> np.ndarray:
    """Draws a number of radiographs of each kind of `BODY_PARTS`, and drops some kinds."""
    drawn = {kind: [body_part_film(kind, rng) for _ in range(count)] for kind in BODY_PARTS}
    return np.concatenate([images for kind, images in drawn.items() if kind not in without])


def body_part_film(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Draws a radiograph of a part of the body: placed at random, exposed and collimated."""
    attenuation = draw_body_part(kind, rng)
    turn = rng.uniform(0, 360) if kind in _AT_ANY_ANGLE and rng.random() < 0.6 else rng.normal(0, 6)
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), turn, rng.uniform(0.75, 1.6))
    matrix[:, 2] += rng.uniform(-0.15, 0.15, 2) * SIDE
    attenuation = cv2.warpAffine(attenuation, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    grey = 1 - np.exp(-rng.uniform(0.5, 3) * np.maximum(attenuation, 0))
    grey = np.clip(grey / max(np.percentile(grey, rng.uniform(97, 100)), 0.05), 0, 1)
    if rng.random() < 0.3:
        low, high = np.int32(rng.uniform((0, 0.8), (0.2, 1)) * SIDE)
        edge = rng.integers(2)
        outside = (np.arange(SIDE) < low) | (np.arange(SIDE) >= high)
        grey[(slice(None), outside) if edge else outside] = 0
    if rng.random() < 0.3:
        _write(grey, rng.choice(["L", "R"]), rng)
    return np.uint8((1 - grey if rng.random() < 0.1 else grey) * 255)


def draw_sample(label: str, pools: Pools, rng: np.random.Generator) -> np.ndarray:
    """Draws one image of a class of `GATE_CLASSES`, uint8 `(SIDE, SIDE)`."""
    if label == "not_a_radiograph":
        draw = _OTHERS[rng.choice(len(_OTHERS), p=[share for share, _ in _OTHERS])][1]
        return draw(pools, rng)
    if label == "lateral":
        lateral = _one(pools.lateral, rng)
        return _random_exposure(_random_position(lateral[:, :: rng.choice([-1, 1])], rng), rng)
    frontal = _random_exposure(_random_position(_one(pools.frontal, rng), rng), rng)
    if label == "inverted":
        return 255 - frontal
    if label == "turned":
        return np.ascontiguousarray(np.rot90(frontal, rng.integers(1, 4)))
    return frontal


def _one(pool: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return pool[rng.integers(len(pool))]


def _random_position(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-10, 10), rng.uniform(0.75, 1.2))
    stretch = rng.uniform(0.85, 1.18)
    matrix[0] *= stretch
    matrix[0, 2] += (1 - stretch) * SIDE / 2
    matrix[:, 2] += rng.uniform(-0.1, 0.1, 2) * SIDE
    border = rng.choice([cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE])
    filled = float(rng.choice([0, 0, 0, 255]))
    image = np.ascontiguousarray(image)
    return cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=int(border), borderValue=filled)


def _random_exposure(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Changes the exposure and adds bright or dark patches, blur, noise, frames and letters."""
    grey = (image / np.float32(255)) ** rng.uniform(0.5, 2.0)
    grey = grey * rng.uniform(0.4, 1) + rng.uniform(0, 0.3)
    steps = np.arange(SIDE) / SIDE
    for _ in range(rng.integers(0, 4)):
        (x, y), (width, height) = rng.uniform(0, 1, 2), rng.uniform(0.05, 0.25, 2)
        across, down = np.exp(-(((steps - x) / width) ** 2)), np.exp(-(((steps - y) / height) ** 2))
        grey += rng.uniform(-0.15, 0.35) * np.outer(down, across)
    if rng.random() < 0.25:
        frame, level, where = int(rng.integers(2, 14)), float(rng.choice([0, 0, 1])), rng.integers(4)
        if where & 1:
            grey[:, :frame] = grey[:, -frame:] = level
        if where & 2:
            grey[:frame] = grey[-frame:] = level
    if rng.random() < 0.2:
        _write(grey, rng.choice(["L", "R", "A", "AP", "1", "SUPINE"]), rng)
    if rng.random() < 0.3:
        grey += rng.normal(0, rng.uniform(0, 0.06), grey.shape)
    if rng.random() < 0.2:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.5, 2))
    return np.uint8(np.clip(grey, 0, 1) * 255)


def _write(grey: np.ndarray, text: str, rng: np.random.Generator) -> None:
    """Writes a word in white, in place."""
    letters = np.zeros((SIDE, SIDE), "uint8")
    place = (int(rng.integers(2, 110)), int(rng.integers(10, 126)))
    cv2.putText(letters, str(text), place, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.3, 0.8), 1, 1)
    grey[letters > 0] = 1


def _section(pools: Pools, rng: np.random.Generator) -> np.ndarray:
    image = _random_exposure(_random_position(_one(pools.section, rng), rng), rng)
    return np.ascontiguousarray(np.rot90(image, rng.choice([0, 0, 0, 1, 2, 3])))


def _body_part(pools: Pools, rng: np.random.Generator) -> np.ndarray:
    """Returns another part of the body, sometimes with the texture of a piece of a real radiograph."""
    image = _one(pools.body_part, rng)[:, :: rng.choice([-1, 1])]
    if rng.random() < 0.3:
        image = cv2.addWeighted(np.ascontiguousarray(image), 1, _crop(pools, rng), rng.uniform(0.1, 0.4), -20)
    return _random_exposure(_random_position(image, rng) if rng.random() < 0.5 else image, rng)


def _crop(pools: Pools, rng: np.random.Generator) -> np.ndarray:
    """Returns a small piece of a frontal radiograph."""
    image, kind = _one(pools.frontal, rng), rng.random()
    if kind < 0.5:
        height, width = np.int32(rng.uniform(0.18, 0.42, 2) * SIDE)
        top, left = rng.integers(0, SIDE - height), rng.integers(0, SIDE - width)
    elif kind < 0.8:
        height, width, left = int(rng.uniform(0.15, 0.3) * SIDE), SIDE, 0
        top = int(rng.choice([0, SIDE - height]))
    else:
        height, width, top = SIDE, int(rng.uniform(0.3, 0.42) * SIDE), 0
        left = int(rng.choice([0, SIDE - width]))
    return cv2.resize(image[top : top + height, left : left + width], (SIDE, SIDE))


def _rearranged(pools: Pools, rng: np.random.Generator) -> np.ndarray:
    """Returns the tiles of a frontal radiograph in another order, or several radiographs in one image."""
    if rng.random() < 0.6:
        count = int(rng.integers(2, 4))
        side = SIDE // count
        image, order = _one(pools.frontal, rng), np.arange(count * count)
        while (order == np.arange(count * count)).sum() > 1:
            order = rng.permutation(order)
        tiles = [image[n // count * side :, n % count * side :][:side, :side] for n in order]
        rows = [np.hstack(tiles[count * n : count * (n + 1)]) for n in range(count)]
        return cv2.resize(np.vstack(rows), (SIDE, SIDE))
    tiles = [_one(pools.frontal if rng.random() < 0.6 else pools.section, rng) for _ in range(4)]
    if rng.random() < 0.5:
        return cv2.resize(np.hstack(tiles[:2]), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    image = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _piece(pools: Pools, rng: np.random.Generator) -> np.ndarray:
    image = (_crop if rng.random() < 0.65 else _rearranged)(pools, rng)
    return _random_exposure(np.ascontiguousarray(np.rot90(image, rng.choice([0, 0, 1, 2, 3]))), rng)


def _picture(pools: Pools, rng: np.random.Generator) -> np.ndarray:
    image = _one(pools.picture, rng)
    side = rng.integers(SIDE // 3, SIDE + 1)
    top, left = rng.integers(0, SIDE + 1 - side, 2)
    image = np.rot90(image[top : top + side, left : left + side], rng.integers(4))
    image = cv2.resize(np.ascontiguousarray(image), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return 255 - image if rng.random() < 0.3 else image


def _drawing(_: Pools, rng: np.random.Generator) -> np.ndarray:
    """Returns random clouds, or shapes and letters."""
    if rng.random() < 0.4:
        clouds = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), np.exp(rng.uniform(-1, 3.3)))
        return np.uint8(cv2.normalize(clouds, None, 0, 255, cv2.NORM_MINMAX))
    image = np.full((SIDE, SIDE), rng.integers(256), "uint8")
    for _ in range(rng.integers(0, 14)):
        level, (x, y, width, height) = int(rng.integers(256)), (int(v) for v in rng.integers(2, SIDE, 4))
        match rng.integers(4):
            case 0:
                cv2.rectangle(image, (x, y), (width, height), level, -1)
            case 1:
                angle = float(rng.uniform(0, 180))
                cv2.ellipse(image, (x, y), (width // 2, height // 2), angle, 0, 360, level, -1)
            case 2:
                cv2.line(image, (x, y), (width, height), level, int(rng.integers(1, 6)))
            case _:
                text = "Report 12 mm"[: rng.integers(2, 12)]
                cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.3, 1), level, 1)
    return image


_OTHERS: list[tuple[float, Callable[[Pools, np.random.Generator], np.ndarray]]] = [
    (0.34, _body_part),
    (0.28, _section),
    (0.16, _piece),
    (0.16, _picture),
    (0.06, _drawing),
]
