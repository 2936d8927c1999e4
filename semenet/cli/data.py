"""The sub-commands of `semenet data`: a downloaded folder in, the CSV of a manifest out."""

import functools
import os
import pathlib
import sys
import warnings
from typing import Annotated, Literal

import tyro

from semenet.cli.progress import progress_bars
from semenet.training.recipe import Names

Folder = Annotated[pathlib.Path, tyro.conf.arg(metavar="DIR"), tyro.conf.Positional]
Manifests = Annotated[tuple[pathlib.Path, ...], tyro.conf.arg(metavar="CSV"), tyro.conf.Positional]


def data_kermany(folder: Folder, out: pathlib.Path, val_share: float = 0.1, seed: int = 0) -> None:
    """Makes a manifest of Kermany's chest_xray folder.

    Args:
        folder: The unpacked folder, with train and test in it.
        out: CSV to write; its paths are relative to the folder it stands in.
        val_share: Share of the training patients that become val where the edition has none.
        seed: Seed of the draw of those patients.
    """
    from semenet.data.sources.kermany import kermany

    _write(lambda: kermany(folder, val_share=val_share, seed=seed), out, folder)


def data_covid_chestxray(
    folder: Folder,
    out: pathlib.Path,
    views: Names = (),
    findings: Names = (),
    modality: Literal["X-ray", "CT"] = "X-ray",
    on_error: Literal["raise", "skip"] = "raise",
    seed: int = 0,
) -> None:
    """Makes a manifest of the repository covid-chestxray-dataset, of frontal X-rays if not told otherwise.

    Args:
        folder: The repository's folder, with metadata.csv and images in it.
        out: CSV to write; its paths are relative to the folder it stands in.
        views: Views to take, comma-separated, such as "PA,AP Supine". None: every frontal one.
        findings: Findings to take, comma-separated, such as "COVID-19,SARS". None: all.
        modality: X-rays or slices of CT.
        on_error: Stop where a listed file is absent, or leave it out and list it.
        seed: Seed of the draw of the splits.
    """
    from semenet.data.sources.covid_chestxray import covid_chestxray

    chosen = {"views": views, "findings": findings, "modality": modality}
    _write(lambda: covid_chestxray(folder, **chosen, on_error=on_error, seed=seed), out, folder)


def data_montgomery(folder: Folder, out: pathlib.Path, seed: int = 0) -> None:
    """Makes a manifest of the Montgomery County set; writes its masks of both lungs beside the CSV.

    Args:
        folder: The unpacked MontgomerySet, with CXR_png and ManualMask in it.
        out: CSV to write; the masks go into the folder <name>_masks beside it.
        seed: Seed of the draw of the splits.
    """
    from semenet.data.sources.nlm_lungs import montgomery

    _write(lambda: montgomery(folder, _masks(out), seed=seed), out, folder)


def data_shenzhen(
    folder: Folder, out: pathlib.Path, masks: pathlib.Path | None = None, seed: int = 0
) -> None:
    """Makes a manifest of the Shenzhen Hospital set.

    Args:
        folder: The unpacked ChinaSet_AllFiles, with CXR_png in it.
        out: CSV to write; its paths are relative to the folder it stands in.
        masks: Folder of the lung masks, *_mask.png; images without one are left out. None: all images.
        seed: Seed of the draw of the splits.
    """
    from semenet.data.sources.nlm_lungs import shenzhen

    _write(lambda: shenzhen(folder, masks, seed=seed), out, folder)


def data_v7(
    folder: Folder,
    out: pathlib.Path,
    images: tuple[pathlib.Path, ...] = (),
    patients: pathlib.Path | None = None,
    seed: int = 0,
) -> None:
    """Makes a manifest of V7's lung annotations; writes the masks beside the CSV.

    Args:
        folder: Folder with the Darwin JSON files, at any depth.
        out: CSV to write; the masks go into the folder <name>_masks beside it.
        images: Folders with the images, at any depth. None: DIR.
        patients: Manifest that `semenet data covid-chestxray` made, to know its patients by.
        seed: Seed of the draw of the splits.
    """
    from semenet.data.manifest.table import read_manifest
    from semenet.data.sources.v7_darwin import covid_patients, v7

    known = None if patients is None else covid_patients(read_manifest(patients, required=()).rows)
    with progress_bars() as progress:
        drawn = functools.partial(progress, "Drawing masks")
        _write(
            lambda: v7(folder, _masks(out), images=images, patients=known, progress=drawn, seed=seed),
            out,
            folder,
        )


def data_covidx(
    folder: Folder,
    out: pathlib.Path,
    train_list: pathlib.Path | None = None,
    val_list: pathlib.Path | None = None,
    test_list: pathlib.Path | None = None,
    val_share: float = 0.1,
    on_error: Literal["raise", "skip"] = "raise",
    seed: int = 0,
) -> None:
    """Makes a manifest of COVIDx's text lists and images.

    Args:
        folder: Folder with the images in train and test, and the lists train*.txt and test*.txt.
        out: CSV to write; its paths are relative to the folder it stands in.
        train_list: List to use. None: the only one in DIR.
        val_list: List to use. None: the only one in DIR, or none.
        test_list: List to use. None: the only one in DIR.
        val_share: Share of the training patients that become val where no list is for it.
        on_error: Stop where a listed file is absent, or leave it out and list it.
        seed: Seed of the draw of val.
    """
    from semenet.data.sources.covidx import covidx

    named = {"train": train_list, "val": val_list, "test": test_list}
    lists = {part: path for part, path in named.items() if path is not None}
    _write(
        lambda: covidx(folder, lists=lists, val_share=val_share, on_error=on_error, seed=seed), out, folder
    )


def data_folder(
    folder: Folder,
    out: pathlib.Path,
    patient_pattern: str | None = None,
    source: str | None = None,
    license: str = "not stated",
    seed: int = 0,
) -> None:
    """Makes a manifest of a plain tree, DIR/<class>/<image> or DIR/<split>/<class>/<image>.

    Args:
        folder: The tree's top.
        out: CSV to write; its paths are relative to the folder it stands in.
        patient_pattern: Regular expression with a group `patient`, for each file's name without its suffix,
            such as "^(?P<patient>[^_]+)_". None: each file is a patient of its own.
        source: The column `source`. None: the folder's name.
        license: The column `license`.
        seed: Seed of the draw of the splits, where the tree has none.
    """
    from semenet.data.sources.class_folders import folder_tree

    told = {"patient_pattern": patient_pattern, "source": source, "license": license}
    _write(lambda: folder_tree(folder, **told, seed=seed), out, folder)


def data_dataset1(kermany: Folder, out: pathlib.Path, seed: int = 0) -> None:
    """Makes the paper's dataset 1: normal, bacterial and viral, out of Kermany's folder.

    Args:
        kermany: Kermany's unpacked folder, with train and test in it.
        out: CSV to write; its paths are relative to the folder it stands in.
        seed: Seed of the draw of val and test.
    """
    from semenet.data.sources.paper import dataset1

    _write(lambda: dataset1(kermany, seed=seed), out, kermany, paper="dataset1")


def data_dataset2(
    kermany: Folder,
    covid: Folder,
    out: pathlib.Path,
    counts: Literal["paper", "all"] = "paper",
    on_error: Literal["raise", "skip"] = "raise",
    seed: int = 0,
) -> None:
    """Makes the paper's dataset 2: COVID-19 against Kermany's other viral images.

    Args:
        kermany: Kermany's unpacked folder, with train and test in it.
        covid: The repository covid-chestxray-dataset, with metadata.csv and images in it.
        out: CSV to write; its paths are relative to the folder it stands in.
        counts: The paper's counts, or every image.
        on_error: Stop where a file that metadata.csv lists is absent, or leave it out and list it.
        seed: Seed of all draws; that of dataset1 keeps a child's images on one side in both.
    """
    from semenet.data.sources.paper import dataset2

    def make():
        return dataset2(kermany, covid, counts=counts, on_error=on_error, seed=seed)

    _write(make, out, paper="dataset2")


def data_lungs(
    manifests: Manifests, out: pathlib.Path, counts: Literal["paper", "all"] = "paper", seed: int = 0
) -> None:
    """Makes the paper's U-Net data out of manifests with masks.

    Args:
        manifests: CSVs with the column mask, as v7, montgomery and shenzhen make them.
        out: CSV to write; its paths are relative to the folder it stands in.
        counts: The paper's 900, 50 and 50, or every pair in these proportions.
        seed: Seed of the draw.
    """
    from semenet.data.sources.paper import lung_pairs

    _write(lambda: lung_pairs(manifests, counts=counts, seed=seed), out, paper="lungs")


SOURCE_COMMANDS = {
    "kermany": data_kermany,
    "covid-chestxray": data_covid_chestxray,
    "montgomery": data_montgomery,
    "shenzhen": data_shenzhen,
    "v7": data_v7,
    "covidx": data_covidx,
    "folder": data_folder,
    "dataset1": data_dataset1,
    "dataset2": data_dataset2,
    "lungs": data_lungs,
}


def _masks(out):
    return out.with_name(f"{out.stem}_masks")


def _write(make, out, folder=None, paper=None):
    """Writes what `make` returns, its paths made relative to the CSV's folder, and tells what is in it."""
    from semenet.data.manifest.table import write_manifest
    from semenet.data.sources.kermany import SourceWarning, relative
    from semenet.storage.atomic import output_file

    out = output_file(out)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SourceWarning)
        frame = make()
    for warning in caught:
        if issubclass(warning.category, SourceWarning):
            print(f"semenet: {warning.message}", file=sys.stderr)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    top = pathlib.Path.cwd() if folder is None else folder.absolute()
    for column in ("file", "mask"):
        if column in frame:
            frame[column] = [
                relative(os.path.join(top, path), out.absolute().parent) for path in frame[column]
            ]
    write_manifest(frame, out)
    print(_counted(frame, paper), file=sys.stderr)
    for lacking in _lacking(frame):
        print(f"semenet: {lacking}: too few patients for every split.", file=sys.stderr)
    print(out)


def _lacking(frame):
    """Says which classes a split has no image of."""
    if "label" not in frame:
        return []
    counts = frame.groupby(["label", "split"]).size().unstack(fill_value=0)
    return [
        f"no image of {label} in {', '.join(row.index[row == 0])}"
        for label, row in counts.iterrows()
        if (row == 0).any()
    ]


def _counted(frame, paper):
    """What a manifest holds, as a table: a row a split and label, beside the paper's count where it has "
    "one."""
    if paper is not None:
        from semenet.data.sources.paper import compare_counts

        return compare_counts(frame, paper).to_string()
    keys = ["split", "label"]
    counts = frame.groupby(keys).agg(images=("file", "size"), patients=("patient", "nunique"))
    return counts.to_string()
