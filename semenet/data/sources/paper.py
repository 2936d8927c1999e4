"""The data sets of the paper's table 1, drawn from public data sets by whole patients."""

import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.table import read_manifest
from semenet.data.sources.covid_chestxray import read_covid_chestxray
from semenet.data.sources.kermany import read_kermany_parts
from semenet.data.sources.source_rows import SPLITS, SourceError
from semenet.errors import SemenetError
from semenet.storage.file_names import as_paths

# Table 1 as printed. In its rows for validation and test of dataset 1, the names of normal and bacteria are
# swapped: see `draw_dataset1`.
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


def draw_dataset1(kermany: pathlib.Path | str, *, seed: int = 0) -> pd.DataFrame:
    """Draws the paper's dataset 1: normal, bacterial and viral; train is Kermany's own training part.

    Train of Kaggle's edition has 1341 normal, 2530 bacterial and 1345 viral images, exactly the paper's
    training data. Its val and test together have 242, 250 and 148, which the paper splits in half. The paper
    prints 125, 121 and 74, the halves of 250, 242 and 148: normal and bacterial are swapped in print, also in
    its totals of 1591 and 2772 (Kaggle's are 1583 and 2780). Each half thus has 121, 125 and 74 images.
    Mendeley's edition has no val: train has 1349, 2538 and 1345 images, test has 234, 242 and 148.

    The halves are drawn by patient, separately for each label, as close to half of its images as whole
    patients allow. A patient in both train and test is moved to test, which can reduce train. A smaller
    download keeps these proportions.

    Args:
        kermany: folder of Kermany's X-rays, as for `read_kermany`.
        seed: seed of the draw of the halves.

    Returns:
        Rows as `read_kermany` returns them, with files relative to `kermany`.

    Raises:
        SourceError: as for `read_kermany`.
    """
    frame = read_kermany_parts(kermany)
    rng = np.random.default_rng(seed)
    held_out = frame[frame["split"] != "train"]
    split = frame["split"].copy()
    split[held_out.index] = "test"
    for _, rows in held_out.groupby("label"):
        split[rows.index[rows["patient"].isin(draw_patients(rows, len(rows) / 2, rng))]] = "val"
    return frame.assign(split=split)


def draw_dataset2(
    kermany: pathlib.Path | str,
    covid: pathlib.Path | str,
    *,
    counts: str = "paper",
    on_error: str = "raise",
    seed: int = 0,
) -> pd.DataFrame:
    """Draws the paper's dataset 2: COVID-19 of covid-chestxray-dataset against Kermany's other viral images.

    With the same seed, the viral images have the splits of `draw_dataset1`, so that a cascade of both
    networks is never evaluated on a child that either was trained on. That leaves 74 viral images each for
    val and test; the paper has 76 and 75, so that it must use some of the training part. The COVID-19 images,
    frontal views only, are drawn by patient for all three splits.

    The classes differ in age (children against adults), scanner and source, which a network learns as easily
    as the disease: no metric on this set can distinguish them.

    Args:
        kermany: folder of Kermany's X-rays, as for `read_kermany`.
        covid: folder of covid-chestxray-dataset.
        counts: "paper" for the counts of table 1, as close as whole patients and the available images allow;
            fewer than 125 COVID-19 images keep the proportions 105:10:10. "all" for every image, COVID-19 in
            these proportions.
        on_error: as for `read_covid_chestxray`.
        seed: seed of all draws.

    Returns:
        A DataFrame of text: `file` (absolute), `label` ("other_viral" or "COVID-19"), `patient`, `split`,
        `source`, `license`, and the further columns of covid-chestxray-dataset.

    Raises:
        SourceError: as for the two readers, or Kermany's folder has no viral image.
        SemenetError: `counts` is neither of the two.
    """
    _check_counts(counts)
    rng = np.random.default_rng(seed)
    viral = draw_dataset1(kermany, seed=seed)
    viral = viral[viral["label"] == "virus"].assign(label="other_viral")
    if viral.empty:
        raise SourceError(
            f"Dataset 2 needs Kermany's viral images. Received: {kermany}, which has none. Unpack the "
            "archive again."
        )
    if counts == "paper":
        wanted = {split: PAPER_COUNTS["dataset2"][split]["other_viral"] for split in SPLITS}
        drawn = [draw_patients(rows, wanted[split], rng) for split, rows in viral.groupby("split", sort=True)]
        viral = viral[viral["patient"].isin(set().union(*drawn))]
    covid_rows = read_covid_chestxray(covid, findings=("COVID-19",), on_error=on_error, seed=seed)
    wanted = {split: PAPER_COUNTS["dataset2"][split]["COVID-19"] for split in SPLITS}
    covid_rows = _draw_counted_splits(covid_rows, wanted, counts, rng)
    frames = [_with_absolute_files(viral, kermany), _with_absolute_files(covid_rows, covid)]
    return pd.concat(frames, ignore_index=True).fillna("")


def draw_lung_pairs(
    manifests: pathlib.Path | str | Iterable[pathlib.Path | str], *, counts: str = "paper", seed: int = 0
) -> pd.DataFrame:
    """Draws the paper's U-Net data: images with lung masks, 900 for train and 50 each for val and test.

    Args:
        manifests: one CSV or several with the columns file, mask and patient, such as `semenet data` makes
            from V7's, the Montgomery and the Shenzhen sets. The same name in several CSVs is the same
            patient.
        counts: "paper" for 900, 50 and 50, as close as whole patients allow (fewer than 1000 pairs keep the
            proportions); "all" for every pair in these proportions.
        seed: seed of the draw.

    Returns:
        A DataFrame of text: `file` and `mask` (absolute), `patient`, `split`, and those of label, source,
        license and finding that the manifests have.

    Raises:
        ManifestError: a CSV cannot be used or has a row without a mask.
        SourceError: there is no manifest, or an image is in two of them.
        SemenetError: `counts` is neither of the two.
    """
    _check_counts(counts)
    paths = as_paths(manifests)
    if not paths:
        raise SourceError("U-Net pairs need at least one manifest with masks. Received: none. Pass the CSVs.")
    frames = []
    for path in paths:
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
            f"An image must have one mask. Received: {shorten(repeated)} in two of the manifests. Pass each "
            "manifest once."
        )
    wanted = {split: PAPER_COUNTS["lungs"][split]["lungs"] for split in SPLITS}
    drawn = _draw_counted_splits(frame, wanted, counts, np.random.default_rng(seed))
    return drawn.reset_index(drop=True)


def draw_patients(rows: pd.DataFrame, count: float, rng: np.random.Generator) -> set[str]:
    """Draws patients whose images add up to a count, or come as close to it as whole patients allow.

    Args:
        rows: one row per image, with the column `patient`.
        count: number of images; if two sums are equally close, the smaller one is used.
        rng: random generator.

    Returns:
        The patients. Equal generators and patients return equal sets, independent of the order of the rows.
    """
    sizes = rows["patient"].value_counts().sort_index()
    sizes = sizes.iloc[rng.permutation(len(sizes))]
    # Bit s of reached[n] is set if some of the first n patients have s images in total.
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


def compare_counts(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Compares the counts of a data set with the paper's.

    Args:
        frame: rows of `draw_dataset1`, `draw_dataset2` or `draw_lung_pairs`.
        name: "dataset1", "dataset2" or "lungs".

    Returns:
        The integer columns `reached` and `paper`, with one row for each split and class of the paper's table.
    """
    labels = frame["label"] if name != "lungs" else pd.Series("lungs", index=frame.index)
    rows = [
        (split, label, int(((frame["split"] == split) & (labels == label)).sum()), count)
        for split, classes in PAPER_COUNTS[name].items()
        for label, count in classes.items()
    ]
    return pd.DataFrame(rows, columns=["split", "label", "reached", "paper"]).set_index(["split", "label"])


def _check_counts(counts: str) -> None:
    if counts not in ("paper", "all"):
        raise SemenetError(f'`counts` must be "paper" or "all". Received: {counts!r}. Pass one of the two.')


def _draw_counted_splits(
    frame: pd.DataFrame, wanted: Mapping[str, int], counts: str, rng: np.random.Generator
) -> pd.DataFrame:
    """Draws test, val and train in this order; scales the counts to the images if needed or requested."""
    scale = len(frame) / sum(wanted.values())
    scaled = {split: count * (scale if counts == "all" else min(scale, 1)) for split, count in wanted.items()}
    split = pd.Series("", index=frame.index)
    for part in ("test", "val", "train"):
        left = frame[split == ""]
        take_all = part == "train" and (counts == "all" or scale <= 1)
        drawn = set(left["patient"]) if take_all else draw_patients(left, scaled[part], rng)
        split[left.index[left["patient"].isin(drawn)]] = part
    frame = frame.drop(columns="split", errors="ignore")
    frame.insert(frame.columns.get_loc("patient") + 1, "split", split)
    return frame[split != ""]


def _with_absolute_files(frame: pd.DataFrame, folder: pathlib.Path | str) -> pd.DataFrame:
    top = pathlib.Path(folder).absolute()
    return frame.assign(file=[str(top / file) for file in frame["file"]])
