"""Copies of images among the rows of a manifest: between its splits, and of a single image."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from semenet.data.checks.duplicates import (
    DEFAULT_SIMILARITY,
    check_similarity,
    find_copies,
    find_near_pairs,
    make_thumbnail,
)
from semenet.data.checks.file_survey import Survey, pixels_sha256, survey_files
from semenet.data.manifest.class_labels import labels_contradict
from semenet.data.manifest.table import Manifest, ManifestError

_SHOWN_COLUMNS = ("file", "label", "patient", "split")


def find_copies_in_rows(
    rows: pd.DataFrame,
    survey: Survey,
    min_similarity: float,
    progress: Callable[[str, int, int], None] | None,
) -> list[dict[str, Any]]:
    """Finds images of a manifest that are copies of each other, as `check_manifest` reports them.

    Args:
        rows: rows of a manifest.
        survey: the survey of their files.
        min_similarity: similarity in [0.5, 1] from which two images are copies.
        progress: None, or a function called with "Comparing", the number of pairs compared and the total.

    Returns:
        The value of `copies` in the report, leaks first.
    """
    copies = _identical_images(rows, survey.files) + _near_copies(rows, survey, min_similarity, progress)
    return sorted(copies, key=lambda copy: (not copy["leak"], -copy["similarity"], copy["images"][0]["file"]))


def find_image(
    manifest: Manifest,
    image: np.ndarray,
    *,
    split: str | None = "train",
    min_similarity: float = DEFAULT_SIMILARITY,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Finds an image, or copies of it, among the images of a manifest.

    Args:
        manifest: the manifest; the column `label` is optional.
        image: uint8 array (height, width), values in [0, 255], as `read_image` returns it.
        split: split to search; None searches all splits.
        min_similarity: similarity in [0.5, 1] from which two images are copies; see
            `semenet.data.checks.duplicates`.
        progress: None, or a function called with the number of images read and the total.

    Returns:
        Dicts of file, label (if the manifest has labels), patient, split, `kind` ("identical" pixels or
        "near") and `similarity`; the most similar image is first.

    Raises:
        SemenetError: `min_similarity` is outside its range.
        ManifestError: no row has this split, or an image cannot be read: then its absence is uncertain.

    Example:
        >>> from semenet import read_image, read_manifest
        >>> from semenet.data.checks import find_image
        >>> manifest = read_manifest("manifest.csv")
        >>> image = read_image(manifest.rows["path"][0])
        >>> matches = find_image(manifest, image, split=None)
        >>> matches[0]["kind"], matches[0]["similarity"]
        ('identical', 1.0)
    """
    check_similarity(min_similarity)
    rows = manifest.rows if split is None else manifest.split(split)
    columns = [column for column in rows.columns if column != "mask_path"]
    survey = survey_files(rows[columns], progress)
    unreadable = survey.files["error"] != ""
    if unreadable.any():
        raise ManifestError(
            f"Every image must be readable to search {manifest.path}. "
            f"Received: {int(unreadable.sum())} unreadable, first: "
            f"{survey.files.loc[unreadable, 'error'].iloc[0]} Fix or remove these rows."
        )
    identical = survey.files["pixels_sha256"] == pixels_sha256(image)
    similarities = dict.fromkeys(range(len(rows)), 0.0) | dict(
        find_copies(make_thumbnail(image), survey.thumbnails, min_similarity=min_similarity)
    )
    matches = []
    for index, similarity in similarities.items():
        if identical.iloc[index]:
            matches.append(_describe_row(rows, index) | {"kind": "identical", "similarity": 1.0})
        elif similarity:
            matches.append(_describe_row(rows, index) | {"kind": "near", "similarity": similarity})
    return sorted(
        matches, key=lambda match: (match["kind"] != "identical", -match["similarity"], match["file"])
    )


def _describe_row(rows: pd.DataFrame, index: int) -> dict[str, str]:
    return {column: str(rows[column].iloc[index]) for column in _SHOWN_COLUMNS if column in rows}


def _describe_copy(
    rows: pd.DataFrame, indices: Iterable[int], kind: str, similarity: float
) -> dict[str, Any]:
    images = [_describe_row(rows, index) for index in indices]
    disagree = ["patient"] if len({image["patient"] for image in images}) > 1 else []
    if "label" in rows and labels_contradict([image["label"] for image in images]):
        disagree.append("label")
    leak = len({image["split"] for image in images}) > 1
    return {"kind": kind, "similarity": similarity, "leak": leak, "disagree": disagree, "images": images}


def _identical_images(rows: pd.DataFrame, files: pd.DataFrame) -> list[dict[str, Any]]:
    """Groups images with the same pixels in two splits, or with different patients or labels."""
    digests = files["pixels_sha256"].reset_index(drop=True)
    repeated = digests[(digests != "") & digests.duplicated(keep=False)]
    groups = [
        _describe_copy(rows, indices, "identical", 1.0)
        for indices in repeated.groupby(repeated).groups.values()
    ]
    return [group for group in groups if group["leak"] or group["disagree"]]


def _near_copies(
    rows: pd.DataFrame,
    survey: Survey,
    min_similarity: float,
    progress: Callable[[str, int, int], None] | None,
) -> list[dict[str, Any]]:
    readable = (survey.files["error"] == "").to_numpy().nonzero()[0]
    readable_rows = rows.iloc[readable]
    groups = readable_rows["patient"]
    if "label" in readable_rows:
        groups = groups + "\n" + readable_rows["label"]
    digests = survey.files["pixels_sha256"].to_numpy()
    pairs = find_near_pairs(
        survey.thumbnails[readable],
        readable_rows["split"],
        pd.factorize(groups)[0],
        min_similarity=min_similarity,
        progress=None if progress is None else lambda done, total: progress("Comparing", done, total),
    )
    indexed = [(readable[a], readable[b], similarity) for a, b, similarity in pairs]
    return [
        _describe_copy(rows, [a, b], "near", similarity)
        for a, b, similarity in indexed
        if digests[a] != digests[b]
    ]
