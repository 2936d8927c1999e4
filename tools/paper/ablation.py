"""Measures the effect of GAP, squeeze-and-excitation, MoEx and CLAHE from trained rows.

Usage: python tools/paper/ablation.py SERIES [--without-clahe WITHOUT] [--split val] [--resamples 1000]

SERIES is a folder written by tools/paper/tables.py. WITHOUT is another one, trained with the same seeds and
options and with --rows "table4/seme_*" --clahe 0.

The paper's rows SE and SEME differ in both MoEx and CLAHE; the second series separates the two. Each change
is the difference between two rows that differ in nothing else, over runs with the same seeds, on the same
images. For several networks the first line is their mean. The 95 % interval covers other patients and other
seeds: it is Student's interval for the sum of the variance over bootstrap draws of patients and the variance
over seeds, with Satterthwaite's degrees of freedom. The intervals are not corrected for multiple comparisons.
Probabilities are not calibrated.

Writes ablation.md and ablation.csv into SERIES and prints ablation.md. Rows that were not trained are
skipped.
"""

import dataclasses
import json
import pathlib
import sys

import pandas as pd
import seeded_runs
import tyro
from paired import FIGURES, difference_over_seeds

from semenet.cli.recipe import report_errors
from semenet.errors import SemenetError
from semenet.storage.atomic import write_text

WITH, WITHOUT = "series", "without_clahe"


@dataclasses.dataclass(frozen=True)
class Change:
    """One change to a network, and the rows with and without it.

    Attributes:
        name: description of the change.
        table: name of the table.
        pairs: for each network, (series, row) before and (series, row) after the change.
        differs: recipe fields in which the two rows may differ.
    """

    name: str
    table: str
    pairs: tuple
    differs: tuple[str, ...] = ("entry",)


def _rows(before, after, networks=("resnet50", "densenet169")):
    """Returns the pairs of a change; the row names contain * for the network."""
    return tuple(
        tuple((series, row.replace("*", network)) for series, row in (before, after)) for network in networks
    )


CHANGES = (
    Change(
        "GAP for flatten and dense layers",
        "table4",
        _rows((WITH, "*"), (WITH, "*_gap"), ("vgg19", "resnet50", "densenet169")),
    ),
    Change("SE added to GAP", "table4", _rows((WITH, "*_gap"), (WITH, "se_*"))),
    Change("MoEx added to SE", "table4", _rows((WITH, "se_*"), (WITHOUT, "seme_*"))),
    Change("CLAHE added to SE and MoEx", "table4", _rows((WITHOUT, "seme_*"), (WITH, "seme_*")), ("clahe",)),
    Change(
        "MoEx and CLAHE added to SE (the paper's SEME)",
        "table4",
        _rows((WITH, "se_*"), (WITH, "seme_*")),
        ("entry", "clahe"),
    ),
    Change("SE added to MoEx", "table5", _rows((WITH, "moex_*"), (WITH, "seme_*"))),
)


def main(
    series: tyro.conf.Positional[pathlib.Path],
    without_clahe: pathlib.Path | None = None,
    split: str = "val",
    resamples: int = 1000,
) -> None:
    """Compares the rows of one or two series of tools/paper/tables.py.

    Args:
        series: The --out of the series.
        without_clahe: The --out of a series trained with --clahe 0.
        split: The split that was evaluated.
        resamples: Number of bootstrap draws of patients.
    """
    folders = {WITH: series, WITHOUT: without_clahe}
    lines, numbers = [], []
    for change in CHANGES:
        networks = {
            after[1]: pair
            for before, after in change.pairs
            if (pair := read_pair(change, folders, before, after, split))
        }
        groups = {row: [pair] for row, pair in networks.items()}
        if len(networks) > 1:
            groups = {"mean of the networks": list(networks.values())} | groups
        for name, pairs in groups.items():
            print(f"{change.name}: {name}", file=sys.stderr, flush=True)
            line, number = compare(change, name, pairs, resamples)
            lines.append(line)
            numbers += number
    if not lines:
        raise SemenetError(
            f"An ablation compares rows that tools/paper/tables.py trained and evaluated on {split!r}. "
            f"Received: {series}, which has no two rows to compare. Train more rows with the same seeds."
        )
    table = pd.DataFrame(lines)
    write_text(series / "ablation.md", seeded_runs.markdown(table))
    write_text(series / "ablation.csv", pd.DataFrame(numbers).to_csv(index=False))
    print(seeded_runs.markdown(table))


def read_pair(change, folders, before, after, split):
    """Returns the predictions of two rows for their common seeds: two lists of DataFrame, or None.

    Raises:
        SemenetError: the recipes differ in more than the change.
    """
    sides = [
        read_row(folders[series], f"{change.table}/{row}", split) if folders[series] else {}
        for series, row in (before, after)
    ]
    seeds = sorted(sides[0].keys() & sides[1].keys())
    for seed in seeds:
        one, other = (side[seed][0] for side in sides)
        different = {key for key in one | other if one.get(key) != other.get(key)} - set(change.differs)
        if different:
            raise SemenetError(
                f"The compared rows may differ only in {', '.join(change.differs)}. Received: "
                f"{before[1]} and {after[1]}, seed {seed}, which also differ in "
                f"{', '.join(sorted(different))}. Train both with the same options."
            )
    return tuple([side[seed][1] for seed in seeds] for side in sides) if seeds else None


def read_row(folder, row, split):
    """Returns a dict from seed to (recipe as a dict, predictions) of one row."""
    found = {}
    for path in sorted((folder / "evaluations" / row).glob(f"seed*/{split}/result.json")):
        seed = path.parts[-3]
        recipe = json.loads((folder / "runs" / row / seed / "recipe.json").read_text(encoding="utf-8"))
        found[int(seed.removeprefix("seed"))] = (
            recipe,
            seeded_runs.read_predictions(path.with_name("predictions.csv")),
        )
    return found


def compare(change, name, pairs, resamples):
    """Returns one line of the table as text, and its numbers, one dict for each metric."""
    line = {"Change": change.name, "Network": name, "Pairs of runs": sum(len(before) for before, _ in pairs)}
    numbers = []
    for figure in FIGURES:
        difference = difference_over_seeds(pairs, figure, resamples)
        line[figure] = str(difference)
        numbers.append(
            {"change": change.name, "network": name, "pairs": line["Pairs of runs"], "figure": figure}
            | dataclasses.asdict(difference)
        )
    return line, numbers


if __name__ == "__main__":
    with report_errors():
        tyro.cli(main, description=__doc__)
