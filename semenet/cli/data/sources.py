"""The sub-commands of `semenet data` that make a manifest from a downloaded folder."""

import functools
import pathlib
from typing import Annotated, Literal

import tyro

from semenet.cli.data.source_manifest import write_source_manifest
from semenet.cli.progress import progress_bars
from semenet.training.recipe import Names

Folder = Annotated[pathlib.Path, tyro.conf.arg(metavar="DIR"), tyro.conf.Positional]
Manifests = Annotated[tuple[pathlib.Path, ...], tyro.conf.arg(metavar="CSV"), tyro.conf.Positional]


def data_kermany(folder: Folder, out: pathlib.Path, val_share: float = 0.1, seed: int = 0) -> None:
    """Makes a manifest of Kermany's folder chest_xray.

    Args:
        folder: Unpacked folder with train and test.
        out: CSV to write; its paths are relative to its own folder.
        val_share: Share of the training patients that becomes val if the edition has none.
        seed: Seed of the draw of these patients.
    """
    from semenet.data.sources.kermany import read_kermany

    write_source_manifest(
        functools.partial(read_kermany, folder, val_share=val_share, seed=seed), out, folder
    )


def data_covid_chestxray(
    folder: Folder,
    out: pathlib.Path,
    views: Names = (),
    findings: Names = (),
    modality: Literal["X-ray", "CT"] = "X-ray",
    on_error: Literal["raise", "skip"] = "raise",
    seed: int = 0,
) -> None:
    """Makes a manifest of the repository covid-chestxray-dataset, by default of its frontal X-rays.

    Args:
        folder: The repository's folder with metadata.csv and images.
        out: CSV to write; its paths are relative to its own folder.
        views: Views to use, comma-separated, such as "PA,AP Supine". None: all frontal views.
        findings: Findings to use, comma-separated, such as "COVID-19,SARS". None: all.
        modality: X-rays or CT slices.
        on_error: If a listed file is missing, stop (raise), or leave it out and list it (skip).
        seed: Seed of the draw of the splits.
    """
    from semenet.data.sources.covid_chestxray import read_covid_chestxray

    make_rows = functools.partial(
        read_covid_chestxray,
        folder,
        views=views,
        findings=findings,
        modality=modality,
        on_error=on_error,
        seed=seed,
    )
    write_source_manifest(make_rows, out, folder)


def data_montgomery(folder: Folder, out: pathlib.Path, seed: int = 0) -> None:
    """Makes a manifest of the Montgomery County set, and writes masks of both lungs beside the CSV.

    Args:
        folder: Unpacked MontgomerySet with CXR_png and ManualMask.
        out: CSV to write; the masks are written to the folder <name>_masks beside it.
        seed: Seed of the draw of the splits.
    """
    from semenet.data.sources.nlm_lungs import read_montgomery

    write_source_manifest(
        lambda: read_montgomery(folder, masks_out=_masks_folder(out), seed=seed), out, folder
    )


def data_shenzhen(
    folder: Folder, out: pathlib.Path, masks: pathlib.Path | None = None, seed: int = 0
) -> None:
    """Makes a manifest of the Shenzhen Hospital set.

    Args:
        folder: Unpacked ChinaSet_AllFiles with CXR_png.
        out: CSV to write; its paths are relative to its own folder.
        masks: Folder of the lung masks, *_mask.png; images without a mask are left out. None: all images.
        seed: Seed of the draw of the splits.
    """
    from semenet.data.sources.nlm_lungs import read_shenzhen

    write_source_manifest(functools.partial(read_shenzhen, folder, masks=masks, seed=seed), out, folder)


def data_v7(
    folder: Folder,
    out: pathlib.Path,
    images: tuple[pathlib.Path, ...] = (),
    patients: pathlib.Path | None = None,
    seed: int = 0,
) -> None:
    """Makes a manifest of V7's lung annotations, and writes the masks beside the CSV.

    Args:
        folder: Folder with the Darwin JSON files, at any depth.
        out: CSV to write; the masks are written to the folder <name>_masks beside it.
        images: Folders with the images, at any depth. None: DIR.
        patients: Manifest made by `semenet data covid-chestxray`, to identify its patients.
        seed: Seed of the draw of the splits.
    """
    from semenet.data.manifest.table import read_manifest
    from semenet.data.sources.v7_darwin import covid_chestxray_patients, read_v7

    known = None if patients is None else covid_chestxray_patients(read_manifest(patients, required=()).rows)
    with progress_bars() as progress:
        make_rows = functools.partial(
            read_v7,
            folder,
            masks_out=_masks_folder(out),
            images=images,
            patients=known,
            progress=functools.partial(progress, "Drawing masks"),
            seed=seed,
        )
        write_source_manifest(make_rows, out, folder)


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
        folder: Folder with the images in train and test and the lists train*.txt and test*.txt.
        out: CSV to write; its paths are relative to its own folder.
        train_list: List of train. None: the only one in DIR.
        val_list: List of val. None: the only one in DIR, or no list.
        test_list: List of test. None: the only one in DIR.
        val_share: Share of the training patients that becomes val if there is no list for it.
        on_error: If a listed file is missing, stop (raise), or leave it out and list it (skip).
        seed: Seed of the draw of val.
    """
    from semenet.data.sources.covidx import read_covidx

    paths = {"train": train_list, "val": val_list, "test": test_list}
    lists = {part: path for part, path in paths.items() if path is not None}
    make_rows = functools.partial(
        read_covidx, folder, lists=lists, val_share=val_share, on_error=on_error, seed=seed
    )
    write_source_manifest(make_rows, out, folder)


def data_folder(
    folder: Folder,
    out: pathlib.Path,
    patient_pattern: str | None = None,
    source: str | None = None,
    license: str = "not stated",
    seed: int = 0,
) -> None:
    """Makes a manifest of a folder with DIR/<class>/<image> or DIR/<split>/<class>/<image>.

    Args:
        folder: The top-level folder.
        out: CSV to write; its paths are relative to its own folder.
        patient_pattern: Regular expression with a group `patient` for each file's name without its suffix,
            such as "^(?P<patient>[^_]+)_". None: each file counts as its own patient.
        source: Value of the column `source`. None: the folder's name.
        license: Value of the column `license`.
        seed: Seed of the draw of the splits, if the folder has none.
    """
    from semenet.data.sources.class_folders import read_class_folders

    make_rows = functools.partial(
        read_class_folders,
        folder,
        patient_pattern=patient_pattern,
        source=source,
        license=license,
        seed=seed,
    )
    write_source_manifest(make_rows, out, folder)


def data_dataset1(kermany: Folder, out: pathlib.Path, seed: int = 0) -> None:
    """Makes the paper's dataset 1, normal, bacterial and viral, from Kermany's folder.

    Args:
        kermany: Kermany's unpacked folder with train and test.
        out: CSV to write; its paths are relative to its own folder.
        seed: Seed of the draw of val and test.
    """
    from semenet.data.sources.paper import draw_dataset1

    write_source_manifest(
        functools.partial(draw_dataset1, kermany, seed=seed), out, kermany, paper="dataset1"
    )


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
        kermany: Kermany's unpacked folder with train and test.
        covid: Folder of the repository covid-chestxray-dataset with metadata.csv and images.
        out: CSV to write; its paths are relative to its own folder.
        counts: The paper's counts (paper), or every image (all).
        on_error: If a file in metadata.csv is missing, stop (raise), or leave it out and list it (skip).
        seed: Seed of all draws; with dataset1's seed, a child is in the same split of both data sets.
    """
    from semenet.data.sources.paper import draw_dataset2

    make_rows = functools.partial(draw_dataset2, kermany, covid, counts=counts, on_error=on_error, seed=seed)
    write_source_manifest(make_rows, out, paper="dataset2")


def data_lungs(
    manifests: Manifests, out: pathlib.Path, counts: Literal["paper", "all"] = "paper", seed: int = 0
) -> None:
    """Makes the paper's U-Net data from manifests with masks.

    Args:
        manifests: CSVs with the column mask, as made by v7, montgomery and shenzhen.
        out: CSV to write; its paths are relative to its own folder.
        counts: The paper's 900, 50 and 50 (paper), or every pair in these proportions (all).
        seed: Seed of the draw.
    """
    from semenet.data.sources.paper import draw_lung_pairs

    write_source_manifest(
        functools.partial(draw_lung_pairs, manifests, counts=counts, seed=seed), out, paper="lungs"
    )


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


def _masks_folder(out: pathlib.Path) -> pathlib.Path:
    return out.with_name(f"{out.stem}_masks")
