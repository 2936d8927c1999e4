"""Grey images for tests of transforms, from noise to a single grey level."""

import cv2
import numpy as np


def textures(height, width):
    """Returns uint8 arrays (height, width) by name, the same in every call."""
    generator = np.random.default_rng(height * 1000 + width)
    smooth = cv2.GaussianBlur(generator.normal(size=(height, width)), (0, 0), 9)
    span = max(np.ptp(smooth), 1e-9)
    return {
        "noise": generator.integers(0, 256, (height, width), dtype=np.uint8),
        "smooth": ((smooth - smooth.min()) / span * 255).astype(np.uint8),
        "ramp": np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8), (height, width)),
        "flat": np.full((height, width), 77, np.uint8),
        "two_levels": (generator.random((height, width)) > 0.5).astype(np.uint8) * 255,
    }


def triangle_weights(old, new, widens):
    """Returns the weights of a triangle filter with half-pixel centres in float64: (new, old)."""
    scale = old / new
    reach = max(scale, 1.0) if widens else 1.0
    centre = (np.arange(new)[:, np.newaxis] + 0.5) * scale - 0.5
    if not widens:
        # The first and last pixel are repeated beyond the border.
        centre = np.clip(centre, 0, old - 1)
    weights = np.maximum(0, 1 - np.abs(np.arange(old) - centre) / reach)
    return weights / weights.sum(axis=1, keepdims=True)
