"""Compares input sizes (the paper's figure 4): the same network, epochs and seeds at two sizes.

Usage: python tools/paper/input_sizes.py --manifest dataset1_hires/manifest.csv --out FOLDER
           [--sizes 224 512] [--seeds 0 1 2] [--entry seme_resnet50] [recipe options, such as --epochs 20]

The image files must be as large as the larger size: use dataset1_hires, not dataset1. The files of dataset1
have 224 pixels, so a 512-pixel network would see them enlarged, without additional detail. The tool checks
100 files and stops if most of them are smaller than the largest size.

Prints, and writes to FOLDER/input_size.md and .csv, accuracy, macro F1 and macro AUROC on --split for each
size and seed, mean ± sd, and the difference of each size to the first one: on the same images, the mean over
the seeds, with a 95 % bootstrap interval over patients. The interval shows the variation over patients, the
sd the variation over seeds. Run the same command again to resume: finished runs are skipped.
"""

import dataclasses
import os
import pathlib
import sys
from typing import Annotated

import pandas as pd
import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import seeded_runs
from paired import FIGURES, paired_difference

from semenet.cli.recipe import report_errors
from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.drawing.pages import mean_sd
from semenet.storage.atomic import output_folder, write_text
from semenet.training.options import DataOptions
from semenet.training.recipe import find_recipe


def main(
    manifest: pathlib.Path,
    out: pathlib.Path,
    sizes: tuple[int, ...] = (224, 512),
    seeds: tuple[int, ...] = (0, 1, 2),
    entry: str = "seme_resnet50",
    split: str = "val",
    resamples: int = 1000,
    data: Annotated[DataOptions, tyro.conf.arg(name="")] = DataOptions(),
) -> tuple:
    """Reads the tool's own options.

    Args:
        manifest: CSV of radiographs as large as the largest size.
        out: Folder of the runs and tables.
        sizes: Heights and widths in pixels. The others are compared with the first.
        seeds: Each size is trained once with each of these seeds.
        entry: Name of a recipe of a network with a GAP head. (A flatten head grows with the input.)
        split: Split to evaluate.
        resamples: Number of bootstrap draws of patients.
        data: Data options of the runs.
    """
    return manifest, out, sizes, seeds, entry, split, resamples, data


def check_files(path, largest):
    """Checks a sample of the manifest's files, and prints how many are smaller than the largest size.

    Raises:
        SemenetError: most of them are smaller.
    """
    import cv2

    rows = read_manifest(path).rows
    files = rows["path"].sample(min(len(rows), 100), random_state=0)
    images = [cv2.imread(file, cv2.IMREAD_GRAYSCALE) for file in files]
    if all(image is None for image in images):
        raise SemenetError(
            f"The tool checks PNG, JPEG, TIFF and BMP files. Received: {path}, which has none that can be "
            "read. Convert the files, or check the paths."
        )
    small = sum(min(image.shape) < largest for image in images if image is not None)
    read = sum(image is not None for image in images)
    if small > read / 2:
        raise SemenetError(
            f"Most images must have {largest} pixels or more on each side, or a larger input adds nothing. "
            f"Received: {path}, where {small} of {read} are smaller. Use other images, or smaller --sizes."
        )
    print(f"{small} of {read} checked images have a side of less than {largest} pixels.", file=sys.stderr)


def tabulate(series, resamples):
    """Returns the comparison as text and as numbers.

    Args:
        series: dict from size to list of `Result`. The others are compared with the first size.
        resamples: int.

    Returns:
        (DataFrame of text, one row for each size and metric; DataFrame of numbers, one row for each size and
        seed).
    """
    first = next(iter(series))
    lines, numbers = [], []
    for size, results in series.items():
        for result in results:
            numbers.append(
                {"size": size, "seed": result.seed}
                | {figure: result.figures[figure] for figure in FIGURES}
                | {"seconds": result.seconds}
            )
        for figure in FIGURES:
            line = {"Input": size, "Metric": figure, "n": len(results)}
            line["Mean ± sd"] = mean_sd([result.figures[figure] for result in results], 4)
            line["By seed"] = ", ".join(
                "undefined" if result.figures[figure] is None else f"{result.figures[figure]:.4f}"
                for result in results
            )
            line[f"Over {first} (95 % interval)"] = "-"
            if size != first:
                predictions = [[result.predictions for result in series[side]] for side in (first, size)]
                change, low, high, undefined = paired_difference(*predictions, figure, resamples)
                text = "undefined" if change is None else f"{change:+.4f} ({low:+.4f} to {high:+.4f})"
                line[f"Over {first} (95 % interval)"] = text + (
                    f", {undefined} draws undefined" if undefined else ""
                )
            line["Training, s"] = mean_sd([result.seconds for result in results], 0)
            lines.append(line)
    return pd.DataFrame(lines), pd.DataFrame(numbers)


if __name__ == "__main__":
    (manifest, out, sizes, seeds, entry, split, resamples, data), overrides = tyro.cli(
        main, description=__doc__, return_unknown_args=True
    )
    with report_errors():
        if len(set(sizes)) < 2 or any(option.startswith("--input-size") for option in overrides):
            raise SemenetError(
                f"The tool compares at least two sizes. Received: {sizes}. Give two or more --sizes."
            )
        recipe = seeded_runs.with_overrides(find_recipe(entry), overrides, "input_sizes.py")
        read_manifest(manifest).split(split)
        check_files(manifest, max(sizes))
        output_folder(out)
        series = {}
        for size in sizes:
            series[size] = seeded_runs.run_series(
                dataclasses.replace(recipe, input_size=size),
                seeds,
                name=f"{entry}_{size}",
                out=out,
                manifest=manifest,
                split=split,
                data=data,
            )
        text, numbers = tabulate(series, resamples)
        options = " ".join(overrides) or "none"
        page = (
            f"# {entry}: input sizes {', '.join(map(str, sizes))}\n\n"
            f"{recipe.epochs} epochs each, split `{split}` of `{manifest}`, seeds "
            f"{', '.join(map(str, seeds))}; recipe options: {options}. "
            f"Interval: {resamples} draws of patients.\n\n"
        )
        write_text(out / "input_size.md", page + seeded_runs.markdown(text))
        write_text(out / "input_size.csv", numbers.to_csv(index=False))
        print(page + text.to_string(index=False))
