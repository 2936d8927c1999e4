"""The rows of manifests, labelled with the classes of a cascade."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import pandas as pd

from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.serving.cascade.cascade import Cascade


def read_labelled_rows(
    manifests: Sequence[str | os.PathLike],
    split: str,
    cascade: Cascade,
    refined: str | None = None,
    root: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Reads the rows of one split of manifests, each image once.

    Args:
        manifests: CSVs whose labels are the cascade's classes, or the class that stage 2 divides.
        split: the split.
        cascade: the cascade.
        refined: the class of stage 2 that the label of the divided class counts as, since a manifest of
            `virus` does not say which virus; None for the first class of stage 2.
        root: the folder that the manifests' paths are relative to; None for each CSV's own.

    Returns:
        The rows, with the column `source`: that of the manifest, or the name of its folder.

    Raises:
        ManifestError: a manifest cannot be used, or has no such split.
        SemenetError: a label, or `refined`, is not a class of the cascade.
    """
    refined = cascade.stage2.class_names[0] if refined is None else refined
    parts = []
    for path in map(pathlib.Path, manifests):
        part = read_manifest(path, root).split(split)
        if "source" not in part:
            part["source"] = path.absolute().parent.name
        parts.append(part)
    rows = pd.concat(parts, ignore_index=True)
    rows["path"] = [str(pathlib.Path(path).resolve()) for path in rows["path"]]
    rows["label"] = rows["label"].replace({cascade.rule.refines: refined})
    rows = rows.drop_duplicates("path").reset_index(drop=True)
    if unknown := {*rows["label"], refined} - set(cascade.class_names):
        raise SemenetError(
            f"Labels must be classes of the cascade: {', '.join(cascade.class_names)}. "
            f"Received: {', '.join(sorted(unknown))}. Use other manifests, or another --refined."
        )
    return rows
