"""Trains the network of the input gate, semenet/inference/input_gate.npz.

Usage: python tools/input_gate/train.py --frontal CSV [CSV ...] --others FOLDER
           --out semenet/inference/input_gate.npz [--licenses NAME ...] [--held-out N] [--without KIND ...]

The frontal radiographs are the train rows of manifests whose `license` begins with one of --licenses, so that
the weights can be distributed with the code. Images of small manifests are sampled more often. Phantoms are
added to them, so that the network does not learn that what is drawn is not a radiograph. The others are any
pictures that are not radiographs (photographs, drawings, diagrams) in FOLDER and its sub-folders; unreadable
files are skipped. Radiographs of other parts of the body, sections and lateral views are drawn, see
body_parts.py, sections.py and `semenet.data.phantom.lateral`; pieces and rearrangements of the frontal
radiographs are added, see samples.py. With --held-out 7 a seventh of the patients is not used, and with
--without some kinds of drawings are not, so that the gate can be measured on them. With --not-frontal, the
train rows of a manifest with the labels `lateral` and `ct` are added to the drawn ones; the weights then have
the licence of those images. tools/input_gate/measure.py measures the result.

The weights in this project were trained on the images that this command draws, in 100 seconds of one core:

    python tools/input_gate/train.py --frontal nih/manifest.csv hannover/manifest.csv articles/manifest.csv
        dataset2/manifest.csv dataset1_hires/manifest.csv dataset1/manifest.csv --others pictures
        --held-out 7 --without skull pelvis breast "CT or MR, head" "CT, axial, abdomen"
        --out semenet/inference/input_gate.npz

from radiographs of ChestX-ray14 (no restriction), Hannover (CC BY 3.0), open articles (CC BY 4.0),
covid-chestxray-dataset (51 under CC BY) and Kermany (CC BY 4.0), and the pictures in Debian's packages of the
OpenCV 4.6 documentation and the Tux Paint 2022.06.04 stamps.
"""

import os
import pathlib
import random
import zlib

import cv2
import numpy as np
import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf
from samples import Pools, draw_sample, drawn_body_parts, drawn_laterals, drawn_sections

from semenet.cli.recipe import report_errors
from semenet.data.manifest.table import read_manifest
from semenet.data.phantom.frontal import draw_radiograph
from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.inference.input_gate import GATE_CLASSES, SIDE, standardize
from semenet.progress import track
from semenet.storage.atomic import replacing

FREE = ("CC BY 3.0", "CC BY 4.0", "CC0", "NIH Clinical Center")
PICTURES = ("png", "jpg", "jpeg", "gif", "bmp")
_WORK_SIDE = 128
_SHARES = (0.42, 0.08, 0.09, 0.11, 0.30)
_FILTERS = (12, 24, 48, 64)
_LATERALS = 420
_OF_EACH_KIND = 90
# Radiographs of a smaller manifest are repeated to about as many; of a larger one than _MANY rows, every
# fourth is read.
_OF_EACH = 600
_MANY = 2000
_PICTURES = 1600
_PHANTOMS = 300
# tools/input_gate/measure.py and the tests draw other seeds.
_FIRST_PHANTOM = 20_000


def main(
    frontal: tuple[pathlib.Path, ...],
    others: pathlib.Path,
    out: pathlib.Path,
    not_frontal: pathlib.Path | None = None,
    licenses: tuple[str, ...] = FREE,
    held_out: int | None = None,
    without: tuple[str, ...] = (),
    drawn: int = _OF_EACH_KIND,
    images: int = 12000,
    epochs: int = 7,
    seed: int = 7,
) -> None:
    """Trains the network and writes its weights.

    Args:
        frontal: Manifests of frontal radiographs, with the column license. An image of several manifests is
            read from the last.
        others: Folder of pictures that are not radiographs.
        out: File .npz to write.
        not_frontal: Manifest of lateral views and CT, with the labels lateral and ct.
        licenses: Prefixes of the licences whose radiographs may be used.
        held_out: N to leave out the patients of whose name the CRC-32 is a multiple of N.
        without: Kinds of body parts and sections that are not used.
        drawn: Number of images of each of these kinds to draw.
        images: Number of images to generate from all of these.
        epochs: Number of epochs.
        seed: The same seed generates the same images.
    """
    # With several threads the weights would depend on the number of cores.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rng = np.random.default_rng(seed)
    radiographs = frontal_radiographs(frontal, licenses, held_out)
    lateral = drawn_laterals(_LATERALS, rng)
    body_part, section = drawn_body_parts(drawn, rng, without), drawn_sections(drawn, rng, without)
    pools = Pools(
        frontal=radiographs,
        lateral=_with_real(lateral, not_frontal, "lateral"),
        section=_with_real(section, not_frontal, "ct"),
        body_part=body_part,
        picture=other_pictures(others),
    )
    print(f"{len(radiographs)} frontal radiographs, including repetitions; {len(pools.picture)} pictures")
    labels = rng.choice(len(GATE_CLASSES), images, p=_SHARES)
    samples = np.empty((images, SIDE, SIDE, 1), "uint8")
    for place, label in enumerate(track(labels, images, "Drawing", size=lambda label: 1)):
        samples[place] = prepare_image(draw_sample(GATE_CLASSES[label], pools, rng), (SIDE, SIDE))
    keras.utils.set_random_seed(seed)
    network = _network()
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, epochs * -(-images // 64))
    network.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.02),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    values = np.asarray(standardize(samples.astype("float32")))
    network.fit(values, labels, batch_size=64, epochs=epochs, verbose=2)
    weights = {}
    for layer in network.layers:
        for variable in layer.weights:
            weights[f"{layer.name}_{variable.name}"] = np.float16(variable.numpy())
    about = f"tools/input_gate/train.py; radiographs under {', '.join(licenses)}"
    if not_frontal is not None:
        real = sorted(set(read_manifest(not_frontal).split("train")["license"]))
        about += f"; lateral views and CT under {', '.join(real)}"
    with replacing(out) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, about=about, **weights)
    print(f"{out}: {network.count_params():,} weights")


def frontal_radiographs(
    manifests: tuple[pathlib.Path, ...], licenses: tuple[str, ...], held_out: int | None
) -> np.ndarray:
    """Reads the train images of manifests, and appends phantoms."""
    chosen = [_files(path, licenses, held_out) for path in manifests]
    pool = []
    for number, (manifest, files) in enumerate(zip(manifests, chosen, strict=True)):
        later = {file for some in chosen[number + 1 :] for file in some}
        images = np.stack([_read(file) for file in files if file not in later])
        pool.append(np.tile(images, (max(1, _OF_EACH // len(images)), 1, 1)))
        print(f"{manifest}: {len(images)} radiographs")
    phantoms = [
        draw_radiograph(
            ("normal", "bacteria", "virus", "COVID-19")[number % 4],
            size=_WORK_SIDE,
            seed=_FIRST_PHANTOM + number,
        ).image
        for number in range(_PHANTOMS)
    ]
    return np.concatenate([*pool, phantoms])


def other_pictures(folder: pathlib.Path) -> np.ndarray:
    """Reads up to `_PICTURES` pictures below a folder, chosen at random."""
    files = sorted(file for kind in PICTURES for file in folder.rglob(f"*.{kind}"))
    random.Random(0).shuffle(files)
    pictures = []
    for file in files:
        picture = _read(file)
        if picture is not None:
            pictures.append(picture)
        if len(pictures) == _PICTURES:
            break
    return np.stack(pictures)


def _network() -> keras.Model:
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
        keras.layers.Dropout(0.2),
        keras.layers.Dense(len(GATE_CLASSES), activation="softmax", name="head"),
    ]
    return keras.Sequential(layers)


def _files(manifest: pathlib.Path, licenses: tuple[str, ...], held_out: int | None) -> list[str]:
    table = read_manifest(manifest)
    rows = table.rows
    if len(rows) > _MANY:
        rows = rows.iloc[::4]
    rows = rows[(rows["split"] == "train") & rows["license"].str.startswith(licenses)]
    if rows.empty:
        raise SemenetError(
            f"A manifest must have train rows under {', '.join(licenses)}. Received: {manifest}, which has "
            "none. Set other --licenses."
        )
    if held_out is not None:
        rows = rows[[zlib.crc32(str(patient).encode()) % held_out > 0 for patient in rows["patient"]]]
    return list(rows["path"])


def _with_real(drawn: np.ndarray, manifest: pathlib.Path | None, label: str) -> np.ndarray:
    """Adds the train images of a label, repeated to as many as were drawn."""
    if manifest is None:
        return drawn
    rows = read_manifest(manifest).split("train")
    real = np.stack([_read(file) for file in rows.loc[rows["label"] == label, "path"]])
    return np.concatenate([drawn, np.tile(real, (max(1, len(drawn) // len(real)), 1, 1))])


def _read(file: str | pathlib.Path) -> np.ndarray | None:
    """Reads a picture in grey, uint8 `(_WORK_SIDE, _WORK_SIDE)`; None if it is damaged or tiny."""
    image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if image is None or min(image.shape) < 32:
        return None
    return cv2.resize(image, (_WORK_SIDE, _WORK_SIDE), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    with report_errors():
        tyro.cli(main, description=__doc__)
