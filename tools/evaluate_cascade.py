"""Evaluates a cascade on labelled radiographs, end to end.

Usage: python tools/evaluate_cascade.py CASCADE --manifests CSV [CSV ...] --out FOLDER
           [--split val] [--resamples 2000] [--refined LABEL]

The labels of the manifests are the cascade's classes. The label that stage 1 passes on to stage 2 (virus)
counts as --refined, one of stage 2's classes (other_viral). An image that is in two manifests counts once.
Writes predictions.csv, confusion.csv and figures.md, with 95 % bootstrap intervals over patients: the
confusion matrix with columns for abstained and rejected images; accuracy and sensitivities of the most
probable class and of the answered images; for each class and source, the share that stage 1 passes on to
stage 2; and the accuracy if stage 1 passed on all images of stage 2's classes.
"""

import os
import pathlib

import numpy as np
import pandas as pd
import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from semenet.cli.recipe import report_errors
from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.inference.reading_ahead import read_ahead
from semenet.metrics.patient_bootstrap import share_intervals
from semenet.progress import track
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.cascade.decisions import ABSTAIN, REJECTED
from semenet.storage.atomic import output_folder, write_text

_BATCH = 16


def main(
    cascade: tyro.conf.Positional[pathlib.Path],
    manifests: tuple[pathlib.Path, ...],
    out: pathlib.Path,
    split: str = "val",
    refined: str = "other_viral",
    resamples: int = 2000,
    seed: int = 0,
) -> None:
    """Writes and prints the results.

    Args:
        cascade: Folder written by `semenet cascade`.
        manifests: CSVs whose labels are the cascade's classes, or the class that stage 2 divides.
        out: Folder to write into.
        split: Split to evaluate.
        refined: Class that the label divided by stage 2 counts as.
        resamples: Number of bootstrap draws of patients.
        seed: Seed of the draws.
    """
    out = output_folder(out)
    opened = Cascade.open(cascade)
    rows = _rows(manifests, split, opened, refined)
    frame = _decide(opened, rows)
    frame.to_csv(out / "predictions.csv", index=False)
    labels = list(opened.class_names)
    confusion = pd.crosstab(frame["label"], frame["predicted"]).reindex(
        index=labels, columns=[*labels, ABSTAIN, REJECTED], fill_value=0
    )
    confusion.to_csv(out / "confusion.csv")
    text = "\n".join(
        [
            f"{len(frame)} images of {frame['patient'].nunique()} patients, split {split}. The parentheses "
            "show the 95 % interval over patients.",
            "",
            *_table(confusion),
            "",
            *_figures(frame, opened, resamples, seed),
        ]
    )
    write_text(out / "figures.md", text + "\n")
    print(text)


def _rows(manifests, split, cascade, refined):
    """Returns the rows of all manifests, each image once."""
    parts = []
    for number, path in enumerate(manifests):
        part = read_manifest(path).split(split)
        if "source" not in part:
            part["source"] = path.parent.name
        parts.append(part.assign(manifest=number))
    rows = pd.concat(parts, ignore_index=True)
    rows["path"] = [str(pathlib.Path(path).resolve()) for path in rows["path"]]
    rows["label"] = rows["label"].replace({cascade.rule.refines: refined})
    rows = rows.drop_duplicates("path").reset_index(drop=True)
    if unknown := set(rows["label"]) - set(cascade.class_names):
        raise SemenetError(
            f"Labels must be classes of the cascade: {', '.join(cascade.class_names)}. "
            f"Received: {', '.join(sorted(unknown))}. Use other manifests."
        )
    return rows


def _decide(cascade, rows):
    """Returns the rows with the cascade's results."""
    files = rows["path"].tolist()
    batches = track(read_ahead(files, cascade.prepare_file, _BATCH), len(rows), "Deciding")
    found = [cascade.decide(batch) for batch in batches]
    joint = np.concatenate([part.probabilities for part in found])
    first = np.concatenate([part.stage1_probabilities for part in found])
    second = np.concatenate([part.stage2_probabilities for part in found])
    frame = rows[["path", "label", "patient", "source"]].copy()
    for number, name in enumerate(cascade.class_names):
        frame[name] = joint[:, number]
    names = np.array(cascade.class_names)
    frame["likeliest"] = names[joint.argmax(axis=1)]
    frame["stage1"] = np.array(cascade.stage1.class_names)[first.argmax(axis=1)]
    frame["stage2"] = np.array(cascade.stage2.class_names)[second.argmax(axis=1)]
    frame["predicted"] = [name for part in found for name in part.predicted]
    frame["reason"] = [reason for part in found for reason in part.reasons]
    # The networks' outputs are not used for rejected images.
    frame.loc[frame["predicted"] == REJECTED, ["likeliest", "stage1", "stage2"]] = REJECTED
    frame["lung_flags"] = [" ".join(flags) for part in found for flags in part.lung_flags]
    return frame


def _figures(frame, cascade, resamples, seed):
    """Returns one table line for each share of images, with its interval and counts."""
    truth = frame["label"].to_numpy()
    likeliest, predicted = frame["likeliest"].to_numpy(), frame["predicted"].to_numpy()
    answered = ~np.isin(predicted, [ABSTAIN, REJECTED])
    sent = frame["stage1"].to_numpy() == cascade.rule.refines
    second = frame["stage2"].to_numpy()
    # The answer of stage 2 for all images of its classes.
    routed = np.where(np.isin(truth, cascade.stage2.class_names), second, likeliest)
    every = np.ones(len(frame), bool)
    right = "most probable class is right"
    shares = {
        right: (likeliest == truth, every),
        "answered": (answered, every),
        "right, of the answered images": (predicted == truth, answered),
        "rejected by the input gate": (predicted == REJECTED, every),
        "lungs not plausible": (frame["lung_flags"].to_numpy() != "", every),
        **{f"{name}: {right}": (likeliest == name, truth == name) for name in cascade.class_names},
        **{f"{name}: passed on to stage 2": (sent, truth == name) for name in cascade.class_names},
        **{
            f"{name}: stage 2 is right": (second == name, truth == name)
            for name in cascade.stage2.class_names
        },
        "right if stage 1 passed on all images of stage 2's classes": (routed == truth, every),
    }
    for source in sorted(set(frame["source"])):
        shares[f"source {source}: {right}"] = (likeliest == truth, (frame["source"] == source).to_numpy())
    intervals = share_intervals(shares, frame["patient"].to_numpy(), resamples, seed)
    lines = ["| | share | images |", "| --- | --- | --- |"]
    for name, (has, counted) in shares.items():
        if not counted.any():
            continue
        interval = "" if intervals[name] is None else " ({:.3f} to {:.3f})".format(*intervals[name])
        share = f"{has[counted].mean():.3f}{interval}"
        lines.append(f"| {name} | {share} | {(has & counted).sum()} of {counted.sum()} |")
    return lines


def _table(confusion):
    yield "| label | " + " | ".join(confusion.columns) + " |"
    yield "|" + " --- |" * (len(confusion.columns) + 1)
    for label, counts in confusion.iterrows():
        yield f"| {label} | " + " | ".join(map(str, counts)) + " |"


if __name__ == "__main__":
    with report_errors():
        tyro.cli(main, description=__doc__)
