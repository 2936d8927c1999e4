"""Trains and evaluates a recipe over several seeds, and resumes a series that was stopped.

A series is one folder. `runs/<name>/seed<n>` are run folders. `evaluations/<name>/seed<n>/<split>` are
written by `semenet evaluate`, and `result.json` in them holds the values for the tables.
"""

import dataclasses
import json
import pathlib
import sys

import pandas as pd
import tyro

from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.storage.atomic import write_text
from semenet.training.recipe import Recipe

# The metrics of metrics.json that the tables show.
FIGURES = ("accuracy", "macro_f1", "macro_auroc", "dice", "iou", "mean_iou")


@dataclasses.dataclass(frozen=True)
class Result:
    """One seed of one recipe, trained and evaluated.

    Attributes:
        seed: int.
        figures: dict from metric to float, as in metrics.json; None for an undefined metric.
        parameters: int, the number of the network's parameters.
        seconds: float, the wall time of all epochs, including validation.
        history: DataFrame of history.csv.
        predictions: DataFrame of predictions.csv, one row for each image.
    """

    seed: int
    figures: dict
    parameters: int
    seconds: float
    history: pd.DataFrame
    predictions: pd.DataFrame


def with_overrides(recipe, overrides, program):
    """Returns a recipe changed by command-line options.

    Args:
        recipe: `Recipe`.
        overrides: list of str, such as `["--epochs", "5"]`.
        program: str, the program's name in the usage message.

    Returns:
        `Recipe`.

    Raises:
        SystemExit: status 2 for an unknown option.
        RecipeError: a value does not fit the recipe's network.
    """
    if any(option.split("=")[0] == "--seed" for option in overrides):
        raise SemenetError("A series has several seeds. Received: --seed. Use --seeds 0 1 2.")
    return tyro.cli(Recipe, default=recipe, args=list(overrides), prog=program)


def run_seed(recipe, name, out, manifest, split, *, root=None, data, tta=1):
    """Trains and evaluates one seed. Finished steps are not repeated.

    Args:
        recipe: `Recipe`, with its seed.
        name: str, the folder of this recipe in the series.
        out: folder of the series.
        manifest: CSV of the manifest.
        split: split to evaluate, such as "val".
        root: folder that relative paths start from; None for the folder of the CSV.
        data: `DataOptions`.
        tta: number of views that are averaged; 1 for the image alone.

    Returns:
        `Result`.

    Raises:
        SemenetError: what `train` and `evaluate` raise; RunFolderError if the folder holds a run with
            other options or another manifest.
    """
    import keras

    from semenet.evaluation.split_evaluation import evaluate
    from semenet.training.loop.fit import train
    from semenet.training.run_folder.file_names import HISTORY, TIMINGS

    out = pathlib.Path(out)
    folder = out / "runs" / name / f"seed{recipe.seed}"
    run = train(recipe, manifest, folder, root=root, data=data)
    measured = (
        out / "evaluations" / name / f"seed{recipe.seed}" / (split if tta == 1 else f"{split}_tta{tta}")
    )
    stamp = {
        "manifest_sha256": read_manifest(manifest, root, required=()).sha256,
        "split": split,
        "began": run.record["began"],
    }
    path = measured / "result.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if {key: result.get(key) for key in stamp} != stamp:
        skipping = {"on_error": data.on_error, "skip_at_most": data.skip_at_most}
        metrics = evaluate(
            folder,
            manifest,
            split,
            out=measured,
            root=root,
            batch_size=recipe.batch_size,
            tta=tta,
            **skipping,
        )
        result = stamp | {
            "figures": {figure: metrics[figure] for figure in FIGURES if figure in metrics},
            "parameters": run.model.count_params(),
            "seconds": float(pd.read_csv(folder / TIMINGS)["seconds"].sum()),
        }
        # Written last, so that a series that is killed before evaluates this seed again.
        write_text(path, json.dumps(result, indent=2, allow_nan=False) + "\n")
    keras.backend.clear_session()
    return Result(
        recipe.seed,
        result["figures"],
        result["parameters"],
        result["seconds"],
        pd.read_csv(folder / HISTORY),
        read_predictions(measured / "predictions.csv"),
    )


def read_predictions(path):
    """Returns the DataFrame of a predictions.csv, with names as text even if they look like numbers."""
    return pd.read_csv(path, dtype={"patient": str, "label": str, "predicted": str})


def run_series(recipe, seeds, **arguments):
    """Calls `run_seed` for each seed, prints a line on stderr before each, and returns the results."""
    if len(set(seeds)) < len(seeds):
        raise SemenetError(f"Seeds must be unique. Received: {seeds}. Use different seeds, such as 0 1 2.")
    results = []
    for number, seed in enumerate(seeds, 1):
        print(f"{arguments['name']}: seed {seed} ({number} of {len(seeds)})", file=sys.stderr, flush=True)
        results.append(run_seed(dataclasses.replace(recipe, seed=seed), **arguments))
    return results


def markdown(table):
    """Returns a DataFrame of text as a Markdown table."""
    lines = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
