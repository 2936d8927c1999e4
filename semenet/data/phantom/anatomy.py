"""The anatomy of a phantom: the outlines and curves of one patient's organs.

Proportions follow the landmarks of frontal radiographs: the right dome of the diaphragm is higher than the
left, the heart extends twice as far to the left as to the right, the aortic knob and the gas of the stomach
are on the left, and ten pairs of ribs descend from the spine to the side and return in front, lower and
fainter.
"""

import dataclasses

import numpy as np

from semenet.data.phantom.canvas import SIDES, curve
from semenet.data.phantom.vessels import sample_branches

RIB_PAIRS = 10


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """One patient's chest in body coordinates (see `semenet.data.phantom.canvas`).

    Args:
        apex: v of the upper end of the lungs.
        base: v of the costophrenic angles.
        half_width: u of the widest part of the thorax.
        lungs: two closed outlines, right and left, including the parts behind the heart.
        heart: closed outline of the heart, the great vessels and the upper mediastinum.
        trunk: closed outlines of neck and trunk, and of both arms.
        hilum: v of the hila.
        gas: closed outline of the gas in the stomach.
        shoulders: closed outlines of the humeri, and of the scapulae.
        bronchi: segments, float array (N, 2, 2), and widths, float array (N,), of both bronchial trees.
        vessels: segments and widths of the pulmonary vessels.
        ribs: float array (RIB_PAIRS, 8): lateral extent, v of the head, posterior and anterior height,
            descent towards the side, radius, posterior and anterior strength.
        spine: float array (3,): v of a vertebra's centre, pitch, half-width.
        clavicle: float array (2, 4): per side, v at the sternum, rise towards the shoulder, bend, radius.
        density: attenuations that vary between patients.
    """

    apex: float
    base: float
    half_width: float
    lungs: tuple[np.ndarray, ...]
    heart: np.ndarray
    trunk: tuple[np.ndarray, ...]
    hilum: float
    gas: np.ndarray
    shoulders: tuple[tuple[np.ndarray, np.ndarray], ...]
    bronchi: tuple[np.ndarray, np.ndarray]
    vessels: tuple[np.ndarray, np.ndarray]
    ribs: np.ndarray
    spine: np.ndarray
    clavicle: np.ndarray
    density: dict[str, float]

    def wall(self, height: np.ndarray) -> np.ndarray:
        """Returns |u| of the inner thoracic wall at `height`, 0 at the apex and 1 at the base."""
        return self.half_width * np.interp(height, *_WALL)


# Thoracic wall: height between apex and base, and |u| in units of the half-width.
_WALL = ((0.0, 0.05, 0.16, 0.33, 0.55, 0.78, 1.0), (0.36, 0.55, 0.70, 0.83, 0.93, 0.98, 1.0))

# Profile of a humerus from its head along its shaft: distance along the axis, half-width.
_HUMERUS = (
    (-0.045, 0.014),
    (-0.025, 0.037),
    (0.02, 0.045),
    (0.07, 0.032),
    (0.13, 0.022),
    (0.50, 0.020),
    (1.2, 0.022),
)


def sample_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draws one patient's `Anatomy`."""
    apex, base = rng.uniform(-0.38, -0.33), rng.uniform(0.30, 0.37)
    half_width = rng.uniform(0.35, 0.40)
    height = base - apex
    domes = 0.81 + rng.uniform(-0.06, 0.03) + np.array([-0.015, 0.015]) * rng.uniform(0.5, 1.6)
    lungs = tuple(
        _lung(side, half_width, apex, height, dome, rng) for side, dome in zip(SIDES, domes, strict=True)
    )
    dome_v = apex + domes * height
    hilum_v = apex + 0.46 * height + rng.uniform(-0.01, 0.01)

    def wall_at(v: np.ndarray) -> np.ndarray:
        return half_width * np.interp((v - apex) / height, *_WALL)

    arms_raised = rng.random() < 0.35
    density = {
        "air": rng.uniform(0.56, 0.66),
        "bone": rng.uniform(0.8, 1.25),
        "vessels": rng.uniform(0.5, 1.1),
        "abdomen": rng.uniform(0.02, 0.12),
        "gas": rng.uniform(0.0, 0.28),
    }
    return Anatomy(
        apex=apex,
        base=base,
        half_width=half_width,
        lungs=lungs,
        heart=_heart(half_width, apex, dome_v, rng),
        trunk=_trunk(half_width, apex, arms_raised, rng),
        hilum=hilum_v,
        gas=_gas(half_width, dome_v[1], rng),
        shoulders=_shoulders(half_width, apex, arms_raised, rng),
        bronchi=sample_branches(hilum_v, wall_at, 3, rng),
        vessels=sample_branches(hilum_v, wall_at, 5, rng),
        ribs=_ribs(half_width, apex, height, rng),
        spine=np.array([rng.uniform(0, 0.06), rng.uniform(0.056, 0.064), rng.uniform(0.033, 0.039)]),
        clavicle=np.array(
            [
                [
                    apex + rng.uniform(0.05, 0.075),
                    rng.uniform(0.06, 0.12),
                    rng.uniform(0.008, 0.02),
                    rng.uniform(0.013, 0.0165),
                ]
                for _ in SIDES
            ]
        ),
        density=density,
    )


def _lung(
    side: int, half_width: float, apex: float, height: float, dome: float, rng: np.random.Generator
) -> np.ndarray:
    """Draws a lung's outline: over the apex, down the chest wall, along the dome and up the mediastinum."""
    medial = rng.uniform(0.055, 0.07)
    wobble = rng.normal(0, 0.006, size=len(_WALL[0]))
    wall = [(medial, apex + 0.06 * height), (0.24 * half_width, apex + 0.012 * height)]
    for at, reach, off in zip(*_WALL, wobble, strict=True):
        wall.append((half_width * reach * (1 + off), apex + height * at))
    arch = rng.uniform(0.0, 0.02)
    diaphragm = [
        wall[-1],
        (0.93 * half_width, apex + height * (0.45 * dome + 0.52)),
        (0.83 * half_width, apex + height * (dome + 0.055 - arch)),
        (0.67 * half_width, apex + height * (dome + 0.010)),
        (0.50 * half_width, apex + height * dome),
        (0.33 * half_width, apex + height * (dome + 0.012 + arch)),
        (medial + 0.005, apex + height * (dome + 0.045)),
    ]
    outline = np.concatenate([curve(wall), curve(diaphragm), [(medial, apex + 0.3 * height)]])
    return outline * (side, 1)


def _heart(half_width: float, apex: float, dome_v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = rng.uniform(0.88, 1.12)
    shift = rng.uniform(-0.012, 0.008)
    bottom = dome_v.max() + 0.03
    top, middle = apex - 0.02, 0.5 * (apex + bottom)
    knob = rng.uniform(0.0, 0.022)
    right, left = 0.27 * half_width * size, 0.56 * half_width * size
    reach = bottom - middle
    points = [
        (-0.05, top),
        (-0.060, apex + 0.12),
        (-0.066, middle - 0.05),
        (-0.85 * right, middle + 0.22 * reach),
        (-right, middle + 0.52 * reach),
        (-0.82 * right, middle + 0.86 * reach),
        (-0.03, bottom + 0.03),
        (0.60 * left, bottom + 0.04),
        (0.93 * left, middle + 1.00 * reach),
        (1.00 * left, middle + 0.80 * reach),
        (0.95 * left, middle + 0.56 * reach),
        (0.80 * left, middle + 0.30 * reach),
        (0.60 * left, middle + 0.06 * reach),
        (0.085, middle - 0.045),
        (0.064, middle - 0.085),
        (0.066 + knob, middle - 0.135),
        (0.060, middle - 0.19),
        (0.05, top),
    ]
    return curve(points) + np.array([shift, 0])


def _trunk(
    half_width: float, apex: float, arms_raised: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    neck = rng.uniform(0.10, 0.14)
    flank = half_width + rng.uniform(0.05, 0.085)
    shoulder = apex + rng.uniform(-0.05, 0.0)
    side = [
        (neck, -0.75),
        (neck, apex - 0.16),
        (neck + 0.05, apex - 0.09),
        (0.30, shoulder - 0.015),
        (0.44, shoulder + 0.05),
        (flank + 0.05, apex + 0.22),
        (flank, apex + 0.36),
        (flank - 0.01, 0.15),
        (flank + 0.01, 0.40),
        (flank, 0.85),
    ]
    right = curve(side)
    trunk = np.concatenate([right, right[::-1] * (-1, 1)])
    out = rng.uniform(0.05, 0.22)
    if arms_raised:
        arm = [
            (0.26, shoulder - 0.02),
            (0.36, shoulder - 0.08),
            (0.50 + out, -0.80),
            (0.78 + out, -0.80),
            (0.56 + 0.3 * out, shoulder + 0.05),
            (flank + 0.04, apex + 0.26),
            (flank, apex + 0.36),
        ]
    else:
        arm = [
            (0.36, shoulder),
            (0.50, shoulder + 0.05),
            (0.56, shoulder + 0.16),
            (0.60 + 0.5 * out, shoulder + 0.45),
            (0.62 + out, 0.85),
            (0.50 + out, 0.85),
            (0.47 + 0.5 * out, shoulder + 0.45),
            (flank + 0.03, apex + 0.26),
        ]
    arm = curve(arm)
    return trunk, arm, arm * (-1, 1)


def _gas(half_width: float, dome_v: float, rng: np.random.Generator) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    width, height = rng.uniform(0.03, 0.09), rng.uniform(0.02, 0.045)
    lumps = 1 + 0.12 * np.sin(3 * angle + rng.uniform(0, 6)) + 0.08 * np.sin(5 * angle)
    centre = (rng.uniform(0.38, 0.6) * half_width, dome_v + height + rng.uniform(0.03, 0.06))
    return np.stack([width * lumps * np.cos(angle), height * lumps * np.sin(angle)], 1) + centre


def _shoulders(
    half_width: float, apex: float, arms_raised: bool, rng: np.random.Generator
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    lift = apex + rng.uniform(-0.02, 0.02)
    reach = half_width + rng.uniform(0.065, 0.095)
    angle = rng.uniform(-0.95, -0.6) if arms_raised else rng.uniform(1.25, 1.5)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    half = [offset * along + width * across for offset, width in _HUMERUS]
    other = [offset * along - width * across for offset, width in _HUMERUS[::-1]]
    humerus = np.array([*half, *other]) + np.array([reach + 0.015, lift + 0.04])
    turn = rng.uniform(-0.02, 0.03)
    scapula = [
        (reach - 0.05, lift + 0.055),
        (reach - 0.135, lift + 0.0),
        (reach - 0.165 - turn, lift + 0.06),
        (reach - 0.125 - turn, lift + 0.20),
        (reach - 0.085 - turn, lift + 0.30),
        (reach - 0.065 - turn, lift + 0.27),
        (reach - 0.06, lift + 0.14),
    ]
    humerus, scapula = curve([*humerus, humerus[0]]), curve([*scapula, scapula[0]])
    mirrored = (-1, 1)
    return (humerus, humerus * mirrored), (scapula, scapula * mirrored)


def _ribs(half_width: float, apex: float, height: float, rng: np.random.Generator) -> np.ndarray:
    pitch = height / rng.uniform(8.6, 9.6)
    head = apex - 0.25 * pitch + pitch * np.arange(RIB_PAIRS) + rng.normal(0, 0.003, RIB_PAIRS)
    grown = np.minimum((np.arange(RIB_PAIRS) + 1) / 4, 1)
    slope = rng.uniform(0.85, 1.2)
    posterior = slope * (0.030 + 0.075 * grown)
    anterior = slope * (0.035 + 0.105 * grown)
    fall = rng.uniform(0.02, 0.22) * grown
    at = (head + posterior + 0.9 * fall * half_width - apex) / height
    extent = half_width * np.interp(at, *_WALL) * 1.005
    # Below the base the thorax narrows again, and the ribs are shorter.
    extent -= half_width * np.maximum(at - 1.0, 0) * 0.4
    radius = rng.uniform(0.0095, 0.0125) * (1 + rng.normal(0, 0.05, RIB_PAIRS))
    strength = rng.uniform(0.85, 1.15, size=(2, RIB_PAIRS))
    # The cartilages of the lower ribs do not reach the sternum in the image.
    strength[1] *= np.interp(np.arange(RIB_PAIRS), (5, 8), (0.8, 0.0))
    return np.stack([extent, head, posterior, anterior, fall, radius, *strength], 1)
