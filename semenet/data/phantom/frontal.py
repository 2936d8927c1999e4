"""Synthetic frontal chest radiographs, drawn from a patient's seed and an examination's seed."""

import dataclasses
import re

import numpy as np

from semenet.data.phantom.anatomy import sample_anatomy
from semenet.data.phantom.arguments import PhantomError, check_classes, check_seed, check_size
from semenet.data.phantom.canvas import Pose
from semenet.data.phantom.exposure import burn_in, expose
from semenet.data.phantom.lesions import draw_lesion
from semenet.data.phantom.projection import project

_VESSELS = 0.26  # the share of the lungs' air that a large vessel replaces


@dataclasses.dataclass(frozen=True)
class Phantom:
    """A synthetic radiograph and its ground truth.

    Args:
        image: uint8 array (size, size) of grey levels in [0, 255].
        lungs: bool array (size, size), both lungs, including the parts behind the heart.
        lesion: bool array (size, size), the lesion inside the lungs; all False for a normal chest.
        marker: the burnt-in letter, "" for none.
    """

    image: np.ndarray
    lungs: np.ndarray
    lesion: np.ndarray
    marker: str


def draw_radiograph(
    label: str,
    *,
    size: int = 256,
    seed: int | tuple[int, ...] = 0,
    patient: int | tuple[int, ...] | None = None,
    marker: str | None = None,
) -> Phantom:
    """Draws a synthetic frontal chest radiograph.

    `patient` determines anatomy and disease; `seed` determines pose, exposure, the position of the marker and
    the quantum noise. None of these depends on the label: the same seeds with another label show the same
    chest in another state. The image looks the same at every size, except for the quantum noise, which is
    stronger in small images because fewer quanta reach each pixel.

    Args:
        label: one of "normal", "bacteria", "virus", "other_viral", "COVID-19".
        size: image side in pixels, 64 to 1024.
        seed: non-negative int or tuple of non-negative ints.
        patient: non-negative int or tuple of non-negative ints; None uses `seed`.
        marker: capital letter to burn in near an upper corner, outside the lungs; None for no letter.

    Returns:
        The radiograph and its ground truth.

    Raises:
        PhantomError: the label is unknown, `size` is outside 64 to 1024, a seed is negative, or `marker` is
            not a single capital letter.

    Example:
        >>> from semenet.data.phantom import draw_radiograph
        >>> phantom = draw_radiograph("virus", size=64, seed=1)
        >>> phantom.image.shape, phantom.image.dtype
        ((64, 64), dtype('uint8'))
        >>> bool(phantom.lungs[phantom.lesion].all())
        True
    """
    check_classes([label])
    check_size(size)
    patient = seed if patient is None else patient
    for value in (seed, patient):
        for part in value if isinstance(value, tuple) else (value,):
            check_seed(part)
    if marker is not None and not re.fullmatch("[A-Z]", marker):
        raise PhantomError(
            f"`marker` must be one letter from A to Z, or None. Received: {marker!r}. Pass one letter."
        )
    anatomy_rng, disease_rng, tissue_rng = _random_streams(patient)[:3]
    pose_rng, exposure_rng, marker_rng, noise_rng = _random_streams(seed)[3:]
    anatomy = sample_anatomy(anatomy_rng)
    pose = _sample_pose(pose_rng)
    projection = project(anatomy, pose, size, tissue_rng)
    opacity, lesion_mask = draw_lesion(label, anatomy, pose, projection, disease_rng)
    vessels = np.float32(_VESSELS * anatomy.density["vessels"]) * projection.vessels
    attenuation = projection.tissue - projection.air * (1 - opacity - vessels)
    grey = expose(attenuation, exposure_rng, noise_rng)
    if marker is not None:
        grey = burn_in(grey, marker, anatomy.lungs, pose, marker_rng)
    image = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
    return Phantom(image, np.any(projection.lungs, axis=0), lesion_mask, marker or "")


def _random_streams(seed: int | tuple[int, ...]) -> list[np.random.Generator]:
    """Returns seven independent generators."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(7)]


def _sample_pose(rng: np.random.Generator) -> Pose:
    return Pose.from_parameters(
        degrees=rng.normal(0, 2.2),
        scale=rng.uniform(0.96, 1.15),
        stretch=rng.uniform(0.93, 1.06),
        shift=rng.normal((0, 0.02), 0.012).tolist(),
    )
