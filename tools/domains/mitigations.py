"""Measures what unlearns a planted letter, over several seeds, and prints a table; resumes where it stopped.

    python tools/domains/mitigations.py --out series --seeds 0 1 2

Every image of a phantom set carries a large letter in an upper corner, outside the lungs. With correlation
1 it tells the class; with 0.9 it does for 93 % of the images, and the others are the minority that group DRO
and a classifier within the label need. Each mitigation trains the same small network with the same seeds.
Measured are, on the split test:

- the audit's two findings about the network: its decisions, and a linear classifier on its features, on
  images whose lungs are blacked out, as macro AUROC, and the verdict that follows from these two. The audit's
  third finding, that the images offer a letter, is true of every network here and is left out;
- the disease: the macro AUROC on other phantoms, whose letter has nothing to do with the class. A network
  that reads the letter fails there.
"""

import dataclasses
import json
import pathlib
import sys
import zlib

import cv2
import numpy as np
import pandas as pd
import scipy.stats
import tyro

from semenet.data.manifest.table import write_manifest
from semenet.data.phantom.dataset import CLASSES, write_phantoms
from semenet.errors import SemenetError
from semenet.storage.atomic import write_text
from semenet.training.recipe import Recipe, find_recipe

# The height of the letter's font, of which a capital takes three quarters, and its distance from the border,
# as shares of the side.
HEIGHT, INSET = 0.125, (0.02, 0.06)
# The audit fits its linear classifiers to so many images, and every epoch validates so many.
FITTED, VALIDATED = 150, 15
GROUPS = ("label", "marker")

# What each row of the table changes, and whether it needs images whose letter is that of another class.
MITIGATIONS = {
    "none": ({}, False),
    "box of the lungs": ({"lungs_box": True}, False),
    "changes of acquisition": ({"acquisition": 0.4}, False),
    "balanced draws": ({"balance": GROUPS, "balance_power": 1.0}, True),
    "group DRO": ({"group_by": GROUPS, "dro_step": 0.05}, False),
    "group DRO, balanced draws": (
        {"group_by": GROUPS, "dro_step": 0.05, "balance": GROUPS, "balance_power": 1.0},
        True,
    ),
    "source classifier": ({"unlearn": "marker"}, False),
    "source classifier within the label": ({"unlearn": "marker", "unlearn_within": "label"}, True),
    "attention to lungs": ({"lung_attention_weight": 3.0}, False),
    "group DRO, classifier within the label, attention": (
        {
            "group_by": GROUPS,
            "dro_step": 0.05,
            "unlearn": "marker",
            "unlearn_within": "label",
            "lung_attention_weight": 3.0,
        },
        True,
    ),
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """A series of runs."""

    out: pathlib.Path
    """Folder of the series."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the networks. The images are the same."""
    correlations: tuple[float, ...] = (1.0, 0.9)
    """Correlations of the letter with the class."""
    only: tuple[str, ...] = ()
    """Only mitigations whose name contains one of these words."""
    entry: str = "resnet50_gap"
    """Entry of the catalogue."""
    count: int = 480
    """Phantoms that are drawn for each set; three fifths of them are trained on."""
    size: int = 96
    """Side of the images and of the input, in pixels."""
    width: float = 0.125
    """Share of the network's channels."""
    depth: float = 0.01
    """Share of the network's layers."""
    epochs: int = 10
    """Epochs of each run."""


def main(arguments: Arguments) -> None:
    """Runs what is missing of the series, and prints the table of what there is."""
    others = marked_set(arguments, 0.0, seed=2)
    for seed in arguments.seeds:
        for correlation in arguments.correlations:
            marked = marked_set(arguments, correlation, seed=1)
            for name, (changes, needs_minority) in MITIGATIONS.items():
                chosen = not arguments.only or any(word in name for word in arguments.only)
                if not chosen or (needs_minority and correlation == 1):
                    continue
                recipe = dataclasses.replace(base_recipe(arguments, seed), **changes)
                measure(arguments, recipe, name, correlation, marked, others)
    print(markdown(collect(arguments.out)))


def base_recipe(arguments: Arguments, seed: int) -> Recipe:
    """Returns the recipe without a mitigation."""
    return dataclasses.replace(
        find_recipe(arguments.entry),
        classes=CLASSES,
        input_size=arguments.size,
        width=arguments.width,
        depth=arguments.depth,
        epochs=arguments.epochs,
        batch_size=16,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.05,
        schedule="cosine",
        warmup=0.1,
        seed=seed,
    )


def marked_set(arguments: Arguments, correlation: float, seed: int) -> pathlib.Path:
    """Writes a set of phantoms with large letters, once, and returns its manifest."""
    name = f"{arguments.count}x{arguments.size}_{correlation:g}"
    folder = arguments.out / "phantoms" / name
    done = folder.with_name(f"{name}.json")
    manifest = folder / "manifest.csv"
    if done.exists():
        return manifest
    write_phantoms(
        folder, count=arguments.count, size=arguments.size, seed=seed, marker_correlation=correlation
    )
    rows = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    for row in rows.itertuples():
        path, mask = folder / row.file, folder / row.mask
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        lungs = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), plant_letter(image, lungs, row.marker, seed=zlib.crc32(row.file.encode())))
    train, val, test = (rows[rows["split"] == split] for split in ("train", "val", "test"))
    write_manifest(pd.concat([train.head(FITTED), test]), folder / "audit.csv")
    write_manifest(pd.concat([train, val.head(VALIDATED), test]), manifest)
    write_text(done, json.dumps({"images": len(rows)}) + "\n")
    return manifest


def plant_letter(image: np.ndarray, lungs: np.ndarray, letter: str, seed: int) -> np.ndarray:
    """Writes a large letter into the upper left corner, clear of the lungs.

    Args:
        image: uint8 `(H, W)`.
        lungs: uint8 `(H, W)`, 0 outside.
        letter: one letter.
        seed: determines the exact place.

    Returns:
        uint8 `(H, W)`.
    """
    side, height = len(image), round(HEIGHT * len(image))
    x, y = np.random.default_rng(seed).uniform(*INSET, 2) * side
    large = np.zeros((side * 8, side * 8), np.uint8)
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, height * 8, 10)
    place = (round(x * 8), round((y + height) * 8))
    cv2.putText(large, letter, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 10, cv2.LINE_AA)
    cover = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    cover[lungs > 0] = 0
    return np.rint(image * (1 - cover) + 250 * cover).astype(np.uint8)


def measure(
    arguments: Arguments,
    recipe: Recipe,
    name: str,
    correlation: float,
    marked: pathlib.Path,
    others: pathlib.Path,
) -> None:
    """Trains and measures one run, unless its result exists."""
    import keras

    from semenet import metrics
    from semenet.data.manifest.table import label_index, read_manifest
    from semenet.data.pipeline.datasets import evaluation_dataset
    from semenet.evaluation.shortcut_audit import verdict
    from semenet.evaluation.shortcut_audit.classifier_audit import audit
    from semenet.training.loop.fit import train
    from semenet.training.options import DataOptions, RunOptions
    from semenet.training.run_folder.file_names import LAST_WEIGHTS

    folder = arguments.out / f"correlation{correlation:g}" / name.replace(" ", "_") / f"seed{recipe.seed}"
    path = folder / "result.json"
    if path.exists():
        return
    print(f"correlation {correlation:g}, {name}, seed {recipe.seed}", file=sys.stderr, flush=True)
    options = RunOptions(tensorboard=False)
    run = train(recipe, marked, folder / "run", data=DataOptions(cache="memory"), options=options)
    # The best epoch by a metric of marked images would be the one that reads the letter best.
    network = run.model
    network.load_weights(folder / "run" / LAST_WEIGHTS)
    rows = read_manifest(others).split("test")
    size = (recipe.input_size, recipe.input_size)
    images = evaluation_dataset(rows, input_size=size, batch_size=recipe.batch_size, view=recipe.lung_view)
    disease = metrics.macro_auroc(label_index(rows, CLASSES), network.predict(images, verbose=0))
    found = audit(
        network, marked.with_name("audit.csv"), "test", out=folder / "audit", batch_size=64, resamples=500
    )
    evidence = {key: value for key, value in found["evidence"].items() if key != "marks"}
    words, _ = verdict.decide(found["learnt"], evidence, fewest_patients=1000, implausible=0.0)
    result = {
        "correlation": correlation,
        "mitigation": name,
        "seed": recipe.seed,
        "verdict": words,
        "own": found["learnt"]["macro_auroc"],
        "disease": float(disease),
        **{key: value["macro_auroc"] for key, value in evidence.items()},
        "training": run.history.iloc[-1].to_dict(),
    }
    # Written last, so that a series that is killed before measures this run again.
    write_text(path, json.dumps(result, indent=2) + "\n")
    keras.backend.clear_session()


def collect(out: pathlib.Path) -> pd.DataFrame:
    """Returns the table of the results in a folder, one row for each correlation and mitigation.

    Raises:
        SemenetError: there is no result.
    """
    results = [
        json.loads(path.read_text(encoding="utf-8")) for path in out.glob("correlation*/*/*/result.json")
    ]
    if not results:
        raise SemenetError(
            f"A table needs a result. Received: {out}, which holds none. Run the series first."
        )
    frame = pd.DataFrame(results)
    order = {name: number for number, name in enumerate(MITIGATIONS)}
    rows = []
    for (correlation, name), runs in sorted(
        frame.groupby(["correlation", "mitigation"]), key=lambda item: (-item[0][0], order[item[0][1]])
    ):
        verdicts = runs["verdict"].value_counts()
        rows.append(
            {
                "correlation": f"{correlation:g}",
                "mitigation": name,
                "seeds": len(runs),
                "decisions without lungs": interval(runs["decisions_without_lungs"]),
                "features without lungs": interval(runs["features_without_lungs"]),
                "verdict": ", ".join(f"{count} {word}" for word, count in verdicts.items()),
                "disease": interval(runs["disease"]),
            }
        )
    return pd.DataFrame(rows)


def interval(values: pd.Series) -> str:
    """Returns the mean of runs with the 95 % interval of Student's t over them; without it for one run."""
    mean = values.mean()
    if len(values) < 2:
        return f"{mean:.3f}"
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"


def markdown(table: pd.DataFrame) -> str:
    """Returns a DataFrame of text as a Markdown table."""
    lines = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
