"""The sub-commands of `semenet data` for data sets that tell several findings of each image."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from semenet.cli.data.combine import parse_changes
from semenet.cli.data.source_manifest import write_source_manifest
from semenet.cli.data.sources import Folder
from semenet.cli.progress import progress_bars
from semenet.training.recipe import Names

if TYPE_CHECKING:
    import pandas as pd

    from semenet.data.sources.findings.row_rules import RowRules

FindingLabels = Annotated[
    tuple[tuple[str, ...], ...], tyro.conf.arg(metavar="FINDING=LABEL"), tyro.conf.UseAppendAction
]


@dataclasses.dataclass(frozen=True)
class FindingOptions:
    """Which rows, columns and labels."""

    views: Names = ()
    """Views to use, comma-separated, such as PA,AP. None: all frontal views."""
    ages: str = ""
    """Years to use: 18- or 18-64, or --ages=-17. None: all."""
    findings: Names = ()
    """Findings that become columns, comma-separated. None: all."""
    labels: FindingLabels = ()
    """Labels of findings: the first finding that is present counts. None: those in the documentation."""
    drop_others: bool = False
    """Leave out images with none of these findings. Otherwise their label is other (or uncertain)."""
    uncertain: Literal["keep", "missing", "0", "1"] = "keep"
    """Cells of uncertain findings: the word uncertain (keep), empty (missing), 0 or 1."""
    on_missing: Literal["raise", "skip"] = "raise"
    """If a listed file is missing, stop (raise), or leave it out and name it (skip)."""
    seed: int = 0
    """Seed of the draw of the splits."""

    def rules(self) -> "RowRules":
        """Returns the rules for the reader."""
        from semenet.data.sources.findings.row_rules import RowRules

        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return RowRules(**values | {"labels": parse_changes("--labels", self.labels) or None})


Options = Annotated[FindingOptions, tyro.conf.arg(name="")]


def data_nih(
    folder: Folder,
    out: pathlib.Path,
    splits: Literal["drawn", "official"] = "drawn",
    options: Options = FindingOptions(),
) -> None:
    """Makes a manifest of ChestX-ray14, of the NIH Clinical Center.

    Args:
        folder: Folder with Data_Entry_2017*.csv and images_001 to images_012, or images.
        out: CSV to write; its paths are relative to its own folder.
        splits: Draw splits by patient (drawn), or use test_list.txt and train_val_list.txt (official).
        options: Rows, columns and labels.
    """
    from semenet.data.sources.findings.nih import read_nih

    write_source_manifest(
        functools.partial(read_nih, folder, splits=splits, rules=options.rules()), out, folder
    )


def data_rsna(
    folder: Folder,
    out: pathlib.Path,
    mapping: pathlib.Path | None = None,
    options: Options = FindingOptions(),
) -> None:
    """Makes a manifest of the RSNA Pneumonia Detection Challenge of 2018 (its labelled part).

    Args:
        folder: Folder with stage_2_train_labels.csv, stage_2_detailed_class_info.csv and
            stage_2_train_images.
        out: CSV to write; its paths are relative to its own folder.
        mapping: RSNA's mapping to ChestX-ray14 (JSON), to know the patients. None: the one in DIR, if any.
        options: Rows, columns and labels.
    """
    from semenet.data.sources.findings.rsna import read_rsna

    _write_with_headers(
        functools.partial(read_rsna, folder, mapping=mapping, rules=options.rules()), out, folder
    )


def data_siim(folder: Folder, out: pathlib.Path, options: Options = FindingOptions()) -> None:
    """Makes a manifest of the SIIM-FISABIO-RSNA COVID-19 Detection challenge (its labelled part).

    Args:
        folder: Folder with train_study_level.csv, train_image_level.csv and train.
        out: CSV to write; its paths are relative to its own folder.
        options: Rows, columns and labels.
    """
    from semenet.data.sources.findings.siim import read_siim

    _write_with_headers(functools.partial(read_siim, folder, rules=options.rules()), out, folder)


def data_chexpert(folder: Folder, out: pathlib.Path, options: Options = FindingOptions()) -> None:
    """Makes a manifest of CheXpert, of Stanford Hospital.

    Args:
        folder: CheXpert-v1.0 or CheXpert-v1.0-small, with train.csv and valid.csv.
        out: CSV to write; its paths are relative to its own folder.
        options: Rows, columns and labels.
    """
    from semenet.data.sources.findings.chexpert import read_chexpert

    write_source_manifest(functools.partial(read_chexpert, folder, rules=options.rules()), out, folder)


def data_padchest(folder: Folder, out: pathlib.Path, options: Options = FindingOptions()) -> None:
    """Makes a manifest of PadChest, of the Hospital San Juan in Alicante.

    Args:
        folder: Folder with PADCHEST_chest_x_ray_images_labels_160K*.csv and the images, at any depth.
        out: CSV to write; its paths are relative to its own folder.
        options: Rows, columns and labels.
    """
    from semenet.data.sources.findings.padchest import read_padchest

    write_source_manifest(functools.partial(read_padchest, folder, rules=options.rules()), out, folder)


def data_vindr(
    folder: Folder,
    out: pathlib.Path,
    radiologists: Literal["majority", "any", "unanimous"] = "majority",
    options: Options = FindingOptions(),
) -> None:
    """Makes a manifest of VinDr-CXR, of two hospitals in Vietnam.

    Args:
        folder: Folder with annotations/image_labels_*.csv, train and test; DICOM or PNG.
        out: CSV to write; its paths are relative to its own folder.
        radiologists: A finding of train is present if most of its three readers saw it (majority), if one did
            (any), or if all did; then readers who disagree make it uncertain (unanimous).
        options: Rows, columns and labels.
    """
    from semenet.data.sources.findings.vindr import read_vindr

    make_rows = functools.partial(read_vindr, folder, radiologists=radiologists, rules=options.rules())
    _write_with_headers(make_rows, out, folder)


def data_hannover(folder: Folder, out: pathlib.Path, options: Options = FindingOptions()) -> None:
    """Makes a manifest of the COVID-19 Image Repository of Hannover.

    Args:
        folder: The repository's folder with data.csv and png.
        out: CSV to write; its paths are relative to its own folder.
        options: Rows, columns and labels.
    """
    from semenet.data.sources.findings.hannover import read_hannover

    write_source_manifest(functools.partial(read_hannover, folder, rules=options.rules()), out, folder)


FINDING_COMMANDS = {
    "nih": data_nih,
    "rsna": data_rsna,
    "siim": data_siim,
    "chexpert": data_chexpert,
    "padchest": data_padchest,
    "vindr": data_vindr,
    "hannover": data_hannover,
}


def _write_with_headers(
    make_rows: "Callable[..., pd.DataFrame]", out: pathlib.Path, folder: pathlib.Path
) -> None:
    """Writes a manifest, with the progress of the DICOM headers."""
    with progress_bars() as progress:
        headers = functools.partial(progress, "Reading DICOM headers")
        write_source_manifest(functools.partial(make_rows, progress=headers), out, folder)
