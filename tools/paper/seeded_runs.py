"""Trains and measures a recipe over several seeds, so that a killed series goes on: what the tools share.

A series lies in one folder: `runs/<name>/seed<n>` are run folders, `evaluations/<name>/seed<n>/<split>` what
`semenet evaluate` writes, `result.json` beside it the line that a table needs.
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

# The figures a table shows, of those in metrics.json.
FIGURES = ("accuracy", "macro_f1", "macro_auroc", "dice", "iou", "mean_iou")


@dataclasses.dataclass(frozen=True)
class Result:
    """One seed of one recipe, trained and measured.

    Attributes:
        seed: int.
        figures: dict of figure to float, as in metrics.json; None where it is undefined.
        parameters: int, the network's.
        seconds: float, the wall time of all epochs, validation included.
        history: DataFrame of history.csv.
        predictions: DataFrame of predictions.csv, a row an image.
    """

    seed: int
    figures: dict
    parameters: int
    seconds: float
    history: pd.DataFrame
    predictions: pd.DataFrame


def with_overrides(recipe, overrides, program):
    """A recipe with the options of its own command line.

    Args:
        recipe: `Recipe`.
        overrides: list of str, such as `["--epochs", "5"]`.
        program: str, for the usage that an unknown option brings up.

    Returns:
        `Recipe`.

    Raises:
        SystemExit: status 2 for an option that no recipe has.
        RecipeError: for a value that this recipe's network cannot have.
    """
    if any(option.split("=")[0] == "--seed" for option in overrides):
        raise SemenetError("A series has several seeds. Received: --seed. Give --seeds 0 1 2.")
    return tyro.cli(Recipe, default=recipe, args=list(overrides), prog=program)


def run_seed(recipe, name, out, manifest, split, *, root=None, data, tta=1):
    """Trains and measures one seed; what is done already is not done again.

    Args:
        recipe: `Recipe`, with its seed.
        name: str, the folder of this recipe in the series.
        out: the series' folder.
        manifest: the manifest's CSV.
        split: the split to measure, such as "val".
        root: the folder that the manifest's paths start from; None for the CSV's own.
        data: `DataOptions`.
        tta: views of each image that are averaged, 1 for the image alone.

    Returns:
        `Result`.

    Raises:
        SemenetError: what `train` and `evaluate` raise; RunFolderError if the folder holds a run with
            other options or another manifest.
    """
    import keras

    from semenet.evaluation.split_evaluation import evaluate
    from semenet.training.loop.fit import train
    from semenet.training.run_folder.run import HISTORY, TIMINGS

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
        # Last, so that a series that is killed here measures this seed again.
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
    """DataFrame of a predictions.csv, names as text whatever they look like."""
    return pd.read_csv(path, dtype={"patient": str, "label": str, "predicted": str})


def run_series(recipe, seeds, **arguments):
    """`run_seed` for each seed, with a line on stderr before each; returns the list of `Result`."""
    if len(set(seeds)) < len(seeds):
        raise SemenetError(f"Seeds stand once each. Received: {seeds}. Give others, such as 0 1 2.")
    results = []
    for number, seed in enumerate(seeds, 1):
        print(f"{arguments['name']}: seed {seed} ({number} of {len(seeds)})", file=sys.stderr, flush=True)
        results.append(run_seed(dataclasses.replace(recipe, seed=seed), **arguments))
    return results


def markdown(table):
    """A DataFrame of text as a Markdown table."""
    lines = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
