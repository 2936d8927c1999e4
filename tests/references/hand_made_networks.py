"""Networks with simple weights, whose outputs can be calculated by hand."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from semenet.models.layers.heads import ClassifierHead, SegmentationHead
from semenet.serving.cascade.cascade import Cascade
from semenet.storage.hashing import file_sha256
from semenet.training.run_folder.file_names import calibration_file


def threshold_unet(
    path: pathlib.Path, size: tuple[int, int] = (64, 64), darkest: bool = True
) -> pathlib.Path:
    """Writes a "U-Net" that segments pixels darker (or brighter) than grey level 100."""
    x = keras.Input((*size, 1))
    head = SegmentationHead(("lung",), activation="sigmoid", name="head")
    model = keras.Model(x, head(x), name="unet")
    slope = -1.0 if darkest else 1.0
    head.set_weights([np.full((1, 1, 1, 1), slope), np.array([-slope * 100.0])])
    model.save(path)
    return path


def brightness_network(
    path: pathlib.Path,
    classes: Sequence[str],
    slopes: Sequence[float],
    size: tuple[int, int] = (48, 40),
    alone: bool = False,
    clahe: bool = False,
) -> pathlib.Path:
    """Writes a classifier whose logits are the image's mean grey level times a slope for each class."""
    x = keras.Input((*size, 1))
    features = keras.layers.Identity(name="features")(x)
    pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(features)
    head = ClassifierHead(classes, lungs_alone=alone, activation="softmax", name="head")
    head.inference_clahe = clahe
    model = keras.Model(x, head(pooled), name="brightness")
    head.set_weights([np.array([slopes], "float32"), np.zeros(len(classes), "float32")])
    model.save(path)
    return path


def calibrate_by_hand(path: pathlib.Path, temperature: float, abstain: dict[str, Any] | None = None) -> None:
    """Writes the calibration of a `.keras` file, like `semenet calibrate`."""
    calibration = {
        "temperature": temperature,
        "split": "val",
        "count": 9,
        "manifest_sha256": "0" * 64,
        "operating_points": {},
        "abstain": abstain,
        "model_sha256": file_sha256(path),
    }
    calibration_file(path).write_text(json.dumps(calibration))


def chest_image(size: tuple[int, int] = (96, 128), seed: int | None = None) -> np.ndarray:
    """Draws a bright image with two darker rectangles, which `threshold_unet` takes for lungs.

    Args:
        size: (height, width) in pixels.
        seed: seed of a texture; None for flat grey levels.
    """
    height, width = size
    image = np.full(size, 200, "uint8")
    rows = slice(height // 4, 3 * height // 4)
    image[rows, width // 6 : 2 * width // 5] = 40
    image[rows, 3 * width // 5 : 5 * width // 6] = 60
    if seed is not None:
        image += np.random.default_rng(seed).integers(0, 30, size, np.uint8)
    return image


def viewed_classifier(
    path: pathlib.Path,
    classes: Sequence[str],
    size: tuple[int, int],
    channels: int = 1,
    **settings: Any,
) -> pathlib.Path:
    """Writes a classifier of one random convolution whose head has settings such as `lungs_box`."""
    x = keras.Input((*size, channels))
    features = keras.layers.Rescaling(1 / 255)(x)
    features = keras.layers.Conv2D(8, 5, strides=4, padding="same", activation="relu")(features)
    features = keras.layers.Identity(name="features")(features)
    pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(features)
    head = ClassifierHead(classes, activation="softmax", name="head", **settings)
    model = keras.Model(x, head(pooled), name="one_convolution")
    model.save(path)
    return path


def hand_made_cascade(folder: pathlib.Path) -> pathlib.Path:
    """Writes a cascade without an input gate, whose decisions depend on grey levels; returns its folder."""
    networks = (
        brightness_network(folder / "one.keras", ("normal", "bacteria", "virus"), [0.0, 0.01, 0.02]),
        threshold_unet(folder / "unet.keras"),
        brightness_network(folder / "two.keras", ("other_viral", "COVID-19"), [0.0, 0.05]),
    )
    return Cascade(*networks, gated=False).save(folder / "cascade")
