"""Evaluates a cascade on labelled radiographs, end to end."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from semenet.inference.reading_ahead import read_ahead
from semenet.metrics.patient_bootstrap import share_intervals
from semenet.progress import track
from semenet.serving.cascade.cascade import BATCH_SIZE, Cascade
from semenet.serving.cascade.decisions import ABSTAIN, REJECTED
from semenet.serving.cascade.results import CascadeResult
from semenet.serving.cascade_evaluation.labelled_rows import read_labelled_rows
from semenet.storage.atomic import output_folder, write_text
from semenet.storage.csv_cells import csv_text
from semenet.storage.file_names import as_paths

PREDICTIONS, CONFUSION, RESULTS = "predictions.csv", "confusion.csv", "results.md"


@dataclasses.dataclass(frozen=True)
class CascadeEvaluation:
    """The results of a cascade on labelled radiographs.

    Attributes:
        predictions: a row for each image: path, label, patient, source, the joint distribution, the most
            probable class (`likeliest`), the predicted classes of both stages, `predicted`, `reason` and
            `lung_flags`.
        confusion: number of images by label and predicted class, with columns for abstained and rejected
            images.
        shares: a row for each share of images: its name, the share, the 95 % interval over patients (NaN
            where it is not defined), and the two counts that it divides.
        text: all of it in words and Markdown tables.

    Example:
        >>> found = semenet.serving.evaluate_cascade("cascade", "manifest.csv", resamples=50)
        >>> found.confusion.columns.tolist()
        ['normal', 'bacteria', 'other_viral', 'COVID-19', 'abstain', 'rejected']
    """

    predictions: pd.DataFrame
    confusion: pd.DataFrame
    shares: pd.DataFrame
    text: str


def evaluate_cascade(
    cascade: Cascade | str | os.PathLike,
    manifests: str | os.PathLike | Sequence[str | os.PathLike],
    split: str = "val",
    *,
    out: str | os.PathLike | None = None,
    refined: str | None = None,
    root: str | os.PathLike | None = None,
    batch_size: int = BATCH_SIZE,
    resamples: int = 2000,
    seed: int = 0,
) -> CascadeEvaluation:
    """Evaluates a cascade on labelled radiographs, end to end.

    It counts the decisions in a confusion matrix with columns for abstained and rejected images, and gives
    with 95 % bootstrap intervals over patients: accuracy and sensitivities of the most probable class and of
    the answered images; for each class, the share that stage 1 passes on to stage 2; the accuracy if stage 1
    passed on all images of stage 2's classes; and the accuracy in each source, such as a hospital.

    Args:
        cascade: a cascade, or the folder of a saved one.
        manifests: one CSV or several, whose labels are the cascade's classes, or the class that stage 2
            divides. An image that is in two manifests counts once.
        split: the split to evaluate.
        out: folder to write predictions.csv, confusion.csv and results.md to; or None.
        refined: the class of stage 2 that the label of the divided class counts as; None for the first one.
        root: the folder that the manifests' paths are relative to; None for each CSV's own.
        batch_size: images per step.
        resamples: number of bootstrap draws of patients.
        seed: seed of the draws.

    Returns:
        The results.

    Raises:
        CascadeError: the folder has no complete cascade.
        ManifestError: a manifest cannot be used, or has no such split.
        ImageError: an image cannot be read.
        OutputError: the results cannot be written.
        SemenetError: a label is not a class of the cascade, or a network returns NaN.

    Example:
        >>> found = semenet.serving.evaluate_cascade("cascade", "manifest.csv", resamples=50)
        >>> int(found.confusion.to_numpy().sum()) == len(found.predictions)
        True
        >>> found.shares["name"].tolist()[:2]
        ['most probable class is right', 'answered']
    """
    folder = None if out is None else output_folder(out)
    cascade = cascade if isinstance(cascade, Cascade) else Cascade.open(cascade)
    rows = read_labelled_rows(as_paths(manifests), split, cascade, refined, root)
    predictions = _predict(cascade, rows, batch_size)
    confusion = pd.crosstab(predictions["label"], predictions["predicted"]).reindex(
        index=list(cascade.class_names), columns=[*cascade.class_names, ABSTAIN, REJECTED], fill_value=0
    )
    shares = _shares(predictions, cascade, resamples, seed)
    text = "\n".join(
        [
            f"{len(rows)} images of {rows['patient'].nunique()} patients, split {split}. In parentheses: the "
            "95 % interval over patients.",
            "",
            *_confusion_lines(confusion),
            "",
            *_share_lines(shares),
        ]
    )
    if folder is not None:
        write_text(folder / PREDICTIONS, csv_text(predictions))
        write_text(folder / CONFUSION, csv_text(confusion.reset_index()))
        write_text(folder / RESULTS, text + "\n")
    return CascadeEvaluation(predictions, confusion, shares, text)


def _predict(cascade: Cascade, rows: pd.DataFrame, batch_size: int) -> pd.DataFrame:
    """Returns the rows with the cascade's results."""
    batches = read_ahead(rows["path"].tolist(), cascade.prepare_file, batch_size)
    tracked = track(batches, len(rows), "Classifying")
    found = CascadeResult.concatenate(cascade.decide(batch) for batch in tracked)
    frame = rows[["path", "label", "patient", "source"]].copy()
    for number, name in enumerate(cascade.class_names):
        frame[name] = found.probabilities[:, number]
    frame["likeliest"] = np.array(cascade.class_names)[found.probabilities.argmax(axis=1)]
    frame["stage1"] = np.array(cascade.stage1.class_names)[found.stage1_probabilities.argmax(axis=1)]
    frame["stage2"] = np.array(cascade.stage2.class_names)[found.stage2_probabilities.argmax(axis=1)]
    frame["predicted"] = found.predicted
    frame["reason"] = found.reasons
    # The networks' outputs are not used for rejected images.
    frame.loc[frame["predicted"] == REJECTED, ["likeliest", "stage1", "stage2"]] = REJECTED
    frame["lung_flags"] = [" ".join(flags) for flags in found.lung_flags]
    return frame


def _shares(frame: pd.DataFrame, cascade: Cascade, resamples: int, seed: int) -> pd.DataFrame:
    """Returns a row for each share of images that can be counted."""
    truth = frame["label"].to_numpy()
    likeliest, predicted = frame["likeliest"].to_numpy(), frame["predicted"].to_numpy()
    answered = ~np.isin(predicted, [ABSTAIN, REJECTED])
    sent = frame["stage1"].to_numpy() == cascade.rule.refines
    second = frame["stage2"].to_numpy()
    # The answer of stage 2 for all images of its classes.
    routed = np.where(np.isin(truth, cascade.stage2.class_names), second, likeliest)
    every = np.ones(len(frame), bool)
    right = "most probable class is right"
    counts = {
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
        here = (frame["source"] == source).to_numpy()
        counts[f"source {source}: answered"] = (answered, here)
        counts[f"source {source}: {right}"] = (likeliest == truth, here)
    intervals = share_intervals(counts, frame["patient"].to_numpy(), resamples, seed)
    table = [
        (
            name,
            has[counted].mean(),
            *(intervals[name] or (np.nan, np.nan)),
            int((has & counted).sum()),
            int(counted.sum()),
        )
        for name, (has, counted) in counts.items()
        if counted.any()
    ]
    return pd.DataFrame(table, columns=["name", "share", "low", "high", "images", "of"])


def _share_lines(shares: pd.DataFrame) -> Iterator[str]:
    yield from ("| | share | images |", "| --- | --- | --- |")
    for row in shares.itertuples():
        interval = "" if np.isnan(row.low) else f" ({row.low:.3f} to {row.high:.3f})"
        yield f"| {row.name} | {row.share:.3f}{interval} | {row.images} of {row.of} |"


def _confusion_lines(confusion: pd.DataFrame) -> Iterator[str]:
    yield "| label | " + " | ".join(confusion.columns) + " |"
    yield "|" + " --- |" * (len(confusion.columns) + 1)
    for label, counts in confusion.iterrows():
        yield f"| {label} | " + " | ".join(map(str, counts)) + " |"
