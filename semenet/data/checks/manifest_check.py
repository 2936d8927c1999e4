"""Checks a data set before training: leaks, copies, shortcuts and unreadable files."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from semenet.data.checks.copies import find_copies_in_rows
from semenet.data.checks.duplicates import DEFAULT_SIMILARITY, check_similarity
from semenet.data.checks.file_survey import content_hash, survey_files
from semenet.data.checks.shortcuts import origin_tables
from semenet.data.manifest.table import Manifest, patients_in_several_splits


def check_manifest(
    manifest: Manifest,
    *,
    splits: Sequence[str] | None = None,
    min_similarity: float = DEFAULT_SIMILARITY,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Reads all images and masks of a manifest, and reports its problems.

    A leak is a patient in two splits, or copies of one image in two splits, whatever their patients are.
    Every split counts, also one that is held in reserve for a later test.

    Args:
        manifest: the manifest; the columns `label` and `mask` are optional.
        splits: splits to check; rows of other splits are ignored. None checks all.
        min_similarity: similarity in [0.5, 1] from which two images are copies; see
            `semenet.data.checks.duplicates`.
        progress: None, or a function called with the name of a step ("Reading" or "Comparing"), the number
            done and the total.

    Returns:
        A dict that can be written as JSON:
        `manifest` (path), `manifest_sha256`, `content_sha256` (see `content_hash`; None if a file is
        missing), `rows`, `splits` (counts), `near` (the argument `min_similarity`);
        `unreadable`: dicts of `file`, `kind` ("image" or "mask") and `reason`;
        `patients_in_two_splits`: maps a patient to its splits;
        `copies`: dicts of `kind` ("identical" pixels or "near"), `similarity`, `leak` (bool: in two splits),
        `disagree` ("patient" and "label", as far as they differ) and `images` (dicts of file, label,
        patient, split), leaks first; copies in one split are listed only if patient or label differ;
        `origins`: see `origin_tables`;
        `classes`: maps a label to `images`, `patients` and the medians of `height`, `width`, `aspect` (width
        / height), grey `mean` and `deviation` in [0, 255], and of the shares of `black` and `white` pixels;
        None if no image of the class can be read;
        `masks`: None without the column, otherwise `masks` and `without` (counts), `empty` (files) and
        `share`, the quantiles 0, 0.05, 0.5, 0.95 and 1 of the share of pixels inside;
        `leaks`: their number; `passed`: whether there is neither a leak nor an unreadable file.

    Raises:
        SemenetError: `min_similarity` is outside its range.
        ManifestError: no row has one of `splits`.

    Example:
        >>> from semenet import read_manifest
        >>> from semenet.data.checks import check_manifest
        >>> report = check_manifest(read_manifest("manifest.csv"))
        >>> report["leaks"], report["passed"]
        (0, True)
    """
    check_similarity(min_similarity)
    rows = manifest.rows
    if splits is not None:
        for name in splits:
            manifest.split(name)
        rows = rows[rows["split"].isin(splits)].reset_index(drop=True)
    survey = survey_files(
        rows, None if progress is None else lambda done, total: progress("Reading", done, total)
    )
    files = survey.files
    copies = find_copies_in_rows(rows, survey, min_similarity, progress)
    straddling = patients_in_several_splits(rows)
    unreadable = _unreadable_files(rows, files)
    leaks = len(straddling) + sum(copy["leak"] for copy in copies)
    return {
        "manifest": str(manifest.path),
        "manifest_sha256": manifest.sha256,
        "content_sha256": content_hash(files),
        "rows": len(rows),
        "splits": {name: int(count) for name, count in rows["split"].value_counts().sort_index().items()},
        "near": min_similarity,
        "unreadable": unreadable,
        "patients_in_two_splits": {patient: list(names) for patient, names in straddling.items()},
        "copies": copies,
        "origins": origin_tables(rows),
        "classes": _describe_classes(rows, files),
        "masks": _describe_masks(rows, files),
        "leaks": leaks,
        "passed": not leaks and not unreadable,
    }


def _unreadable_files(rows: pd.DataFrame, files: pd.DataFrame) -> list[dict[str, str]]:
    unreadable = []
    for kind, column, name in (("image", "error", "file"), ("mask", "mask_error", "mask")):
        for index in (files[column] != "").to_numpy().nonzero()[0]:
            reason = files[column].iloc[index]
            unreadable.append({"file": rows[name].iloc[index], "kind": kind, "reason": reason})
    return unreadable


def _describe_classes(rows: pd.DataFrame, files: pd.DataFrame) -> dict[str, dict[str, Any]]:
    labels = rows["label"] if "label" in rows else pd.Series("all", index=rows.index)
    measured = files.assign(aspect=files["width"] / files["height"])
    columns = ["height", "width", "aspect", "mean", "deviation", "black", "white"]
    medians = measured.groupby(labels.to_numpy())[columns].median()
    return {
        str(label): {
            "images": int((labels == label).sum()),
            "patients": int(rows.loc[labels == label, "patient"].nunique()),
            **{column: None if pd.isna(value) else float(value) for column, value in values.items()},
        }
        for label, values in medians.iterrows()
    }


def _describe_masks(rows: pd.DataFrame, files: pd.DataFrame) -> dict[str, Any] | None:
    if "mask" not in rows:
        return None
    shares = files["mask_share"].dropna()
    quantiles = (0.0, 0.05, 0.5, 0.95, 1.0)
    return {
        "masks": len(shares),
        "without": int((rows["mask"] == "").sum()),
        "empty": rows.loc[(files["mask_share"] == 0).to_numpy(), "mask"].tolist(),
        "share": {f"{q:g}": float(shares.quantile(q)) for q in quantiles} if len(shares) else None,
    }
