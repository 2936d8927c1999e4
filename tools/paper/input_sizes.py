"""Compares input sizes, the claim of the paper's figure 4: same network, same epochs, same seeds, two sizes.

Usage: python tools/paper/input_sizes.py --manifest dataset1_hires/manifest.csv --out FOLDER
           [--sizes 224 512] [--seeds 0 1 2] [--entry seme_resnet50] [recipe options, such as --epochs 20]

Give it radiographs whose files are as large as the larger size: dataset1_hires, not dataset1. The latter's
files are 224 pixels, so that a network of 512 sees them enlarged: no detail comes back, and the comparison
would only measure a larger network input on the same information. The tool looks at 100 files, and refuses
where most are smaller than the largest size.

Prints, and writes to FOLDER/input_size.md and .csv, accuracy, macro F1 and macro AUROC on --split for each
size and seed, mean ± sd, and how far each size lies over the first: on the same images, the mean over
the seeds, with a 95 % bootstrap interval over patients. The interval tells what other patients would do to
the difference; what other seeds would do, the sd tells. Started again, finished runs are skipped and killed
ones go on.
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
from semenet.training.loop.data_options import DataOptions
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
        sizes: Heights and widths in pixels; the first is what the others are compared with.
        seeds: A run of each size for each of these.
        entry: Name of a committed recipe, of a network with a GAP head: a flatten head grows with the input.
        split: Split to measure on.
        resamples: Bootstrap draws of patients.
        data: How the runs treat their data.
    """
    return manifest, out, sizes, seeds, entry, split, resamples, data


def check_files(path, largest):
    """Looks at the manifest's files, and says how many are smaller than the largest size.

    Raises:
        SemenetError: where most of them are.
    """
    import cv2

    rows = read_manifest(path).rows
    files = rows["path"].sample(min(len(rows), 100), random_state=0)
    images = [cv2.imread(file, cv2.IMREAD_GRAYSCALE) for file in files]
    if all(image is None for image in images):
        raise SemenetError(
            f"The tool looks at PNG, JPEG, TIFF and BMP files. Received: {path}, of which it reads none. "
            "Convert them, or check its paths."
        )
    small = sum(min(image.shape) < largest for image in images if image is not None)
    read = sum(image is not None for image in images)
    if small > read / 2:
        raise SemenetError(
            f"Most images must have {largest} pixels a side, or a larger input shows nothing more. "
            f"Received: {path}, where {small} of {read} are smaller. Give other images, or smaller --sizes."
        )
    print(f"{small} of {read} images looked at have less than {largest} pixels a side.", file=sys.stderr)


def tabulate(series, resamples):
    """The comparison as people read it, and as programs do.

    Args:
        series: dict of size to list of `Result`, the first size that to compare with.
        resamples: int.

    Returns:
        (DataFrame of text, a row a size and figure; DataFrame of numbers, a row a size and seed).
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
            line = {"Input": size, "Figure": figure, "n": len(results)}
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
            raise SemenetError(f"The tool compares sizes. Received: {sizes}. Give two or more --sizes.")
        recipe = seeded_runs.with_overrides(find_recipe(entry), overrides, "bench_input_size.py")
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
