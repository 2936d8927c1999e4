"""The projection of a phantom's chest onto the detector, before lesions and exposure.

Attenuation is the sum of path lengths through soft tissue and bone; air in the lungs replaces soft tissue.
"""

import dataclasses

import numpy as np

from semenet.data.phantom.anatomy import Anatomy
from semenet.data.phantom.canvas import (
    SIDES,
    Pose,
    depth_profile,
    draw_segments,
    fill,
    soften,
    texture,
    to_size,
)
from semenet.data.transforms.mask_threshold import MASK_LEVEL


@dataclasses.dataclass(frozen=True)
class Projection:
    """One chest in one pose, as float32 arrays (size, size).

    Args:
        tissue: attenuation of soft tissue and bone, as if the lungs held no air; 1 is the attenuation of
            soft tissue as deep as a chest.
        air: reduction of the attenuation by the air in the lungs.
        vessels: the pulmonary vessels and hila, 0 to about 1.
        lungs: bool array (2, size, size), right and left, including the parts behind the heart.
        u: body coordinates of the pixels, horizontal.
        v: body coordinates of the pixels, vertical.
    """

    tissue: np.ndarray
    air: np.ndarray
    vessels: np.ndarray
    lungs: np.ndarray
    u: np.ndarray
    v: np.ndarray


def project(anatomy: Anatomy, pose: Pose, size: int, rng: np.random.Generator) -> Projection:
    """Projects an `Anatomy` in a `Pose` onto a detector of (size, size) pixels.

    Args:
        anatomy: the chest.
        pose: pose of the patient.
        size: image side in pixels.
        rng: random generator of the patient's tissue texture.

    Returns:
        The projection.
    """
    u, v = pose.body_grid(size)
    density = anatomy.density
    outlines = [fill([outline], pose) for outline in anatomy.lungs]
    body, heart, gas = (fill(outlines, pose) for outlines in (anatomy.trunk, [anatomy.heart], [anatomy.gas]))
    lung = np.maximum(*outlines)
    cover = soften(body, 0.003, size)

    tissue = cover * (0.22 + 0.78 * depth_profile(body, 0.19, size))
    tissue *= 0.93 + 0.022 * texture(rng, 9, pose, size) + 0.012 * texture(rng, 24, pose, size)
    tissue -= density["gas"] * soften(gas, 0.006, size)
    for plate, strength in zip(anatomy.shoulders, (0.16, 0.08), strict=True):
        shape = fill(plate, pose)
        edged = 1.6 * soften(shape, 0.003, size) - 0.6 * soften(shape, 0.012, size)
        tissue += density["bone"] * strength * edged

    mediastinum = soften(heart, 0.005, size) * (0.66 + 0.34 * depth_profile(heart, 0.07, size))
    tissue += 0.05 * mediastinum
    grain = 1 + 0.035 * texture(rng, 70, pose, size) + 0.04 * texture(rng, 26, pose, size)
    air = soften(lung, 0.0035, size) * (0.42 + 0.58 * depth_profile(lung, 0.11, size))
    air *= density["air"] * (1 - 0.93 * mediastinum) * grain

    abdomen = _step(v, anatomy.base - 0.12, 0.14)
    skeleton = _ribs(anatomy, pose, u, v, size) * (1 - 0.6 * abdomen)
    skeleton += _spine(anatomy, u, v) + _clavicles(anatomy, u, v, size)
    tissue += density["bone"] * skeleton - _airway(anatomy, u, v)
    tissue += density["abdomen"] * abdomen
    return Projection(
        tissue=tissue * cover,
        air=air,
        vessels=draw_segments(*anatomy.vessels, pose, size) + 0.5 * _hila(anatomy, u, v),
        lungs=np.stack([to_size(outline, size) >= MASK_LEVEL for outline in outlines]),
        u=u,
        v=v,
    )


def _ribs(anatomy: Anatomy, pose: Pose, u: np.ndarray, v: np.ndarray, size: int) -> np.ndarray:
    """Draws each rib as a tube along an ellipse: its upper half is posterior, its lower half anterior."""
    total = np.zeros((size, size), np.float32)
    edge = np.float32(max(1.0 / size, 0.0035))
    offset = 0.075
    for extent, head, posterior, anterior, fall, radius, behind, front in anatomy.ribs.astype(np.float32):
        bottom = head + posterior + anterior + fall * extent + 2 * radius
        rows = pose.rows(extent, head - 2 * radius, bottom, size)
        across = np.abs(u[rows])
        x = (across - offset) / (extent - offset)
        drop = v[rows] - (head + posterior) - fall * across
        below = drop > 0
        tall = np.where(below, anterior, posterior)
        y = drop / tall
        norm = np.sqrt(x * x + y * y) + np.float32(1e-6)
        gradient = np.sqrt((x / (extent - offset)) ** 2 + (y / tall) ** 2) / norm + np.float32(1e-6)
        distance = np.abs(norm - 1) / gradient
        tube = np.clip((radius - distance) / edge + 0.5, 0, 1)
        cortex = 0.55 + 0.45 * np.minimum(distance / radius, 1) ** 2
        # At the side of the chest, the ray passes through a rib lengthwise.
        tangent = 1 + 0.9 * np.clip(x, 0, 1) ** 8
        near_spine = np.clip((across - 0.025) / 0.02, 0, 1)
        cartilage = np.clip((x - 0.42) / 0.25, 0, 1)
        strength = np.where(below, 0.75 * front * cartilage, behind * near_spine)
        total[rows] += 0.135 * tube * cortex * tangent * strength
    return total


def _spine(anatomy: Anatomy, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    first, pitch, half_width = anatomy.spine.astype(np.float32)
    bend = np.float32(0.006) * np.sin(v * 5 + first * 60)
    wide = half_width * (1 + 0.3 * v)
    off = np.abs(u - bend)
    phase = (v - first) / pitch
    phase -= np.floor(phase) + np.float32(0.5)
    waist = wide * (0.92 + 0.12 * np.square(2 * phase))
    column = np.clip((waist - off) / 0.014 + 0.5, 0, 1)
    body = np.clip((0.45 - np.abs(phase)) / 0.07, 0, 1)
    endplate = _bump((np.abs(phase) - 0.36) / 0.05)
    pedicle = _bump((off - 0.66 * wide) / 0.006) * _bump((phase + 0.15) * pitch / 0.009)
    spinous = _bump(off / 0.006) * _bump((phase - 0.2) * pitch / 0.014)
    processes = _bump((phase + 0.2) * pitch / 0.008) * np.clip((1.65 * wide - off) / 0.012, 0, 1)
    return (
        column * (0.05 + 0.06 * body + 0.03 * endplate + 0.08 * pedicle + 0.07 * spinous) + 0.035 * processes
    )


def _clavicles(anatomy: Anatomy, u: np.ndarray, v: np.ndarray, size: int) -> np.ndarray:
    total = np.zeros((size, size), np.float32)
    edge = np.float32(max(1.0 / size, 0.0035))
    for side, (v0, rise, bend, radius) in zip(SIDES, anatomy.clavicle.astype(np.float32), strict=True):
        reach = (u * side - 0.03) / np.float32(anatomy.half_width + 0.02)
        slope = rise / np.float32(anatomy.half_width)
        course = v0 - rise * reach - bend * np.sin(reach * 6.0)
        thick = radius * (1 + 0.35 * (2 * reach - 0.9) ** 2)
        distance = np.abs(v - course) / np.sqrt(1 + slope * slope)
        tube = np.clip((thick - distance) / edge + 0.5, 0, 1)
        ends = np.clip(reach / 0.04, 0, 1) * np.clip((1.0 - reach) / 0.06, 0, 1)
        total += 0.17 * tube * ends * (0.6 + 0.4 * np.minimum(distance / thick, 1) ** 2)
    return total


def _airway(anatomy: Anatomy, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Draws the trachea down to the carina and the two main bronchi; the right one is steeper."""
    carina = np.float32(anatomy.apex + 0.36 * (anatomy.base - anatomy.apex))
    trachea = np.clip((0.021 - np.abs(u + 0.004)) / 0.009, 0, 1) * _step(-v, -carina, 0.02)
    below = v - carina
    main = np.float32(0)
    for side, slope in ((-1, 1.3), (1, 0.75)):
        away = u * side
        distance = np.abs(below - slope * away) / np.float32(np.hypot(1, slope))
        tube = np.clip((0.013 - distance) / 0.007, 0, 1)
        main = np.maximum(main, tube * (away > 0) * np.clip(1.6 - away / 0.045, 0, 1))
    return 0.17 * np.maximum(trachea, 0.7 * main)


def _hila(anatomy: Anatomy, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Draws the hila as blurred shadows, since their vessels run towards the detector; the left is higher."""
    rise = np.where(u > 0, np.float32(0.015), np.float32(0))
    return _bump((np.abs(u) - 0.088) / 0.026) * _bump((v - anatomy.hilum + rise) / 0.045)


def _bump(values: np.ndarray) -> np.ndarray:
    return np.exp(-np.square(values))


def _step(values: np.ndarray, at: float, width: float) -> np.ndarray:
    """Returns 0 below `at`, 1 above `at + width`, and interpolates linearly in between."""
    return np.clip((values - np.float32(at)) / np.float32(width), 0, 1)
