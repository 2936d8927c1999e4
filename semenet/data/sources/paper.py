"""The data sets of the paper's table 1, drawn from the public sources by whole patients."""

import pathlib

import numpy as np
import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.table import read_manifest
from semenet.data.sources.covid_chestxray import covid_chestxray
from semenet.data.sources.kermany import SPLITS, SourceError, kermany_parts
from semenet.errors import SemenetError

# Table 1 as printed. Its validation and test rows of dataset 1 have the names of normal and
# bacteria exchanged: see `dataset1`.
PAPER_COUNTS = {
    "dataset1": {
        "train": {"normal": 1341, "bacteria": 2530, "virus": 1345},
        "val": {"normal": 125, "bacteria": 121, "virus": 74},
        "test": {"normal": 125, "bacteria": 121, "virus": 74},
    },
    "dataset2": {
        "train": {"other_viral": 165, "COVID-19": 105},
        "val": {"other_viral": 76, "COVID-19": 10},
        "test": {"other_viral": 75, "COVID-19": 10},
    },
    "lungs": {"train": {"lungs": 900}, "val": {"lungs": 50}, "test": {"lungs": 50}},
}


def dataset1(kermany, *, seed=0):
    """The paper's dataset 1: normal, bacterial and viral, training on Kermany's own training part.

    Kaggle's edition holds 1341 normal, 2530 bacterial and 1345 viral images in train: the paper's training
    to the image. Its val and test together hold 242, 250 and 148, which the paper halves; it prints 125,
    121 and 74, which are the halves of 250, 242 and 148: normal and bacterial are exchanged in print, and
    its overall 1591 and 2772 are so too (Kaggle's are 1583 and 2780). So 121, 125 and 74 a half are what
    the source can give. Mendeley's edition has no val: train holds 1349, 2538 and 1345, test 234, 242 and
    148.

    The halves are drawn by patient, each label for itself, as near to half its images as whole patients
    allow. A patient who stands in train and in test goes into test, whatever that costs in training images.
    A smaller download keeps these proportions.

    Args:
        kermany: folder of Kermany's X-rays, as for `semenet.data.sources.kermany.kermany`.
        seed: int, of the draw of the halves.

    Returns:
        A DataFrame as of `semenet.data.sources.kermany.kermany`, files relative to `kermany`.

    Raises:
        SourceError: as for `kermany`.
    """
    frame = kermany_parts(kermany)
    rng = np.random.default_rng(seed)
    held_out = frame[frame["split"] != "train"]
    split = frame["split"].copy()
    split[held_out.index] = "test"
    for _, rows in held_out.groupby("label"):
        split[rows.index[rows["patient"].isin(draw_patients(rows, len(rows) / 2, rng))]] = "val"
    return frame.assign(split=split)


def dataset2(kermany, covid, *, counts="paper", on_error="raise", seed=0):
    """The paper's dataset 2: COVID-19 of covid-chestxray-dataset against Kermany's other viral images.

    The viral images keep the splits of `dataset1` with the same seed, so that a cascade of both networks is
    never asked about a child either was trained on. That leaves 74 and 74 viral images to validate and test
    on, where the paper has 76 and 75: it must have taken some from the training part. The COVID-19 images,
    frontal views alone, are drawn by patient for all three splits.

    The classes differ in age (children against adults), scanner and source, which a network learns as readily
    as the disease: no figure on this set tells them apart.

    Args:
        kermany: folder of Kermany's X-rays, as for `semenet.data.sources.kermany.kermany`.
        covid: folder of covid-chestxray-dataset.
        counts: "paper" for table 1's counts, as near as whole patients allow, or as many as there are;
            fewer than 125 COVID-19 images keep the proportions 105:10:10. "all" for every image: COVID-19
            in these proportions.
        on_error: as for `semenet.data.sources.covid_chestxray.covid_chestxray`.
        seed: int, of all draws.

    Returns:
        A DataFrame of text: `file` (absolute), `label` ("other_viral" or "COVID-19"), `patient`, `split`,
        `source`, `license`, and what covid-chestxray-dataset tells.

    Raises:
        SourceError: as for the two sources, or Kermany's folder has no viral image.
        ValueError: `counts` is neither of the two.
    """
    _check_counts(counts)
    rng = np.random.default_rng(seed)
    viral = dataset1(kermany, seed=seed)
    viral = viral[viral["label"] == "virus"].assign(label="other_viral")
    if viral.empty:
        raise SourceError(
            f"Dataset 2 needs Kermany's viral images. Received: {kermany}, without any. Unpack the archive "
            "again."
        )
    if counts == "paper":
        wanted = {split: PAPER_COUNTS["dataset2"][split]["other_viral"] for split in SPLITS}
        drawn = [draw_patients(rows, wanted[split], rng) for split, rows in viral.groupby("split", sort=True)]
        viral = viral[viral["patient"].isin(set().union(*drawn))]
    covid_rows = covid_chestxray(covid, findings=("COVID-19",), on_error=on_error, seed=seed)
    wanted = {split: PAPER_COUNTS["dataset2"][split]["COVID-19"] for split in SPLITS}
    covid_rows = _drawn_splits(covid_rows, wanted, counts, rng)
    frames = [_absolute(viral, kermany), _absolute(covid_rows, covid)]
    return pd.concat(frames, ignore_index=True).fillna("")


def lung_pairs(manifests, *, counts="paper", seed=0):
    """The paper's U-Net data: images with lung masks, 900 to train on and 50 each to validate and test.

    Args:
        manifests: sequence of paths of CSVs with the columns file, mask and patient, such as `semenet data`
            makes of V7's, the Montgomery and the Shenzhen sets; a patient is one over all of them.
        counts: "paper" for 900, 50 and 50, as near as whole patients allow (fewer than 1000 pairs keep the
            proportions); "all" for every pair in these proportions.
        seed: int, of the draw.

    Returns:
        A DataFrame of text: `file` and `mask` (absolute), `patient`, `split`, and of label, source, license
        and finding those that the manifests have.

    Raises:
        ManifestError: a CSV cannot be used, or lacks a mask.
        SourceError: no manifest is given, or an image stands in two of them.
        ValueError: `counts` is neither of the two.
    """
    _check_counts(counts)
    if not manifests:
        raise SourceError("U-Net pairs need at least one manifest with masks. Received: none. Name the CSVs.")
    frames = []
    for path in manifests:
        rows = read_manifest(path, required=("mask",)).rows
        rows = rows.assign(file=rows["path"], mask=rows["mask_path"]).drop(
            columns=["path", "mask_path", "split"]
        )
        kept = ("file", "mask", "label", "patient", "source", "license", "finding")
        frames.append(rows[[column for column in kept if column in rows]])
    frame = pd.concat(frames, ignore_index=True).fillna("")
    repeated = frame["file"][frame.duplicated("file")].tolist()
    if repeated:
        raise SourceError(
            f"An image must have one mask. Received: {shorten(repeated)} in two of the manifests. Name each "
            "once."
        )
    wanted = {split: PAPER_COUNTS["lungs"][split]["lungs"] for split in SPLITS}
    return _drawn_splits(frame, wanted, counts, np.random.default_rng(seed)).reset_index(drop=True)


def draw_patients(rows, count, rng):
    """Draws patients whose images add up to a count, or as near to it as whole patients allow.

    Args:
        rows: DataFrame with the column `patient`, a row an image.
        count: number of images wanted; of two sums as near, the smaller is taken.
        rng: numpy.random.Generator.

    Returns:
        set of patients. Equal generators and patients give equal sets, whatever the order of the rows.
    """
    sizes = rows["patient"].value_counts().sort_index()
    sizes = sizes.iloc[rng.permutation(len(sizes))]
    # Bit s of reached[n] tells whether some of the first n patients have s images together.
    reached = [1]
    for size in sizes:
        reached.append(reached[-1] | reached[-1] << int(size))
    sums = (total for total in range(len(rows) + 1) if reached[-1] >> total & 1)
    left = min(sums, key=lambda total: (abs(total - count), total))
    drawn = set()
    for before, (patient, size) in zip(reached[-2::-1], reversed(list(sizes.items())), strict=True):
        if not before >> left & 1:
            drawn.add(patient)
            left -= int(size)
    return drawn


def compare_counts(frame, name):
    """Holds the counts of a data set against the paper's.

    Args:
        frame: DataFrame of `dataset1`, `dataset2` or `lung_pairs`.
        name: "dataset1", "dataset2" or "lungs".

    Returns:
        DataFrame of int, a row for each split and class of the paper's table: `reached` and `paper`.
    """
    labels = frame["label"] if name != "lungs" else pd.Series("lungs", index=frame.index)
    rows = [
        (split, label, int(((frame["split"] == split) & (labels == label)).sum()), count)
        for split, classes in PAPER_COUNTS[name].items()
        for label, count in classes.items()
    ]
    return pd.DataFrame(rows, columns=["split", "label", "reached", "paper"]).set_index(["split", "label"])


def _check_counts(counts):
    if counts not in ("paper", "all"):
        raise SemenetError(f'`counts` must be "paper" or "all". Received: {counts!r}. Give one of the two.')


def _drawn_splits(frame, wanted, counts, rng):
    """Draws test, val and train in turn; scaled where there are fewer, or where all are wanted."""
    scale = len(frame) / sum(wanted.values())
    scaled = {split: count * (scale if counts == "all" else min(scale, 1)) for split, count in wanted.items()}
    split = pd.Series("", index=frame.index)
    for part in ("test", "val", "train"):
        left = frame[split == ""]
        everything = part == "train" and (counts == "all" or scale <= 1)
        drawn = set(left["patient"]) if everything else draw_patients(left, scaled[part], rng)
        split[left.index[left["patient"].isin(drawn)]] = part
    frame = frame.drop(columns="split", errors="ignore")
    frame.insert(frame.columns.get_loc("patient") + 1, "split", split)
    return frame[split != ""]


def _absolute(frame, folder):
    top = pathlib.Path(folder).absolute()
    return frame.assign(file=[str(top / file) for file in frame["file"]])
