"""Measures the input gate: the share of each image set that each code rejects.

Usage: python tools/input_gate/measure.py NAME=CSV|FOLDER ... [--split val] [--out FILE.csv]

For a manifest (CSV), the images of --split are used; for a folder, all readable files, and the number of
unreadable files is printed. With --turned, inverted and rotated copies of each set are measured too.
--phantoms N and --laterals N generate N synthetic images, --drawn N that many of each kind of body part and
section that tools/input_gate/train.py draws, with other seeds. --by-label measures each label of a manifest
alone, such as `lateral` and `ct`.
"""

import os
import pathlib
import sys

import numpy as np
import pandas as pd
import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from body_parts import BODY_PARTS
from samples import body_part_film
from sections import SECTIONS, draw_section

from semenet.cli.recipe import report_errors
from semenet.data.images.colour import is_coloured
from semenet.data.images.contents import read_contents
from semenet.data.images.errors import ImageError
from semenet.data.images.listing import list_images
from semenet.data.images.reading import read_image
from semenet.data.manifest.table import read_manifest
from semenet.data.phantom.frontal import draw_radiograph
from semenet.data.phantom.lateral import draw_lateral_radiograph
from semenet.inference.input_gate import CODES, gate_graph, gate_input
from semenet.progress import track

# tools/input_gate/train.py draws with another seed.
_SEED = 99
LABELS = ("normal", "bacteria", "virus", "COVID-19")
_VARIANTS = {
    "inverted": lambda image: 255 - image,
    "rotated by 90": lambda image: np.rot90(image, 1),
    "rotated by 180": lambda image: np.rot90(image, 2),
    "rotated by 270": lambda image: np.rot90(image, 3),
}


def main(
    sets: tyro.conf.Positional[tuple[str, ...]] = (),
    split: str = "val",
    turned: bool = False,
    phantoms: int = 0,
    laterals: int = 0,
    drawn: int = 0,
    by_label: bool = False,
    out: pathlib.Path | None = None,
) -> None:
    """Prints one line for each set.

    Args:
        sets: NAME=CSV or NAME=FOLDER.
        split: Split of a manifest.
        turned: Whether to measure inverted and rotated copies of each set.
        phantoms: Number of frontal phantoms to generate, of 96 to 512 pixels.
        laterals: Number of lateral phantoms to generate.
        drawn: Number of images to draw of each kind of body part and section.
        by_label: Whether to measure each label of a manifest alone.
        out: CSV to write.
    """
    gate = gate_graph()
    lines = []

    def measure(name, images):
        thumbnails, facts = zip(*(gate_input(image, coloured) for image, coloured in images), strict=True)
        found = np.asarray(gate(np.stack(thumbnails), np.stack(facts)))
        shares = dict(zip(CODES, found.mean(axis=0).round(4), strict=True))
        lines.append(
            {"set": name, "images": len(found), "accepted": round(1 - found.any(axis=1).mean(), 4)} | shares
        )
        print(pd.DataFrame(lines[-1:]).to_csv(index=False, header=len(lines) == 1), end="", flush=True)

    for named in sets:
        name, _, path = named.partition("=")
        images = _read(pathlib.Path(path), split, by_label)
        for label, some in images.items():
            measure(f"{name}, {label}" if label else name, some)
        images = [image for some in images.values() for image in some]
        if turned:
            for variant, change in _VARIANTS.items():
                changed = [(np.ascontiguousarray(change(image)), coloured) for image, coloured in images]
                measure(f"{name}, {variant}", changed)
    if phantoms:
        sizes = (96, 128, 256, 512)
        found = [
            draw_radiograph(LABELS[seed % 4], size=sizes[seed // 4 % 4], seed=seed).image
            for seed in range(phantoms)
        ]
        measure("frontal phantoms", [(image, False) for image in found])
    if laterals:
        # Seeds that tools/input_gate/train.py does not use.
        found = [draw_lateral_radiograph(size=256, seed=10_000 + seed) for seed in range(laterals)]
        measure("lateral phantoms", [(image, False) for image in found])
    if drawn:
        rng = np.random.default_rng(_SEED)
        for kinds, draw in ((BODY_PARTS, body_part_film), (SECTIONS, draw_section)):
            for kind in kinds:
                measure(f"drawn: {kind}", [(draw(kind, rng), False) for _ in range(drawn)])
    if out is not None:
        pd.DataFrame(lines).to_csv(out, index=False)


def _read(path, split, by_label):
    """Returns the images of a manifest's split or of a folder, each with whether it is coloured.

    They are lists in a dict by label; the only key is "" for a folder and without `by_label`.
    """
    if path.is_dir():
        return {"": _read_files(list_images([path]), path, skip=True)}
    rows = read_manifest(path).split(split)
    groups = rows.groupby("label") if by_label else [("", rows)]
    return {label: _read_files(pd.unique(group["path"]), path) for label, group in groups}


def _read_files(files, path, skip=False):
    images, unread = [], 0
    for file in track(files, len(files), f"Reading {path}", size=lambda file: 1):
        try:
            contents = read_contents(file)
            images.append((read_image(contents, name=str(file)), is_coloured(contents, str(file))))
        except ImageError:
            if not skip:
                raise
            unread += 1
    if unread:
        print(f"{unread} files below {path} could not be read", file=sys.stderr)
    return images


if __name__ == "__main__":
    with report_errors():
        tyro.cli(main, description=__doc__)
