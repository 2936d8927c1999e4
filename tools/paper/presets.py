"""Measures the effect of each part of the modern preset, alone and together.

Usage: python tools/paper/presets.py --manifest dataset1/manifest.csv --out FOLDER [--seeds 0 1 2]
           [--entry seme_resnet50] [--tta 5] [recipe options, such as --input-size 96 --epochs 8]

The base is the recipe with the given options. Each part of the preset is added to it alone, and finally all
of them together. Test-time augmentation is measured on the networks of the base and of the whole preset.
Choose a learning rate that suits the number of epochs: with the paper's 1e-4 little is learnt in few epochs.

Prints, and writes to FOLDER/preset.md and .csv, accuracy, macro F1 and macro AUROC on --split, mean ± sd over
the seeds, and the difference to the base: on the same images, the mean over the seeds, with a 95 % bootstrap
interval over patients. Run the same command again to resume: finished runs are skipped.
"""

import dataclasses
import os
import pathlib
from typing import Annotated, Literal

import pandas as pd
import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import seeded_runs
from paired import FIGURES, paired_difference

from semenet.cli.recipe import report_errors
from semenet.data.manifest.table import read_manifest
from semenet.evaluation.drawing.pages import mean_sd
from semenet.inference.test_time_augmentation import check_view_count
from semenet.storage.atomic import output_folder, write_text
from semenet.training.options import DataOptions
from semenet.training.presets import MODERN, with_preset
from semenet.training.recipe import find_recipe

BASE = "base"
WHOLE = "modern"


def main(
    manifest: pathlib.Path,
    out: pathlib.Path,
    seeds: tuple[int, ...] = (0, 1, 2),
    entry: str = "seme_resnet50",
    parts: tuple[Literal[*MODERN, WHOLE], ...] = (*MODERN, WHOLE),
    tta: int = 5,
    split: str = "val",
    resamples: int = 1000,
    data: Annotated[DataOptions, tyro.conf.arg(name="")] = DataOptions(),
) -> tuple:
    """Reads the tool's own options.

    Args:
        manifest: CSV with the columns file, label, patient, split.
        out: Folder of the runs and tables.
        seeds: Each variant is trained once with each of these seeds.
        entry: Name of a recipe of a classifier.
        parts: The parts of the preset to measure.
        tta: Number of views of test-time augmentation; 1 for none.
        split: Split to evaluate.
        resamples: Number of bootstrap draws of patients.
        data: Data options of the runs.
    """
    return manifest, out, seeds, entry, parts, tta, split, resamples, data


def variants(recipe, parts):
    """Returns the base, and the base with each part, as a dict from name to `Recipe`."""
    changed = {
        part: with_preset(recipe, WHOLE) if part == WHOLE else dataclasses.replace(recipe, **MODERN[part])
        for part in parts
    }
    return {BASE: recipe} | changed


def tabulate(series, resamples):
    """Returns the comparison as text.

    Args:
        series: dict from name to list of `Result`, including the base.
        resamples: int.

    Returns:
        DataFrame of text, one row for each variant.
    """
    lines = []
    for name, results in series.items():
        line = {"Variant": name, "n": len(results)}
        for figure in FIGURES:
            line[figure] = mean_sd([result.figures[figure] for result in results], 4)
            if name != BASE:
                pair = [[result.predictions for result in series[side]] for side in (BASE, name)]
                change, low, high, _ = paired_difference(*pair, figure, resamples)
                undefined = change is None
                line[f"{figure} over the base"] = (
                    "undefined" if undefined else f"{change:+.4f} ({low:+.4f} to {high:+.4f})"
                )
        line["Training, s"] = mean_sd([result.seconds for result in results], 0)
        lines.append(line)
    return pd.DataFrame(lines).fillna("-")


if __name__ == "__main__":
    (manifest, out, seeds, entry, parts, tta, split, resamples, data), overrides = tyro.cli(
        main, description=__doc__, return_unknown_args=True
    )
    with report_errors():
        recipe = seeded_runs.with_overrides(find_recipe(entry), overrides, "presets.py")
        check_view_count(tta)
        read_manifest(manifest).split(split)
        output_folder(out)
        series = {}
        for name, variant in variants(recipe, parts).items():
            arguments = {"name": name, "out": out, "manifest": manifest, "split": split, "data": data}
            series[name] = seeded_runs.run_series(variant, seeds, **arguments)
            if tta > 1 and name in (BASE, WHOLE):
                series[f"{name}, tta {tta}"] = seeded_runs.run_series(variant, seeds, **arguments, tta=tta)
        table = tabulate(series, resamples)
        options = " ".join(overrides) or "none"
        page = (
            f"# {entry}: the modern preset, part by part\n\n{recipe.epochs} epochs each, split `{split}` of "
            f"`{manifest}`, seeds {', '.join(map(str, seeds))}; recipe options: {options}. "
            f"Interval: {resamples} draws of patients.\n\n"
        )
        write_text(out / "preset.md", page + seeded_runs.markdown(table))
        write_text(out / "preset.csv", table.to_csv(index=False))
        print(page + table.to_string(index=False))
