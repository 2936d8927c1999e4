"""Trains the network of the input gate, semenet/inference/input_gate.npz.

Usage: python tools/input_gate/train.py --frontal CSV [CSV ...] --others FOLDER
           --out semenet/inference/input_gate.npz [--licenses NAME ...]

The frontal radiographs are the train rows of manifests whose `license` begins with one of --licenses, so that
the weights can be distributed with the code. Images of small manifests are sampled more often. The others are
any pictures that are not radiographs (photographs, drawings, diagrams) in FOLDER and its sub-folders;
unreadable files are skipped. Each sample has a random position, exposure and frame. Frontal ones also have
random patches, similar to devices and disease. The lateral images come from `semenet.data.phantom.lateral`.
tools/input_gate/measure.py measures the result.

The file in this project was made with this command, in 4 minutes on two cores:

    python tools/input_gate/train.py --frontal dataset1/manifest.csv dataset1_hires/manifest.csv
        dataset2/manifest.csv --others pictures --out semenet/inference/input_gate.npz

from Kermany's radiographs (CC BY 4.0), 56 radiographs of covid-chestxray-dataset (CC BY), and the pictures in
Debian's packages of the OpenCV 4.6 documentation and the Tux Paint 2022.06.04 stamps.
"""

import os
import pathlib
import sys

import cv2
import numpy as np
import pandas as pd
import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

from semenet.cli.recipe import report_errors
from semenet.data.images.errors import ImageError
from semenet.data.images.listing import list_images
from semenet.data.images.reading import read_image
from semenet.data.manifest.table import read_manifest
from semenet.data.phantom.lateral import draw_lateral_radiograph
from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.inference.input_gate import GATE_CLASSES, SIDE, standardize
from semenet.progress import track
from semenet.storage.atomic import replacing

FREE = ("CC BY 3.0", "CC BY 4.0", "CC0")
_WORK_SIDE = 256
_SHARES = (0.45, 0.10, 0.10, 0.10, 0.25)
_FILTERS = (12, 24, 32, 48)
_LATERALS = 800
_OF_EACH = 600


def main(
    frontal: tuple[pathlib.Path, ...],
    others: pathlib.Path,
    out: pathlib.Path,
    licenses: tuple[str, ...] = FREE,
    images: int = 24000,
    epochs: int = 10,
    seed: int = 7,
) -> None:
    """Trains the network and writes its weights.

    Args:
        frontal: Manifests of frontal radiographs, with the column license.
        others: Folder of pictures that are not radiographs.
        out: File .npz to write.
        licenses: Prefixes of the licences whose radiographs may be used.
        images: Number of images to generate.
        epochs: Number of epochs.
        seed: The same seed generates the same images.
    """
    rng = np.random.default_rng(seed)
    radiographs = np.concatenate([_radiographs(manifest, licenses, rng) for manifest in frontal])
    pictures = _read(list_images([others]), "Reading pictures", skip=True)
    laterals = np.stack(
        [draw_lateral_radiograph(size=_WORK_SIDE, seed=number) for number in range(_LATERALS)]
    )
    print(f"{len(radiographs)} frontal radiographs, including repetitions; {len(pictures)} other pictures")
    labels = rng.choice(len(GATE_CLASSES), images, p=_SHARES)
    drawn = np.empty((images, SIDE, SIDE, 1), "uint8")
    for place, label in enumerate(track(labels, images, "Drawing", size=lambda label: 1)):
        drawn[place] = prepare_image(
            _draw(GATE_CLASSES[label], radiographs, laterals, pictures, rng), (SIDE, SIDE)
        )
    keras.utils.set_random_seed(seed)
    network = _network()
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, epochs * -(-images // 64))
    network.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.02),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    values = np.asarray(standardize(drawn.astype("float32")))
    network.fit(values, labels, batch_size=64, epochs=epochs, verbose=2)
    weights = {}
    for layer in network.layers:
        for variable in layer.weights:
            weights[f"{layer.name}_{variable.name}"] = np.float16(variable.numpy())
    about = f"tools/input_gate/train.py; radiographs under {', '.join(licenses)}"
    with replacing(out) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, about=about, **weights)
    print(f"{out}: {network.count_params():,} weights")


def _network():
    layers = [keras.Input((SIDE, SIDE, 1))]
    for number, filters in enumerate(_FILTERS, start=1):
        layers.append(
            keras.layers.Conv2D(
                filters, 3, strides=2, padding="same", activation="relu", name=f"conv{number}"
            )
        )
    layers += [
        keras.layers.AveragePooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(len(GATE_CLASSES), activation="softmax", name="head"),
    ]
    return keras.Sequential(layers)


def _radiographs(manifest, licenses, rng):
    rows = read_manifest(manifest).split("train")
    rows = rows[rows["license"].str.startswith(licenses)]
    if rows.empty:
        raise SemenetError(
            f"A manifest must have train rows under {', '.join(licenses)}. Received: {manifest}, which has "
            "none. Set other --licenses."
        )
    files = pd.unique(rows["path"])
    repeated = max(1, _OF_EACH // len(files))
    return np.tile(_read(files, f"Reading {manifest.parent.name}"), (repeated, 1, 1))


def _read(files, task, skip=False):
    read = []
    for file in track(files, len(files), task, size=lambda file: 1):
        try:
            image = read_image(file)
        except ImageError as error:
            if not skip:
                raise
            print(error, file=sys.stderr)
            continue
        if min(image.shape) >= 32:
            read.append(prepare_image(image, (_WORK_SIDE, _WORK_SIDE))[..., 0])
    return np.stack(read)


def _draw(label, radiographs, laterals, pictures, rng):
    if label == "not_a_radiograph":
        return _picture(pictures, rng)
    if label == "lateral":
        return _random_exposure(_random_position(laterals[rng.integers(len(laterals))], rng), rng)
    frontal = _random_exposure(_random_position(radiographs[rng.integers(len(radiographs))], rng), rng)
    if label == "inverted":
        return 255 - frontal
    if label == "turned":
        return np.ascontiguousarray(np.rot90(frontal, rng.integers(1, 4)))
    return frontal


def _random_position(image, rng):
    side = len(image)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-8, 8), rng.uniform(0.75, 1.2))
    stretch = rng.uniform(0.85, 1.18)
    matrix[0] *= stretch
    matrix[0, 2] += (1 - stretch) * side / 2
    matrix[:, 2] += rng.uniform(-0.1, 0.1, 2) * side
    border = rng.choice([cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE])
    filled = float(rng.choice([0, 0, 0, 255]))
    return cv2.warpAffine(image, matrix, (side, side), borderMode=int(border), borderValue=filled)


def _random_exposure(image, rng):
    """Changes the exposure and adds bright or dark patches, blur, noise and frames."""
    grey = (image / 255.0) ** rng.uniform(0.5, 2.0)
    grey = grey * rng.uniform(0.4, 1) + rng.uniform(0, 0.3)
    side = len(image)
    down, across = np.mgrid[0:side, 0:side] / side
    for _ in range(rng.integers(0, 4)):
        (x, y), (width, height) = rng.uniform(0, 1, 2), rng.uniform(0.05, 0.25, 2)
        patch = np.exp(-(((across - x) / width) ** 2) - ((down - y) / height) ** 2)
        grey += rng.uniform(-0.15, 0.35) * patch
    if rng.random() < 0.25:
        frame, level, where = int(rng.integers(4, 28)), float(rng.choice([0, 0, 1])), rng.integers(4)
        if where & 1:
            grey[:, :frame] = grey[:, -frame:] = level
        if where & 2:
            grey[:frame] = grey[-frame:] = level
    if rng.random() < 0.3:
        grey += rng.normal(0, rng.uniform(0, 0.06), grey.shape)
    if rng.random() < 0.2:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.5, 4))
    return np.uint8(np.clip(grey, 0, 1) * 255)


def _picture(pictures, rng):
    """Returns a crop of a picture, random clouds, or shapes and letters."""
    kind = rng.random()
    if kind < 0.65:
        image = pictures[rng.integers(len(pictures))]
        side = rng.integers(96, _WORK_SIDE + 1)
        top, left = rng.integers(0, _WORK_SIDE + 1 - side, 2)
        image = np.rot90(image[top : top + side, left : left + side], rng.integers(4))
        return np.ascontiguousarray(255 - image if rng.random() < 0.3 else image)
    shape = (_WORK_SIDE, _WORK_SIDE)
    if kind < 0.8:
        clouds = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), np.exp(rng.uniform(0, 4)))
        return np.uint8(cv2.normalize(clouds, None, 0, 255, cv2.NORM_MINMAX))
    image = np.full(shape, rng.integers(256), "uint8")
    for _ in range(rng.integers(0, 14)):
        level, (x, y, width, height) = int(rng.integers(256)), (int(v) for v in rng.integers(4, 256, 4))
        match rng.integers(4):
            case 0:
                cv2.rectangle(image, (x, y), (width, height), level, -1)
            case 1:
                angle = float(rng.uniform(0, 180))
                cv2.ellipse(image, (x, y), (width // 2, height // 2), angle, 0, 360, level, -1)
            case 2:
                cv2.line(image, (x, y), (width, height), level, int(rng.integers(1, 9)))
            case _:
                text = "Report 12 mm"[: rng.integers(2, 12)]
                cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.4, 2), level, 2)
    return image


if __name__ == "__main__":
    with report_errors():
        tyro.cli(main, description=__doc__)
