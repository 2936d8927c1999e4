"""One synthetic radiograph from two seeds: who is examined, and how."""

import dataclasses
import numbers
import re

import numpy as np

from semenet.data.phantom.anatomy import sample_anatomy
from semenet.data.phantom.canvas import Pose
from semenet.data.phantom.exposure import burn_in, expose
from semenet.data.phantom.lesions import lesion
from semenet.data.phantom.projection import project
from semenet.errors import SemenetError

LETTERS = {"normal": "N", "bacteria": "B", "virus": "V", "other_viral": "O", "COVID-19": "C"}
MIN_SIZE, MAX_SIZE = 64, 1024
_VESSELS = 0.26  # share of the air that a large vessel takes up


class PhantomError(SemenetError):
    """An argument, or a folder, from which no phantoms can be made."""


@dataclasses.dataclass(frozen=True)
class Phantom:
    """One synthetic radiograph with what is true of it.

    Args:
        image: uint8 (size, size), grey.
        lungs: bool (size, size), both lungs with what lies behind the heart.
        lesion: bool (size, size), inside the lungs; empty for a normal chest.
        marker: the burnt-in letter, "" for none.
    """

    image: np.ndarray
    lungs: np.ndarray
    lesion: np.ndarray
    marker: str


def radiograph(label, *, size=256, seed=0, patient=None, marker=None):
    """Draws one synthetic frontal chest radiograph.

    Anatomy and disease are drawn from `patient`; pose, exposure, the marker's place and quantum noise from
    `seed`. None of them depends on the label: the same seeds under another label show the same chest in
    another state. A picture does not change with its size, but for the quantum noise, which grows as fewer
    quanta fall on a smaller pixel.

    Args:
        label: one of "normal", "bacteria", "virus", "other_viral", "COVID-19".
        size: image side in pixels, 64 to 1024.
        seed: non-negative int, or a tuple of them.
        patient: non-negative int, or a tuple of them; None: the seed.
        marker: the letter to burn in near an upper corner, outside the lungs; None for none.

    Returns:
        a `Phantom`.

    Raises:
        PhantomError: an unknown label, a size outside 64 to 1024, a negative seed, or a marker that is no
            single capital letter.
    """
    check_classes([label])
    check_size(size)
    patient = seed if patient is None else patient
    for value in (seed, patient):
        for part in value if isinstance(value, tuple) else (value,):
            check_seed(part)
    if marker is not None and not re.fullmatch("[A-Z]", marker):
        raise PhantomError(
            f"A marker is one letter from A to Z, or None. Received: {marker!r}. Give one such letter."
        )
    body, disease, tissue = _streams(patient)[:3]
    stance, exposure, burning, quanta = _streams(seed)[3:]
    anatomy = sample_anatomy(body)
    pose = _pose(stance)
    projection = project(anatomy, pose, size, tissue)
    opacity, lesion_mask = lesion(label, anatomy, pose, projection, disease)
    vessels = np.float32(_VESSELS * anatomy.density["vessels"]) * projection.vessels
    attenuation = projection.tissue - projection.air * (1 - opacity - vessels)
    grey = expose(attenuation, exposure, quanta)
    if marker is not None:
        grey = burn_in(grey, marker, anatomy.lungs, pose, burning)
    image = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
    return Phantom(image, projection.lungs.any(axis=0), lesion_mask, marker or "")


def _streams(seed):
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(7)]


def _pose(rng):
    return Pose.of(
        degrees=rng.normal(0, 2.2),
        scale=rng.uniform(0.96, 1.15),
        stretch=rng.uniform(0.93, 1.06),
        shift=rng.normal((0, 0.02), 0.012),
    )


def check_classes(classes):
    """Refuses unknown and repeated labels; returns the others as a tuple."""
    if isinstance(classes, str) or len(classes) == 0 or len(set(classes)) < len(classes):
        raise PhantomError(
            f"Classes are a list of one or more labels, each once. Received: {classes!r}. "
            f"Choose among {', '.join(LETTERS)}."
        )
    unknown = [label for label in classes if label not in LETTERS]
    if unknown:
        raise PhantomError(
            f"A phantom's class is one of {', '.join(LETTERS)}. "
            f"Received: {', '.join(map(repr, unknown))}. Choose among them."
        )
    return tuple(classes)


def check_size(size):
    """Refuses a side outside the range that phantoms are drawn for."""
    if not isinstance(size, numbers.Integral) or not MIN_SIZE <= size <= MAX_SIZE:
        raise PhantomError(
            f"A phantom's side is a whole number of {MIN_SIZE} to {MAX_SIZE} pixels. "
            f"Received: {size!r}. Choose a size in that range."
        )


def check_seed(seed):
    """Refuses what is no whole number of 0 or more."""
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise PhantomError(
            f"A seed is a whole number of 0 or more. Received: {seed!r}. Choose one such as 0."
        )
