"""The sub-commands of `semenet data` that take a manifest: split, check, contains and shard."""

import os
import pathlib
from typing import Annotated

import tyro

from semenet.cli.progress import progress_bars
from semenet.errors import SemenetError

Positional = tyro.conf.Positional
ManifestPath = Annotated[pathlib.Path, tyro.conf.arg(metavar="CSV"), Positional]
ImagePath = Annotated[pathlib.Path, tyro.conf.arg(metavar="IMAGE"), Positional]


def data_split(
    manifest: ManifestPath,
    out: pathlib.Path,
    shares: str = "train=0.7,val=0.15,test=0.15",
    seed: int = 0,
    keep: str = "",
    root: pathlib.Path | None = None,
) -> None:
    """Draws splits: seeded, stratified by label, and no patient in two.

    Args:
        manifest: CSV with the columns file and patient; label, if there, is stratified by.
        out: CSV to write; its paths are relative to the folder it stands in.
        shares: Each split's share of the images.
        seed: Equal seeds give equal splits, whatever the order of the rows.
        keep: Splits, comma-separated, whose patients stay in them, such as test.
        root: Folder that the manifest's paths start from. None: the manifest's own.
    """
    from semenet.data.manifest.csv_file import join_paths
    from semenet.data.manifest.splitting import split_patients
    from semenet.data.manifest.table import read_manifest, write_manifest
    from semenet.storage.atomic import output_file

    out = output_file(out)
    found = read_manifest(manifest, root, required=(), require_split=False)
    if "split" in found.rows and out.exists() and out.samefile(manifest):
        raise SemenetError(
            "A split is drawn into another file, so that the old one is not lost. "
            f"Received: --out {out}, the manifest itself, which has a column 'split'. Give another --out."
        )
    kept = tuple(name.strip() for name in keep.split(",") if name.strip())
    splits = split_patients(found.rows, parse_shares(shares), seed, kept)
    rows = found.rows.assign(split=splits)
    here = manifest.absolute().parent if root is None else root.absolute()
    there = out.absolute().parent
    if os.path.realpath(here) != os.path.realpath(there):
        for column in {"file", "mask", "shard"} & set(rows.columns):
            rows[column] = join_paths(os.path.relpath(here, there), rows[column].tolist())
    write_manifest(rows, out)
    for name, group in rows.groupby("split"):
        print(f"{name}: {len(group)} images of {group['patient'].nunique()} patients")
    print(out)


def parse_shares(text):
    """Turns "train=0.7,val=0.3" into a dict of names to shares.

    Raises:
        SemenetError: it is not so written, or names a split twice.
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
                "Shares are written NAME=NUMBER, with commas between, each name once. "
                f"Received: {text!r}. The usual are train=0.7,val=0.15,test=0.15."
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
    """Looks for leaks, copies, shortcuts and unreadable files; exit status 1 on a leak or an unreadable file.

    Args:
        manifest: CSV with the columns file, patient and split, and perhaps label and mask.
        root: Folder that the manifest's paths start from. None: the manifest's own.
        out: JSON to write the whole report to.
        near: Least similarity, 0.5 to 1, of two images that are taken for one picture.
        splits: Splits to look at, comma-separated. None: all.
    """
    import json

    from semenet.data.checks.manifest_check import check_manifest
    from semenet.data.checks.report_tables import print_report
    from semenet.data.manifest.table import read_manifest
    from semenet.storage.atomic import output_file, write_text

    if out is not None:
        output_file(out)
    named = tuple(name.strip() for name in splits.split(",") if name.strip()) or None
    with progress_bars() as progress:
        report = check_manifest(
            read_manifest(manifest, root, required=()), splits=named, near=near, progress=progress
        )
    if out is not None:
        write_text(out, json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    print_report(report)
    if not report["passed"]:
        raise SystemExit(1)


def data_contains(
    manifest: ManifestPath,
    image: ImagePath,
    split: str = "train",
    root: pathlib.Path | None = None,
    near: float = 0.9,
) -> None:
    """Says whether an image, or a copy of it, is in a data set: yes or no, then the rows that match.

    Args:
        manifest: CSV with the columns file, patient and split.
        image: Radiograph to look for.
        split: Split to look in; "all" looks in every one.
        root: Folder that the manifest's paths start from. None: the manifest's own.
        near: Least similarity, 0.5 to 1, of two images that are taken for one picture.
    """
    from semenet.data.checks.manifest_check import find_image
    from semenet.data.images.reading import read_image
    from semenet.data.manifest.table import read_manifest

    pixels = read_image(image)
    where = None if split == "all" else split
    with progress_bars() as progress:
        matches = find_image(
            read_manifest(manifest, root, required=()),
            pixels,
            split=where,
            near=near,
            progress=lambda done, total: progress("Reading", done, total),
        )
    print("yes" if matches else "no")
    if not matches:
        print(f"looked in {'every split' if where is None else f'the split {where}'}")
    for match in matches:
        print("\t".join(f"{key}={value}" for key, value in match.items() if key != "similarity"), end="\t")
        print(f"similarity={match['similarity']:.3f}")


def data_shard(
    manifest: ManifestPath,
    out: pathlib.Path,
    root: pathlib.Path | None = None,
    shard_mebibytes: float = 256,
) -> None:
    """Copies a data set into TFRecord shards with a manifest of their own, which trains the same batches.

    Args:
        manifest: CSV with the columns file, patient and split, and perhaps label and mask.
        out: New or empty folder for the shards and manifest.csv.
        root: Folder that the manifest's paths start from. None: the manifest's own.
        shard_mebibytes: Size, in MiB, at which a shard is closed and the next begun.
    """
    from semenet.data.manifest.table import read_manifest
    from semenet.data.pipeline.sharding import write_shards

    found = read_manifest(manifest, root, required=())
    with progress_bars() as progress:
        print(
            write_shards(
                found,
                out,
                shard_mebibytes=shard_mebibytes,
                progress=lambda done, total: progress("Copying", done, total),
            )
        )


MANIFEST_COMMANDS = {
    "split": data_split,
    "check": data_check,
    "contains": data_contains,
    "shard": data_shard,
}
