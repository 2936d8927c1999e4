"""What is wrong with a data set before a network learns it: leaks, copies, shortcuts, unreadable files."""

import pandas as pd

from semenet.data.checks.duplicates import SAME, check_same, near_pairs, nearest, thumbnail
from semenet.data.checks.file_survey import content_hash, pixels_sha256, survey
from semenet.data.checks.shortcuts import origin_tables
from semenet.data.manifest.table import ManifestError, patients_in_several_splits

_SHOWN = ("file", "label", "patient", "split")


def check_manifest(manifest, *, splits=None, near=SAME, progress=None):
    """Reads all images and masks of a manifest, and says what is wrong with them.

    A leak is a patient in two splits, or one picture in two splits, whoever it is said to be of. Every split
    counts, one that is held in reserve too: it is kept to be measured on one day.

    Args:
        manifest: a `Manifest`; `label` and `mask` may lack.
        splits: the splits to look at, rows of others are left out. None looks at all.
        near: the least similarity of one picture's copies, in [0.5, 1]; see `semenet.data.checks.duplicates`.
        progress: None, or a function of a step's name ("Reading" or "Comparing"), the number done and of all.

    Returns:
        A dict that JSON can hold:
        `manifest` (path), `manifest_sha256`, `content_sha256` (see `content_hash`; None where a file is
        absent), `rows`, `splits` (counts), `near` (the argument);
        `unreadable`: dicts of `file`, `kind` ("image" or "mask") and `reason`;
        `patients_in_two_splits`: patient to splits;
        `copies`: dicts of `kind` ("identical" pixels or "near"), `similarity`, `leak` (bool: in two splits),
        `disagree` (list of "patient", "label": in what the images differ) and `images` (dicts of file, label,
        patient, split), leaks first; copies in one split are listed where patient or label disagree.
        `origins`: see `origin_tables`;
        `classes`: label to `images`, `patients` and the medians of `height`, `width`, `aspect` (width /
        height), grey `mean` and `deviation` in [0, 255], and of the shares of `black` and `white` pixels;
        None where no image of the class can be read;
        `masks`: None without the column, else `masks`, `without`, `empty` (files) and the quantiles 0,
        0.05, 0.5, 0.95 and 1 of the inside's share, `share`;
        `leaks`: their number; `passed`: no leak, and no unreadable file.

    Raises:
        SemenetError: `near` lies outside its range.
        ManifestError: no row is of one of `splits`.
    """
    check_same(near)
    rows = manifest.rows
    if splits is not None:
        for name in splits:
            manifest.split(name)
        rows = rows[rows["split"].isin(splits)].reset_index(drop=True)
    found = survey(rows, None if progress is None else lambda done, total: progress("Reading", done, total))
    files = found.files
    copies = _identical(rows, files) + _near(rows, found, near, progress)
    copies.sort(key=lambda copy: (not copy["leak"], -copy["similarity"], copy["images"][0]["file"]))
    straddling = patients_in_several_splits(rows)
    unreadable = _unreadable(rows, files)
    leaks = len(straddling) + sum(copy["leak"] for copy in copies)
    return {
        "manifest": str(manifest.path),
        "manifest_sha256": manifest.sha256,
        "content_sha256": content_hash(files),
        "rows": len(rows),
        "splits": {name: int(count) for name, count in rows["split"].value_counts().sort_index().items()},
        "near": near,
        "unreadable": unreadable,
        "patients_in_two_splits": {patient: list(where) for patient, where in straddling.items()},
        "copies": copies,
        "origins": origin_tables(rows),
        "classes": _classes(rows, files),
        "masks": _masks(rows, files),
        "leaks": leaks,
        "passed": not leaks and not unreadable,
    }


def find_image(manifest, image, *, split="train", near=SAME, progress=None):
    """Finds an image, or copies of it, among the images of a manifest.

    Args:
        manifest: a `Manifest`; `label` may lack.
        image: uint8 array of shape (height, width), values in [0, 255], as `read_image` gives it.
        split: the split to look in; None looks in all.
        near: the least similarity of one picture's copies, in [0.5, 1]; see `semenet.data.checks.duplicates`.
        progress: None, or a function of the number of images read and of all.

    Returns:
        A list of dicts of file, label (where there is one), patient, split, `kind` ("identical" pixels or
        "near") and `similarity`, the most similar first.

    Raises:
        SemenetError: `near` lies outside its range.
        ManifestError: no row has that split, or images of it cannot be read: then "no" would be no answer.
    """
    check_same(near)
    rows = manifest.rows if split is None else manifest.split(split)
    columns = [column for column in rows.columns if column != "mask_path"]
    found = survey(rows[columns], progress)
    broken = found.files["error"] != ""
    if broken.any():
        raise ManifestError(
            f"Every image must be readable to say whether one is among them, in {manifest.path}. "
            f"Received: {int(broken.sum())} that are not, first: {found.files.loc[broken, 'error'].iloc[0]} "
            "Mend or remove these rows."
        )
    identical = found.files["pixels_sha256"] == pixels_sha256(image)
    matches = dict.fromkeys(range(len(rows)), 0.0) | dict(
        nearest(thumbnail(image), found.thumbnails, same=near)
    )
    listed = []
    for index, similarity in matches.items():
        if identical.iloc[index]:
            listed.append(_row(rows, index) | {"kind": "identical", "similarity": 1.0})
        elif similarity:
            listed.append(_row(rows, index) | {"kind": "near", "similarity": similarity})
    return sorted(
        listed, key=lambda match: (match["kind"] != "identical", -match["similarity"], match["file"])
    )


def _row(rows, index):
    return {column: str(rows[column].iloc[index]) for column in _SHOWN if column in rows}


def _copy(rows, indices, kind, similarity):
    images = [_row(rows, index) for index in indices]
    disagree = [key for key in ("patient", "label") if len({image.get(key) for image in images}) > 1]
    leak = len({image["split"] for image in images}) > 1
    return {"kind": kind, "similarity": similarity, "leak": leak, "disagree": disagree, "images": images}


def _identical(rows, files):
    """Groups of images with the same pixels that stand in two splits, or under two patients or labels."""
    digests = files["pixels_sha256"].reset_index(drop=True)
    repeated = digests[(digests != "") & digests.duplicated(keep=False)]
    groups = [
        _copy(rows, indices, "identical", 1.0) for indices in repeated.groupby(repeated).groups.values()
    ]
    return [group for group in groups if group["leak"] or group["disagree"]]


def _near(rows, found, near, progress):
    usable = (found.files["error"] == "").to_numpy().nonzero()[0]
    some = rows.iloc[usable]
    who = some["patient"] if "label" not in some else some["patient"] + "\n" + some["label"]
    digests = found.files["pixels_sha256"].to_numpy()
    pairs = near_pairs(
        found.thumbnails[usable],
        some["split"],
        pd.factorize(who)[0],
        same=near,
        progress=None if progress is None else lambda done, total: progress("Comparing", done, total),
    )
    numbered = [(usable[a], usable[b], similarity) for a, b, similarity in pairs]
    return [
        _copy(rows, (a, b), "near", similarity) for a, b, similarity in numbered if digests[a] != digests[b]
    ]


def _unreadable(rows, files):
    listed = []
    for kind, column, name in (("image", "error", "file"), ("mask", "mask_error", "mask")):
        for index in (files[column] != "").to_numpy().nonzero()[0]:
            reason = files[column].iloc[index]
            listed.append({"file": rows[name].iloc[index], "kind": kind, "reason": reason})
    return listed


def _classes(rows, files):
    labels = rows["label"] if "label" in rows else pd.Series("all", index=rows.index)
    measured = files.assign(aspect=files["width"] / files["height"])
    kinds = ["height", "width", "aspect", "mean", "deviation", "black", "white"]
    medians = measured.groupby(labels.to_numpy())[kinds].median()
    return {
        str(label): {
            "images": int((labels == label).sum()),
            "patients": int(rows.loc[labels == label, "patient"].nunique()),
            **{kind: None if pd.isna(value) else float(value) for kind, value in values.items()},
        }
        for label, values in medians.iterrows()
    }


def _masks(rows, files):
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
