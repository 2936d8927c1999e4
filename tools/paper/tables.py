"""Trains rows of the paper's tables over several seeds, and writes the tables and figures.

Usage: python tools/paper/tables.py --dataset1 CSV --dataset2 CSV --lung CSV --out FOLDER
           [--rows table4/seme_resnet50 ...] [--seeds 0 1 2] [--split val] [recipe options] [data options]

Every recipe option (`python recipes/seme_resnet50.py --help`, except --seed), such as --input-size, --width,
--epochs or --batch-size, applies to all rows and is shown above each table. Run the same command again to
resume: finished runs are skipped.

Writes table4, table5, figure14 and figure15 as .md and .csv (figure14 is the false success on raw images of
dataset 2, figure15 the U-Net, for which the paper has only plots) and figures 10, 12, 13, 14a, 14c, 15a, 16,
18 and 19 as .png and .pdf. tools/paper/illustrations.py draws figures 2, 4, 8 and 15b. The published values
are of the paper's test splits and ours of --split of the given manifests, so they are not the same
measurement. If the training of a row fails, the error is reported, the other rows continue, and the exit
status is 1. --rows takes shell patterns; without it, all rows with a manifest are trained. Rows that were not
requested are shown as "not run", even if an earlier call trained them.
"""

import dataclasses
import fnmatch
import os
import pathlib
import sys
import traceback
from typing import Annotated

import pandas as pd
import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import figures as paper_figures
import seeded_runs

from semenet.cli.recipe import report_errors
from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.drawing.pages import mean_sd
from semenet.storage.atomic import output_folder, write_text
from semenet.training.options import DataOptions
from semenet.training.recipe import find_recipe


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the paper: its place, its recipe, and the published values.

    Attributes:
        table: "table4", "table5", "figure14" or "figure15".
        kind: row of the table, or subject of the figure.
        network: column of the table.
        recipe: name of the recipe.
        dataset: the manifest: "dataset1", "dataset2" or "lung".
        accuracy: published accuracy in [0, 1]; None if the paper has none.
        f1: published F1 score.
        auroc: published AUC from the text of section 4.1 or 4.2; the paper does not say how it is averaged.
            For figure 14 the text has one accuracy, of validation, and one AUC for all three networks.
    """

    table: str
    kind: str
    network: str
    recipe: str
    dataset: str
    accuracy: float | None = None
    f1: float | None = None
    auroc: float | None = None

    @property
    def name(self):
        """The name of the row for --rows."""
        return f"{self.table}/{self.recipe.removesuffix('_dataset2')}"


# Table 4 with the AUC of section 4.1 (figure 12), and table 5 with that of section 4.2 (figure 18).
ROWS = (
    Row("table4", "base", "VGG19", "vgg19", "dataset1", 0.6969, 0.70, 0.776),
    Row("table4", "GAP", "VGG19", "vgg19_gap", "dataset1", 0.7781, 0.78, 0.824),
    Row("table4", "base", "ResNet50", "resnet50", "dataset1", 0.7281, 0.73, 0.781),
    Row("table4", "GAP", "ResNet50", "resnet50_gap", "dataset1", 0.7406, 0.74),
    Row("table4", "SE", "ResNet50", "se_resnet50", "dataset1", 0.8159, 0.80, 0.850),
    Row("table4", "SEME", "ResNet50", "seme_resnet50", "dataset1", 0.8562, 0.86, 0.904),
    Row("table4", "base", "DenseNet169", "densenet169", "dataset1", 0.7750, 0.78, 0.785),
    Row("table4", "GAP", "DenseNet169", "densenet169_gap", "dataset1", 0.8094, 0.81),
    Row("table4", "SE", "DenseNet169", "se_densenet169", "dataset1", 0.8187, 0.82, 0.851),
    Row("table4", "SEME", "DenseNet169", "seme_densenet169", "dataset1", 0.8031, 0.81, 0.860),
    Row("table5", "MoEx", "ResNet50", "moex_resnet50_dataset2", "dataset2", 0.9428, 0.94),
    Row("table5", "SE-MoEx", "ResNet50", "seme_resnet50_dataset2", "dataset2", 0.9285, 0.93),
    Row("table5", "MoEx", "DenseNet169", "moex_densenet169_dataset2", "dataset2", 0.9571, 0.96),
    Row("table5", "SE-MoEx", "DenseNet169", "seme_densenet169_dataset2", "dataset2", 0.9714, 0.97, 0.996),
    Row("figure14", "raw images", "VGG19", "vgg19_dataset2", "dataset2", 0.97, auroc=1.0),
    Row("figure14", "raw images", "ResNet50", "resnet50_dataset2", "dataset2", 0.97, auroc=1.0),
    Row("figure14", "raw images", "DenseNet169", "densenet169_dataset2", "dataset2", 0.97, auroc=1.0),
    Row("figure15", "lung segmentation", "U-Net", "unet", "lung"),
)
TITLES = {
    "table4": "Table 4: types of pneumonia, dataset 1",
    "table5": "Table 5: COVID-19 against other viral pneumonia, dataset 2",
    "figure14": "Figure 14: the false success on raw images, dataset 2",
    "figure15": "Figure 15a: lung segmentation",
}
# Column, key in metrics.json, attribute with the published value, and its number of decimal places.
CLASSIFICATION = (
    ("Accuracy", "accuracy", "accuracy", 4),
    ("F1", "macro_f1", "f1", 2),
    ("AUROC", "macro_auroc", "auroc", 3),
)
SEGMENTATION = (("Dice", "dice", None, 0), ("IoU", "iou", None, 0), ("Mean IoU", "mean_iou", None, 0))
SOURCE_WARNING = (
    "In dataset 2 the classes differ in age (children and adults) and in scanners: a network can learn the "
    "source instead of the disease."
)


def main(
    out: pathlib.Path,
    dataset1: pathlib.Path | None = None,
    dataset2: pathlib.Path | None = None,
    lung: pathlib.Path | None = None,
    rows: tuple[str, ...] = ("*",),
    seeds: tuple[int, ...] = (0, 1, 2),
    split: str = "val",
    data: Annotated[DataOptions, tyro.conf.arg(name="")] = DataOptions(),
) -> tuple:
    """Reads the tool's own options.

    Args:
        out: Folder of the runs, tables and figures.
        dataset1: Manifest of table 4's rows.
        dataset2: Manifest of the rows of table 5, with lung masks, and of figure 14.
        lung: Manifest of the U-Net, with lung masks.
        rows: Names or shell patterns of rows: table4/..., table5/..., figure14/..., figure15/unet.
        seeds: Each row is trained once with each of these seeds.
        split: Split to evaluate; never the training split.
        data: Data options of the runs.
    """
    return out, {"dataset1": dataset1, "dataset2": dataset2, "lung": lung}, rows, seeds, split, data


def choose(patterns, manifests):
    """Returns the rows that match the patterns.

    Raises:
        SemenetError: a pattern matches no row, or the manifest of a named row is missing.
    """
    unknown = [pattern for pattern in patterns if not fnmatch.filter([row.name for row in ROWS], pattern)]
    if unknown:
        names = ", ".join(row.name for row in ROWS)
        raise SemenetError(f"--rows takes names of rows. Received: {unknown[0]!r}. The rows are {names}.")
    chosen = [row for row in ROWS if any(fnmatch.fnmatch(row.name, pattern) for pattern in patterns)]
    if tuple(patterns) == ("*",):
        chosen = [row for row in chosen if manifests[row.dataset] is not None]
    without_manifest = next((row for row in chosen if manifests[row.dataset] is None), None)
    if without_manifest is not None or not chosen:
        name = "dataset1" if without_manifest is None else without_manifest.dataset
        raise SemenetError(
            f"A row needs its manifest. Received: no --{name}. Add its CSV, or choose other --rows."
        )
    return chosen


def train_rows(chosen, manifests, overrides, out, seeds, split, data):
    """Trains and evaluates the rows.

    Returns:
        (dict from row name to list of `Result`, dict from row name to the error that stopped it).
    """
    results, failures = {}, {}
    for number, row in enumerate(chosen, 1):
        print(f"Row {number} of {len(chosen)}: {row.name}", file=sys.stderr, flush=True)
        try:
            recipe = seeded_runs.with_overrides(find_recipe(row.recipe), overrides, "tables.py")
            results[row.name] = seeded_runs.run_series(
                recipe, seeds, name=row.name, out=out, manifest=manifests[row.dataset], split=split, data=data
            )
        except Exception as error:
            # Any error: the other rows take hours and must not stop. It is printed, shown in the table, and
            # sets the exit status.
            failures[row.name] = f"{type(error).__name__}: {error}"
            if not isinstance(error, SemenetError):
                traceback.print_exc()
            print(f"Row {row.name} failed: {failures[row.name]}", file=sys.stderr, flush=True)
    return results, failures


def tables(table, results, failures):
    """Returns a table as text and as numbers.

    Args:
        table: "table4", "table5", "figure14" or "figure15".
        results: dict from row name to list of `Result`.
        failures: dict from row name to error.

    Returns:
        (DataFrame of text, DataFrame of numbers).
    """
    columns = SEGMENTATION if table == "figure15" else CLASSIFICATION
    lines, numbers = [], []
    for row in [row for row in ROWS if row.table == table]:
        done = results.get(row.name, [])
        status = "failed" if row.name in failures else "not run"
        line = {"Network": row.network, "Row": row.kind, "Recipe": row.recipe}
        number = {"row": row.name, "recipe": row.recipe, "status": "run" if done else status, "n": len(done)}
        for column, figure, published, places in columns:
            if published is not None:
                paper = getattr(row, published)
                line[f"{column}, paper"] = "not given" if paper is None else f"{paper:.{places}f}"
                number[f"{figure}_paper"] = paper
            values = [result.figures[figure] for result in done]
            line[f"{column}, ours"] = mean_sd(values, 4) if done else status
            number[f"{figure}_mean"] = pd.Series(values, dtype=float).mean(skipna=False)
            number[f"{figure}_sd"] = pd.Series(values, dtype=float).std(skipna=False)
        seconds = [result.seconds for result in done]
        line["n"] = len(done)
        line["Parameters"] = f"{done[0].parameters:,}" if done else status
        line["Training, s"] = mean_sd(seconds, 0) if done else status
        number |= {"parameters": done[0].parameters if done else None}
        number |= {"seconds_mean": pd.Series(seconds, dtype=float).mean()}
        lines.append(line)
        numbers.append(number)
    numbers = pd.DataFrame(numbers)
    return pd.DataFrame(lines), numbers.astype({"parameters": "Int64"})


def caption(table, overrides, seeds, split, manifest):
    """Returns the notes that a reader needs before quoting a value."""
    options = " ".join(overrides) or "none"
    averages = "F1 and one-vs-rest AUROC are means over the classes."
    if table == "figure15":
        averages = "Dice and IoU are means over the images at the network's input size."
    lines = [
        "Paper: published values on the paper's test split. Ours: mean ± sd (n - 1) over n runs with seeds "
        f"{', '.join(map(str, seeds))}, on the split `{split}` of `{manifest}`, at the best epoch by the "
        f"recipe's monitor. {averages} Training: wall time of all epochs.",
        f"Changed recipe options: {options}.",
    ]
    if split == "val":
        lines.append("The best epoch was chosen on the same split, so our values are optimistic.")
    return "\n\n".join(lines + ([SOURCE_WARNING] if table in ("table5", "figure14") else [])) + "\n\n"


def write_tables(out, results, failures, overrides, seeds, split, manifests):
    """Writes a .md and a .csv for each table, even if none of its rows was trained."""
    for table, title in TITLES.items():
        text, numbers = tables(table, results, failures)
        manifest = manifests[next(row.dataset for row in ROWS if row.table == table)]
        page = f"# {title}\n\n{caption(table, overrides, seeds, split, manifest)}{seeded_runs.markdown(text)}"
        reasons = {name: reason for name, reason in failures.items() if name.startswith(f"{table}/")}
        page += "".join(f"\n{name} failed: {reason}\n" for name, reason in reasons.items())
        write_text(out / f"{table}.md", page)
        write_text(out / f"{table}.csv", numbers.to_csv(index=False))


if __name__ == "__main__":
    (out, manifests, patterns, seeds, split, data), overrides = tyro.cli(
        main, description=__doc__, return_unknown_args=True
    )
    with report_errors():
        chosen = choose(patterns, manifests)
        # A mistyped option is reported here, before hours of training.
        seeded_runs.with_overrides(find_recipe(chosen[0].recipe), overrides, "tables.py")
        for path in {manifests[row.dataset] for row in chosen}:
            read_manifest(path, required=()).split(split)
        output_folder(out)
        results, failures = train_rows(chosen, manifests, overrides, out, seeds, split, data)
        write_tables(out, results, failures, overrides, seeds, split, manifests)
        note = f"split {split}, n = {len(seeds)}" + (f", {' '.join(overrides)}" if overrides else "")
        paper_figures.write_figures(out, results, note)
    print(f"Tables and figures: {out}")
    sys.exit(1 if failures else 0)
