"""The sub-commands of `semenet data` that read a manifest: split, check, contains, examples and shard."""

import os
import pathlib
from typing import TYPE_CHECKING

import tyro

from semenet.cli.data.contains import ManifestPath, data_contains
from semenet.cli.progress import progress_bars
from semenet.cli.tensorflow_import import import_tensorflow
from semenet.data.transforms.augmentation import ACQUISITION_CHANGES, Augmentation
from semenet.errors import SemenetError
from semenet.training.recipe import Names

if TYPE_CHECKING:
    import pandas as pd

Positional = tyro.conf.Positional


def data_split(
    manifest: ManifestPath,
    out: pathlib.Path,
    shares: str = "train=0.7,val=0.15,test=0.15",
    seed: int = 0,
    keep: str = "",
    root: pathlib.Path | None = None,
) -> None:
    """Draws splits by patient, stratified by label.

    Args:
        manifest: CSV with the columns file and patient, and optionally label.
        out: CSV to write; its paths are relative to its own folder.
        shares: Each split's share of the images.
        seed: Equal seeds draw equal splits, independent of the order of the rows.
        keep: Splits that are kept, comma-separated, such as test.
        root: Folder that the manifest's paths start from. None: the manifest's own folder.
    """
    from semenet.data.manifest.splitting import split_patients
    from semenet.data.manifest.table import read_manifest, write_manifest
    from semenet.storage.atomic import output_file

    out = output_file(out)
    source = read_manifest(manifest, root, required=(), require_split=False)
    if "split" in source.rows and out.exists() and out.samefile(manifest):
        raise SemenetError(
            "Splits must be written to another file, so that the old ones are not lost. "
            f"Received: --out {out}, the manifest itself, which has a column 'split'. Pass another --out."
        )
    kept = tuple(name.strip() for name in keep.split(",") if name.strip())
    splits = split_patients(source.rows, parse_shares(shares), seed, kept)
    rows = source.rows.assign(split=splits)
    _move_paths(rows, manifest, root, out)
    write_manifest(rows, out)
    for name, group in rows.groupby("split"):
        print(f"{name}: {len(group)} images of {group['patient'].nunique()} patients")
    print(out)


def data_findings(
    manifest: ManifestPath,
    out: pathlib.Path,
    column: str = "finding",
    findings: Names = (),
    none: str = "No Finding",
    separator: str = "|",
    root: pathlib.Path | None = None,
) -> None:
    """Adds a column label:NAME (1, 0 or empty) for each finding that a column lists, such as Edema|Effusion.

    Args:
        manifest: CSV with the columns file, patient and split, and a column of findings.
        out: CSV to write; its paths are relative to its own folder.
        column: The column that lists the findings; an empty cell means that nothing is known.
        findings: The findings to make columns for, comma-separated. None: all that occur.
        none: The word for an image without any finding.
        separator: What stands between two findings.
        root: Folder that the manifest's paths start from. None: the manifest's own folder.
    """
    from semenet.data.manifest.csv_file import ManifestError
    from semenet.data.manifest.several_labels import label_columns, split_findings
    from semenet.data.manifest.table import read_manifest, write_manifest
    from semenet.storage.atomic import output_file

    out = output_file(out)
    rows = read_manifest(manifest, root, required=()).rows
    if column not in rows or label_columns(rows):
        raise ManifestError(
            "Findings are read from a column of a manifest that has no columns label:NAME yet. Received: "
            f"{manifest} with {', '.join(rows.columns)}. Pass --column, or remove these columns."
        )
    added = split_findings(rows[column], findings, none=none, separator=separator)
    rows = rows.join(added)
    _move_paths(rows, manifest, root, out)
    write_manifest(rows, out)
    for name, values in added.items():
        having, without = ((values == value).sum() for value in "10")
        print(f"{name}: {having} with it, {without} without, {(values == '').sum()} not known")
    print(out)


def _move_paths(
    rows: "pd.DataFrame", manifest: pathlib.Path, root: pathlib.Path | None, out: pathlib.Path
) -> None:
    """Makes the paths of a manifest relative to the folder of another file, in place."""
    from semenet.data.manifest.csv_file import join_paths

    old_folder = manifest.absolute().parent if root is None else root.absolute()
    new_folder = out.absolute().parent
    if os.path.realpath(old_folder) != os.path.realpath(new_folder):
        for column in {"file", "mask", "shard"} & set(rows.columns):
            rows[column] = join_paths(os.path.relpath(old_folder, new_folder), rows[column].tolist())


def parse_shares(text: str) -> dict[str, float]:
    """Parses shares such as "train=0.7,val=0.3".

    Args:
        text: NAME=NUMBER, comma-separated.

    Returns:
        Maps names to shares.

    Raises:
        SemenetError: the text has another form, or a name is repeated.
    """
    shares = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        try:
            share = float(number)
        except ValueError:
            share = None
        if not name or not equals or share is None or name in shares:
            raise SemenetError(
                "Shares must be written as NAME=NUMBER, comma-separated, with each name once. "
                f"Received: {text!r}. The usual shares are train=0.7,val=0.15,test=0.15."
            )
        shares[name] = share
    return shares


def data_check(
    manifest: ManifestPath,
    root: pathlib.Path | None = None,
    out: pathlib.Path | None = None,
    near: float = 0.9,
    splits: str = "",
) -> None:
    """Finds leaks, copies, shortcuts and unreadable files; exit status 1 for a leak or an unreadable file.

    Args:
        manifest: CSV with the columns file, patient and split, and optionally label and mask.
        root: Folder that the manifest's paths start from. None: the manifest's own folder.
        out: JSON file to write the whole report to.
        near: Similarity, 0.5 to 1, from which two images count as copies.
        splits: Splits to check, comma-separated. None: all.
    """
    import json

    from semenet.data.checks.manifest_check import check_manifest
    from semenet.data.checks.report_tables import print_report
    from semenet.data.manifest.table import read_manifest
    from semenet.storage.atomic import output_file, write_text

    if out is not None:
        output_file(out)
    names = tuple(name.strip() for name in splits.split(",") if name.strip()) or None
    with progress_bars() as progress:
        report = check_manifest(
            read_manifest(manifest, root, required=()),
            splits=names,
            min_similarity=near,
            progress=progress,
        )
    if out is not None:
        write_text(out, json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    print_report(report)
    if not report["passed"]:
        raise SystemExit(1)


def data_shard(
    manifest: ManifestPath,
    out: pathlib.Path,
    root: pathlib.Path | None = None,
    shard_mebibytes: float = 256,
) -> None:
    """Copies a data set into TFRecord shards with a manifest, which produces the same training batches.

    Args:
        manifest: CSV with the columns file, patient and split, and optionally label and mask.
        out: New or empty folder for the shards and manifest.csv.
        root: Folder that the manifest's paths start from. None: the manifest's own folder.
        shard_mebibytes: Size in MiB at which a new shard is begun.
    """
    import_tensorflow()
    from semenet.data.manifest.table import read_manifest
    from semenet.data.pipeline.sharding import write_shards

    source = read_manifest(manifest, root, required=())
    with progress_bars() as progress:
        print(
            write_shards(
                source,
                out,
                shard_mebibytes=shard_mebibytes,
                progress=lambda done, total: progress("Copying", done, total),
            )
        )


def data_examples(
    manifest: ManifestPath,
    out: pathlib.Path,
    root: pathlib.Path | None = None,
    split: str = "train",
    side: int = 256,
    count: int = 6,
    acquisition: float = 0.4,
    acquisition_changes: Names = ACQUISITION_CHANGES,
    seed: int = 0,
) -> None:
    """Draws radiographs of a split with the changes of acquisition that training makes.

    Args:
        manifest: CSV with the columns file, patient and split.
        out: PNG file to write.
        root: Folder that the manifest's paths start from. None: the manifest's own folder.
        split: Split of the radiographs, which are evenly spaced over its rows.
        side: Height and width of a picture in pixels; use a network's input size.
        count: Number of radiographs.
        acquisition: Probability of each change in the last pictures of a line, where all are drawn together.
        acquisition_changes: Changes to show, comma-separated.
        seed: Seed of the draws.
    """
    import cv2

    from semenet.data.manifest.table import read_manifest
    from semenet.evaluation.drawing.acquisition_sheet import acquisition_sheet
    from semenet.storage.atomic import output_file, write_bytes

    augmentation = Augmentation(acquisition=acquisition, acquisition_changes=acquisition_changes)
    if side < 32 or count < 1:
        raise SemenetError(
            "A sheet needs a `side` of 32 pixels or more and 1 radiograph or more. "
            f"Received: side={side}, count={count}. The defaults are 256 and 6."
        )
    rows = read_manifest(manifest, root, required=()).split(split)
    sheet = acquisition_sheet(rows, augmentation, side=side, count=count, seed=seed)
    write_bytes(output_file(out), cv2.imencode(".png", sheet)[1].tobytes())
    print(out)


MANIFEST_COMMANDS = {
    "split": data_split,
    "findings": data_findings,
    "check": data_check,
    "contains": data_contains,
    "examples": data_examples,
    "shard": data_shard,
}
