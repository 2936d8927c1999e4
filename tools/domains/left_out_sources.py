"""Leaves each source out in turn, with and without each part of the preset "hospitals", and prints a table.

    python tools/domains/left_out_sources.py --manifest sources.csv --out series

sources.csv is written by tools/domains/hospital_manifests.py: its classes are normal, pneumonia and COVID-19,
its splits train and val are used, and its split test is not. Each variant cross-validates the same small
network with the same seed (`semenet cross-validate --by source`), so that every image is predicted by a
network that saw no image of its source. A series that was stopped goes on where it was.

The last column has images of different sources on its two sides, predicted by different networks: weaker
evidence than the other columns, whose two sides are of one source.
"""

import dataclasses
import pathlib
import sys

import numpy as np
import pandas as pd
import tyro

from semenet.errors import SemenetError
from semenet.metrics.patient_bootstrap import classification_intervals
from semenet.metrics.resampled_metrics import resampled_classification
from semenet.training.options import DataOptions, RunOptions
from semenet.training.presets import with_preset
from semenet.training.recipe import Recipe, find_recipe

CLASSES = ("normal", "pneumonia", "COVID-19")
GROUPS = ("label", "source")
ADULTS = ("nih-chestxray14", "covid-chestxray-dataset")
COVID = ("covid-chestxray-dataset", "hannover", "covid-cxnet")
NOTHING: dict = {"lungs_box": False, "standardize": False, "acquisition": 0.0, "balance": ()}

# What each row of the table changes of the preset "hospitals".
VARIANTS: dict[str, dict] = {
    "preset": {},
    "without all four": NOTHING,
    "and group DRO": {"group_by": GROUPS, "dro_step": 0.01},
    "and source classifier within the label": {"unlearn": "source", "unlearn_within": "label"},
    "and attention to lungs": {"lung_attention_weight": 1.0},
    "without changes of acquisition": {"acquisition": 0.0},
    "without lungs' box": {"lungs_box": False},
    "without standardisation": {"standardize": False},
    "without balanced sources": {"balance": ("label",)},
    "masked lungs": {"views": ("masked",)},
}

# The columns: one class against another, and the sources that each of the two is from.
NIH, KERMANY, COLLECTION = ("nih-chestxray14",), ("kermany",), ("covid-chestxray-dataset",)
COLUMNS = {
    "pneumonia, adults (nih)": ("normal", NIH, "pneumonia", NIH),
    "pneumonia, children (kermany)": ("normal", KERMANY, "pneumonia", KERMANY),
    "COVID-19 (covid-chestxray)": ("pneumonia", COLLECTION, "COVID-19", COLLECTION),
    "COVID-19, all adults": ("pneumonia", ADULTS, "COVID-19", COVID),
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """A series of cross-validations."""

    manifest: pathlib.Path
    """Manifest with the classes normal, pneumonia and COVID-19 of several sources."""
    out: pathlib.Path
    """Folder of the series."""
    only: tuple[str, ...] = ()
    """Only variants whose name contains one of these words."""
    entry: str = "seme_resnet50"
    """Entry of the catalogue."""
    size: int = 128
    """Side of the input, in pixels."""
    width: float = 0.25
    """Share of the network's channels."""
    epochs: int = 8
    """Epochs of each fold."""
    epoch_images: int = 1280
    """Images that are drawn for each epoch."""
    seed: int = 1
    """Seed of the networks."""
    resamples: int = 2000
    """Bootstrap resamples of the patients, for the intervals."""


def main(arguments: Arguments) -> None:
    """Runs what is missing of the series, and prints the table of what there is."""
    from semenet.evaluation.cross_validation.cross_validation import cross_validate

    for name, changes in VARIANTS.items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        print(name, file=sys.stderr, flush=True)
        cross_validate(
            dataclasses.replace(base_recipe(arguments), **changes),
            arguments.manifest,
            folder_of(arguments.out, name),
            by="source",
            data=DataOptions(cache="disk", cache_folder=arguments.out / "cache"),
            options=RunOptions(tensorboard=False),
            resamples=arguments.resamples,
        )
    print(markdown(arguments.out, arguments.manifest, arguments.resamples))


def base_recipe(arguments: Arguments) -> Recipe:
    """Returns the recipe of the preset, for a small network."""
    recipe = dataclasses.replace(
        find_recipe(arguments.entry),
        classes=CLASSES,
        input_size=arguments.size,
        width=arguments.width,
        epochs=arguments.epochs,
        seed=arguments.seed,
    )
    return dataclasses.replace(with_preset(recipe, "hospitals"), epoch_images=arguments.epoch_images)


def folder_of(out: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the folder of a variant."""
    return out / name.replace(" ", "_").replace("'", "")


def compare(
    rows: pd.DataFrame,
    first: str,
    first_sources: tuple[str, ...],
    second: str,
    second_sources: tuple[str, ...],
    resamples: int = 2000,
) -> tuple[float, list[float] | None, tuple[int, int]]:
    """Computes the AUROC of one class against another, with its interval over patients.

    Args:
        rows: predictions of held-out images, with the columns label, source, patient and one for each class.
        first: a class.
        first_sources: the sources of its images.
        second: the class that should score higher.
        second_sources: the sources of its images.
        resamples: number of bootstrap resamples of the patients.

    Returns:
        the AUROC of the second class's share of both probabilities, its interval, and the numbers of images.

    Raises:
        SemenetError: a class has no image there.
    """
    sides = [
        rows[(rows["label"] == label) & rows["source"].isin(sources)]
        for label, sources in ((first, first_sources), (second, second_sources))
    ]
    for side, label, sources in zip(sides, (first, second), (first_sources, second_sources), strict=True):
        if side.empty:
            raise SemenetError(
                f"A comparison needs images of both classes. Received: none of {label} from "
                f"{', '.join(sources)}. Use the manifest of tools/domains/hospital_manifests.py."
            )
    both = pd.concat(sides)
    score = (both[second] / (both[first] + both[second]).clip(lower=1e-12)).to_numpy()
    truth = np.repeat([0, 1], [len(side) for side in sides])
    arrays = truth, np.stack([1 - score, score], axis=1), ("first", "second")
    key = "per_class.second.auroc"
    value = resampled_classification(*arrays, np.ones((1, len(score))))[key][0]
    interval = classification_intervals(*arrays, both["patient"].to_numpy(), resamples)[key]
    return float(value), interval, (len(sides[0]), len(sides[1]))


def markdown(out: pathlib.Path, manifest: pathlib.Path, resamples: int) -> str:
    """Returns the table of the finished variants.

    Raises:
        SemenetError: no variant is finished.
    """
    counts = dict.fromkeys(COLUMNS, "")
    lines = []
    for name in VARIANTS:
        folder = folder_of(out, name)
        if not (folder / "metrics.json").exists():
            continue
        rows = with_sources(folder, manifest)
        cells = []
        for column, (first, first_sources, second, second_sources) in COLUMNS.items():
            value, interval, images = compare(rows, first, first_sources, second, second_sources, resamples)
            limits = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
            cells.append(f"{value:.3f}{limits}")
            counts[column] = f"{images[1]} against {images[0]}"
        lines.append([name, *cells])
    if not lines:
        raise SemenetError(f"A table needs a finished variant. Received: {out}, which has none.")
    head = [["", *COLUMNS], ["---"] * (len(COLUMNS) + 1), ["images", *counts.values()]]
    return "".join(f"| {' | '.join(line)} |\n" for line in head + lines)


def with_sources(folder: pathlib.Path, manifest: pathlib.Path) -> pd.DataFrame:
    """Returns a series' predictions of held-out images, with the source of each."""
    rows = pd.read_csv(folder / "predictions.csv", dtype={"patient": str})
    sources = pd.read_csv(manifest, dtype=str, keep_default_na=False)[["file", "source"]]
    return rows.drop(columns="source", errors="ignore").merge(sources, on="file", validate="one_to_one")


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
