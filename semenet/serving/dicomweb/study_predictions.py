"""Classifies the radiographs of studies in an archive, and stores the results beside them."""

from __future__ import annotations

import io
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping

import pandas as pd
import pydicom

from semenet.data.images.errors import ImageError
from semenet.errors import SemenetError
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.inference.reading_ahead import read_ahead
from semenet.progress import track
from semenet.serving.cascade.cascade import Cascade, PreparedImage
from semenet.serving.cascade.decisions import REJECTED
from semenet.serving.dicom_results.result_files import DicomResults
from semenet.serving.dicomweb.archive import Archive, Instance, InstanceError
from semenet.serving.dicomweb.eligible_images import OWN_RESULT, RADIOGRAPHS, header_objection
from semenet.serving.prediction.cascade_predictions import (
    DECISION_COLUMNS,
    ERROR,
    UNREADABLE,
    decision_row,
)
from semenet.serving.prediction.row_journal import RowJournal
from semenet.serving.prediction.table_files import check_table_file, write_table
from semenet.storage.atomic import output_file, write_text
from semenet.storage.csv_cells import csv_text

IDENTIFIERS = ("study", "series", "instance")
# An instance with its prepared image, or why it has none: an objection of its header, or an error.
_Read = tuple[Instance, PreparedImage | str | InstanceError | ImageError]


def predict_studies(
    cascade: str | os.PathLike,
    archive: Archive | str,
    out: str | os.PathLike,
    *,
    studies: Iterable[str] = (),
    query: Mapping[str, str] | None = None,
    store: bool = False,
    dicom_out: str | os.PathLike | None = None,
    batch_size: int = 16,
    map_choice: MapChoice = DEFAULT_MAPS,
) -> pd.DataFrame:
    """Classifies the radiographs of studies in a DICOMweb archive with a cascade.

    Radiographs are CR and DX images and secondary captures. Other instances, and what semenet itself stored,
    are passed over. The headers of laterals and of other parts of the body object before the input gate
    looks: `reason` says which of the two rejected an image. An instance that cannot be fetched or read does
    not stop the work: its row has `predicted` "error", and `<stem of out>_errors.csv` says why.

    If the process is killed, the same call goes on after the last images whose results are stored. Results
    have identifiers that depend only on image and networks, so that none is stored twice.

    Args:
        cascade: the folder of a saved cascade.
        archive: the archive, or its address.
        out: table to write, .csv or .parquet.
        studies: UIDs of studies.
        query: attributes and values of the studies to find, such as `{"ModalitiesInStudy": "DX"}`.
        store: whether to store the results in the archive, as `semenet.serving.dicom_results.DicomResults`
            describes them.
        dicom_out: folder to write the results to as well; or None.
        batch_size: images per step.
        map_choice: the method and the layer of the heat maps.

    Returns:
        One row per radiograph: `study`, `series`, `instance`, and the columns of `semenet.predict` after
        `file`. `reason` may also be "header_view" or "header_body_part".

    Raises:
        ArchiveError: the archive cannot be reached, or refuses a search or an object.
        CascadeError: the folder has no complete cascade.
        OutputError: the table cannot be written.
        SemenetError: there is neither a study nor a query, `out` has another ending, or a package is missing.
    """
    studies = list(studies)
    if not studies and not query:
        raise SemenetError(
            "An archive needs studies to classify. Received: none. Give --study UID, or --query such as "
            "ModalitiesInStudy=DX."
        )
    out = output_file(out)
    check_table_file(out, "predictions")
    archive = Archive(archive) if isinstance(archive, str) else archive
    journal = RowJournal(out, pathlib.Path(cascade), DECISION_COLUMNS)
    opened = Cascade.open(cascade)
    studies = list(dict.fromkeys([*studies, *(archive.find_studies(query) if query else ())]))
    listed = [instance for study in studies for instance in archive.instances(study)]
    images = [instance for instance in listed if instance.sop_class in RADIOGRAPHS]
    stamps = [f"{archive.url}|{instance.uid}|{store}" for instance in images]
    waiting = [one for one, stamp in zip(images, stamps, strict=True) if stamp not in journal.rows]
    with tempfile.TemporaryDirectory(prefix="semenet-") as work, journal:
        work = pathlib.Path(work)
        folder = dicom_out if dicom_out is not None or not store else work / "results"
        objects = None if folder is None else DicomResults(folder, opened, map_choice)
        batches = read_ahead(waiting, lambda instance: _read(archive, opened, instance, work), batch_size)
        for batch in track(batches, len(waiting), "Classifying"):
            rows = _rows(opened, batch, map_choice, objects, work, archive if store else None)
            journal.add((f"{archive.url}|{uid}|{store}", row, error) for uid, row, error in rows)
            # The files of the next batch are there already.
            for instance, _ in batch:
                for file in [*work.glob(f"{instance.uid}.dcm"), *work.glob(f"results/{instance.uid}_*.dcm")]:
                    file.unlink()
    done = [journal.rows[stamp] for stamp in stamps]
    kept = [(row, error) for row, error in done if row[-3] != OWN_RESULT]
    print(
        f"studies: {len(studies)}, radiographs: {len(kept)}, other instances: {len(listed) - len(kept)}",
        file=sys.stderr,
    )
    frame = _table([row for row, _ in kept], opened.class_names)
    write_table(frame, out)
    _write_errors([(row[0], error) for row, error in kept if error], out)
    journal.remove()
    return frame


def _read(archive: Archive, cascade: Cascade, instance: Instance, work: pathlib.Path) -> _Read:
    """Fetches an instance to a file and prepares it."""
    try:
        contents = archive.fetch(instance)
        objection = _objection(instance, contents)
        if objection:
            return instance, objection
        file = work / f"{instance.uid}.dcm"
        file.write_bytes(contents)
        return instance, cascade.prepare_file(file)
    except (InstanceError, ImageError) as error:
        return instance, error


def _objection(instance: Instance, contents: bytes) -> str | None:
    try:
        return header_objection(pydicom.dcmread(io.BytesIO(contents), stop_before_pixels=True, force=True))
    except Exception as error:
        # pydicom decodes a damaged attribute when it is first used, and raises nearly any exception.
        raise InstanceError(
            f"The header of an instance must be readable. Received: {instance.uid} "
            f"({type(error).__name__}: {error}). Look into the archive for its source."
        ) from error


def _rows(
    cascade: Cascade,
    batch: list[_Read],
    map_choice: MapChoice,
    objects: DicomResults | None,
    work: pathlib.Path,
    archive: Archive | None,
) -> Iterator[tuple[str, list, str]]:
    """Yields UID, row and error for each instance of a batch, after its results are written and stored."""
    prepared = [found for _, found in batch if isinstance(found, tuple)]
    result = cascade.decide(prepared, objects is not None and map_choice) if prepared else None
    index = 0
    for instance, found in batch:
        name = "/".join((instance.study, instance.series, instance.uid))
        if isinstance(found, str):
            yield instance.uid, [name, *[0.0] * len(cascade.class_names), REJECTED, found, "", ""], ""
        elif isinstance(found, Exception):
            row = [name, *[None] * len(cascade.class_names), ERROR, UNREADABLE, "", ""]
            yield instance.uid, row, str(found)
        else:
            file = work / f"{instance.uid}.dcm"
            error = ""
            if objects is not None:
                made = objects.write(file, instance.uid, result, index)
                error = _store(archive, made) if archive is not None else ""
            yield instance.uid, [name, *decision_row(file, result, index)[1:]], error
            index += 1


def _store(archive: Archive, made: Iterable[pydicom.Dataset]) -> str:
    """Stores objects; returns why one was refused, "" if none was."""
    try:
        for one in made:
            archive.store(one)
    except InstanceError as error:
        return str(error)
    return ""


def _table(rows: list[list], class_names: tuple[str, ...]) -> pd.DataFrame:
    columns = [*IDENTIFIERS, *class_names, *DECISION_COLUMNS]
    frame = pd.DataFrame([[*row[0].split("/"), *row[1:]] for row in rows], columns=columns)
    return frame.astype(dict.fromkeys(class_names, "float32"))


def _write_errors(errors: list[tuple[str, str]], out: pathlib.Path) -> None:
    for name, error in errors:
        print(f"{name}: {error}", file=sys.stderr)
    listing = out.with_name(f"{out.stem}_errors.csv")
    # Without errors, an earlier list for this table is emptied.
    if errors or listing.exists():
        rows = [[*name.split("/"), error] for name, error in errors]
        write_text(listing, csv_text(pd.DataFrame(rows, columns=[*IDENTIFIERS, "reason"])))
