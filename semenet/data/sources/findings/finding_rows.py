"""Builds the rows of a manifest from the images and findings of a data set, by `RowRules`."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.splitting import SHARES
from semenet.data.sources.combining.label_mapping import suggest
from semenet.data.sources.findings.row_rules import UNCERTAIN, RowRules, parse_age_range, parse_ages
from semenet.data.sources.source_rows import (
    SPLITS,
    SourceError,
    draw_splits,
    keep_existing_files,
    keep_patients_whole,
    warn_source,
)
from semenet.errors import SemenetError

PRESENT, ABSENT, MISSING = "1", "0", ""

_OTHER = "other"
# The share of the publisher's training patients that becomes val if the publisher has no val.
_VAL_SHARE = 0.1
_FIRST_COLUMNS = ("file", "label", "patient", "split", "source", "license", "view", "sex", "age")


def build_rows(
    images: pd.DataFrame,
    findings: pd.DataFrame,
    folder: pathlib.Path,
    rules: RowRules,
    *,
    source: str,
    license: str,
    labels: Mapping[str, str],
    left_out: Sequence[str] = (),
    frontal_only: bool = True,
    from_headers: bool = False,
) -> pd.DataFrame:
    """Builds the rows of a manifest.

    Args:
        images: text, one row per image: `file` (relative to `folder`), `patient`, optionally `view`, `sex`,
            `age`, `split` (the publisher's; drawn by patient if missing), and further columns to keep.
        findings: text, indexed like `images`, one column per finding: "1", "0", "" (not known) or
            "uncertain".
        folder: the downloaded folder.
        rules: the rules.
        source: value of the column `source`.
        license: value of the column `license`.
        labels: labels of findings if `rules` has none.
        left_out: what the reader left out before, such as "3 without a patient".
        frontal_only: whether the publisher has frontal images only, so that those without a view are kept.
        from_headers: whether `view` and `age` come from the files, so that missing files are reported first.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label`, `patient`, `split`, `source`, `license`,
        further columns of `images`, and the findings.

    Raises:
        SourceError: a file is missing or listed twice, or no image is left.
        SemenetError: a view or finding of the rules is unknown.
    """
    repeated = images["file"][images["file"].duplicated()].tolist()
    if repeated:
        raise SourceError(
            f"Each image must be listed once. Received: {folder}, where {shorten(repeated)} is listed more "
            "than once. Download the table again."
        )
    labels = labels if rules.labels is None else rules.labels
    _check_known("--findings", rules.findings, findings.columns)
    _check_known("--labels", labels, findings.columns)
    left_out, total = list(left_out), len(images)
    images = images.assign(age=_known_ages(images, source)) if "age" in images else images

    def select(selected: pd.Series, reason: str) -> None:
        nonlocal images
        if not selected.all():
            left_out.append(f"{int((~selected).sum())} {reason}")
            images = images[selected]

    if from_headers:
        images = keep_existing_files(images, folder, rules.on_missing, source, option="--on-missing")
    if "view" in images:
        shown = ", ".join(rules.views) or "frontal ones (PA, AP ...)"
        select(_has_view(images["view"], rules.views, frontal_only), f"of other views than {shown}")
    if rules.ages:
        select(_has_age(images, rules.ages), f"of other or unknown ages than {rules.ages}")
    label = _label_of(findings.loc[images.index], labels)
    if rules.drop_others:
        select(~label.isin([_OTHER, UNCERTAIN]), f"with none of {', '.join(labels)}")
    if images.empty:
        raise SourceError(
            f"At least one image of {source} must be left. Received: {folder} with {total} images: "
            f"{'; '.join(left_out) or 'none listed'}. Choose other views, ages or labels."
        )
    if left_out:
        warn_source(f"{source}: left out of {total} images: {'; '.join(left_out)}.")
    if not from_headers:
        images = keep_existing_files(images, folder, rules.on_missing, source, option="--on-missing")
    columns = list(rules.findings) or list(findings)
    cells = findings.loc[images.index, columns]
    if rules.uncertain != "keep":
        cells = cells.replace(UNCERTAIN, MISSING if rules.uncertain == "missing" else rules.uncertain)
    frame = images.assign(label=label[images.index], source=source, license=license)
    frame = pd.concat([frame, cells], axis=1).sort_values("file", ignore_index=True)
    frame["split"] = _splits(frame, rules.seed)
    first = [column for column in _FIRST_COLUMNS if column in frame]
    return frame[[*first, *(column for column in frame if column not in first)]]


def cells_of(present: pd.DataFrame | pd.Series) -> pd.DataFrame | pd.Series:
    """Converts booleans into the cells "1" and "0"."""
    return present.astype(object).where(~present, PRESENT).where(present, ABSENT)


def _known_ages(images: pd.DataFrame, source: str) -> pd.Series:
    ages = parse_ages(images["age"])
    impossible = (ages == "") & images["age"].str.contains(r"\d", regex=True)
    if impossible.any():
        examples = ", ".join(sorted(images.loc[impossible, "age"].unique())[:3])
        warn_source(
            f"{source}: {int(impossible.sum())} images have an impossible age, such as {examples}; "
            "their age is empty."
        )
    return ages


def _has_view(view: pd.Series, views: Sequence[str], frontal_only: bool) -> pd.Series:
    if views:
        _check_known("--views", views, sorted(set(view) - {""}))
        return view.str.lower().isin([each.lower() for each in views])
    frontal = view.str.upper().str.startswith(("PA", "AP"))
    return frontal | (view == "") if frontal_only else frontal


def _has_age(images: pd.DataFrame, text: str) -> pd.Series:
    if "age" not in images:
        raise SourceError(f"This data set tells no ages. Received: --ages {text}. Leave the option out.")
    first, last = parse_age_range(text)
    return pd.to_numeric(images["age"]).between(first, last)


def _label_of(findings: pd.DataFrame, labels: Mapping[str, str]) -> pd.Series:
    """Returns the label of the first finding that is present, "uncertain", or "other"."""
    label = pd.Series(_OTHER, index=findings.index)
    for finding in labels:
        label[findings[finding] == UNCERTAIN] = UNCERTAIN
    for finding, name in reversed(labels.items()):
        label[findings[finding] == PRESENT] = name
    return label


def _check_known(option: str, requested: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    by_lower_case = {each.lower() for each in known}
    for each in requested:
        if each not in known and not (option == "--views" and each.lower() in by_lower_case):
            raise SemenetError(
                f"{option} must name what the data set has. Received: {each!r}. {suggest(each, known)}Choose "
                f"among: {', '.join(known)}."
            )


def _splits(frame: pd.DataFrame, seed: int) -> pd.Series:
    if "split" not in frame:
        return draw_splits(frame, SHARES, seed)
    split = keep_patients_whole(frame)["split"]
    train = frame[split == "train"]
    if not (split == "val").any() and not train.empty:
        split[train.index] = draw_splits(train, {"train": 1 - _VAL_SHARE, "val": _VAL_SHARE}, seed)
    assert set(split) <= set(SPLITS)
    return split
