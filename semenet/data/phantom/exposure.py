"""Turns a phantom's attenuation into grey levels, and burns in the marker letter."""

from collections.abc import Sequence

import cv2
import numpy as np

from semenet.data.phantom.canvas import CANVAS, Pose, fill, smooth, soften, to_size


def expose(attenuation: np.ndarray, rng: np.random.Generator, noise_rng: np.random.Generator) -> np.ndarray:
    """Simulates detector and image processing: quantum noise, local contrast, window and gamma.

    Args:
        attenuation: float32 array (size, size), 0 for air, 1 for soft tissue as deep as a chest.
        rng: random generator of the exposure.
        noise_rng: random generator of the noise.

    Returns:
        float32 array (size, size) in [0, 1), bright where much was absorbed.
    """
    # The number of photons decreases exponentially, scattered photons are added, and the noise of the
    # logarithm grows where few photons arrive, as in small pixels.
    hardness, scatter = rng.uniform(1.8, 2.4), rng.uniform(0.04, 0.09)
    photons = np.exp(np.float32(-hardness) * attenuation) + np.float32(scatter)
    noise = np.float32(rng.uniform(0.003, 0.006) * len(attenuation) / 256) / np.sqrt(photons)
    photons *= 1 + noise * noise_rng.standard_normal(photons.shape, dtype=np.float32)
    clear, dense = (np.log(np.exp(-hardness * at) + scatter) for at in (0.0, 1.1))
    signal = (np.float32(clear) - np.log(photons)) / np.float32(clear - dense)
    local = signal - smooth(signal, 0.05)
    signal = signal + np.float32(rng.uniform(0.1, 0.6)) * local
    low = rng.uniform(-0.10, 0.14)
    high = low + rng.uniform(1.0, 1.35)
    grey = np.clip((signal - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.float32(rng.uniform(0.82, 0.98)) * grey ** np.float32(rng.uniform(0.75, 1.25))


def burn_in(
    grey: np.ndarray,
    letter: str,
    lungs: Sequence[np.ndarray],
    pose: Pose,
    rng: np.random.Generator,
) -> np.ndarray:
    """Writes a letter near an upper corner, moved outwards until it does not touch the lungs.

    Args:
        grey: float32 array (size, size) in [0, 1].
        letter: one capital letter.
        lungs: outlines of the lungs in body coordinates.
        pose: pose of the patient.
        rng: random generator of the letter's position, height and brightness.

    Returns:
        float32 array (size, size) in [0, 1].
    """
    lungs = fill(lungs, pose)
    height = round(rng.uniform(0.060, 0.085) * CANVAS)
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, height, 4)
    (width, _), _ = cv2.getTextSize(letter, cv2.FONT_HERSHEY_SIMPLEX, scale, 4)
    inset = rng.uniform(0.02, (0.11, 0.19)) * CANVAS
    on_left, brightness = rng.random() < 0.7, rng.uniform(0.92, 1.0)
    while True:
        x = int(inset[0]) if on_left else CANVAS - int(inset[0]) - width
        y = int(inset[1])
        if not lungs[y : y + height + 8, max(x - 8, 0) : x + width + 8].any() or inset.max() < 4:
            break
        inset *= 0.8
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    cv2.putText(canvas, letter, (x, y + height), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 4, cv2.LINE_AA)
    cover = to_size(canvas, len(grey)).astype(np.float32) / 255
    shadow = soften(canvas, 0.009, len(grey))
    return grey * (1 - 0.5 * shadow) * (1 - cover) + np.float32(brightness) * cover
