"""Compares a recipe with and without some options: scores with their interval, and the time of training.

Usage: python tools/paper/compare_options.py --manifest CSV --out FOLDER
           --changed="--precision mixed_bfloat16" [--base="--precision float32"]
           [--seeds 0 1 2] [--entry seme_resnet50] [recipe options of both]

The quoted options begin with dashes, so that --changed and --base need the equals sign.

Prints, and writes to FOLDER/comparison.md, accuracy, macro F1 and macro AUROC on --split before and after the
change, the difference with a 95 % interval over patients and seeds, and the seconds of training with their
ratio. The two series alternate by seed, so that both meet the same load of the machine. Run the same command
again to resume: finished runs are skipped.
"""

import dataclasses
import os
import pathlib
import shlex
import sys
from typing import Annotated

import pandas as pd
import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


import seeded_runs
from paired import FIGURES, difference_over_seeds

from semenet.cli.recipe import report_errors
from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.storage.atomic import output_folder, write_text
from semenet.training.options import DataOptions
from semenet.training.recipe import find_recipe


def main(
    manifest: pathlib.Path,
    out: pathlib.Path,
    changed: str,
    base: str = "",
    seeds: tuple[int, ...] = (0, 1, 2),
    entry: str = "seme_resnet50",
    split: str = "val",
    resamples: int = 1000,
    data: Annotated[DataOptions, tyro.conf.arg(name="")] = DataOptions(),
) -> tuple:
    """Reads the tool's own options.

    Args:
        manifest: CSV of the images.
        out: Folder of the runs and of the table.
        changed: Recipe options of the second series, in one quoted string.
        base: Recipe options of the first series, in one quoted string.
        seeds: Each series trains once with each of these seeds.
        entry: Name of a recipe.
        split: Split to evaluate.
        resamples: Number of bootstrap draws of patients.
        data: Data options of the runs.
    """
    return manifest, out, changed, base, seeds, entry, split, resamples, data


def tabulate(before, after, resamples):
    """Returns the comparison as text.

    Args:
        before: list of `Result`, one for each seed.
        after: list of `Result` of the same seeds.
        resamples: int.

    Returns:
        DataFrame, one row for each metric and one for the seconds of training.
    """
    lines = []
    for figure in FIGURES:
        sides = [[result.predictions for result in series] for series in (before, after)]
        lines.append({"": figure, "change": str(difference_over_seeds([sides], figure, resamples))})
    seconds = [sum(result.seconds for result in series) / len(series) for series in (before, after)]
    ratios = [second.seconds / first.seconds for first, second in zip(before, after, strict=True)]
    lines.append(
        {
            "": "seconds of training",
            "change": f"{seconds[0]:.0f} to {seconds[1]:.0f}: {seconds[1] / seconds[0]:.2f} times "
            f"({min(ratios):.2f} to {max(ratios):.2f} by seed)",
        }
    )
    return pd.DataFrame(lines)


if __name__ == "__main__":
    (manifest, out, changed, base, seeds, entry, split, resamples, data), overrides = tyro.cli(
        main, description=__doc__, return_unknown_args=True
    )
    with report_errors():
        if shlex.split(changed) == shlex.split(base):
            raise SemenetError(
                f"The two series must differ. Received: {changed!r} for both. Pass another --changed."
            )
        recipes = {
            name: seeded_runs.with_overrides(
                find_recipe(entry), [*overrides, *shlex.split(options)], "compare_options.py"
            )
            for name, options in (("base", base), ("changed", changed))
        }
        read_manifest(manifest).split(split)
        output_folder(out)
        series = {name: [] for name in recipes}
        for seed in seeds:
            for name, recipe in recipes.items():
                print(f"{name}: seed {seed}", file=sys.stderr, flush=True)
                series[name].append(
                    seeded_runs.run_seed(
                        dataclasses.replace(recipe, seed=seed),
                        name=name,
                        out=out,
                        manifest=manifest,
                        split=split,
                        data=data,
                    )
                )
        page = (
            f"# {entry}: {changed} against {base or 'its defaults'}\n\n"
            f"Split `{split}`, seeds {', '.join(map(str, seeds))}; recipe options of both: "
            f"{' '.join(overrides) or 'none'}. Interval: {resamples} draws of patients, and seeds.\n\n"
        )
        table = tabulate(series["base"], series["changed"], resamples)
        write_text(out / "comparison.md", page + seeded_runs.markdown(table))
        print(page + table.to_string(index=False))
