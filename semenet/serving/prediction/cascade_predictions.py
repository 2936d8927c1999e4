"""Classifies radiographs on disk with a cascade and writes a table, which a killed process can resume."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Iterable, Iterator

import pandas as pd

from semenet.data.images.errors import ImageError
from semenet.data.images.listing import list_images
from semenet.data.transforms.lung_view_on_host import Box
from semenet.errors import SemenetError
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.inference.reading_ahead import read_ahead
from semenet.progress import track
from semenet.serving.cascade.cascade import Cascade, PreparedImage
from semenet.serving.cascade.results import CascadeResult
from semenet.serving.dicom_results.result_files import DicomResults
from semenet.serving.prediction.map_files import MapFiles
from semenet.serving.prediction.row_journal import RowJournal
from semenet.serving.prediction.table_files import check_table_file, write_table
from semenet.storage.atomic import output_file, unique_stems, write_text
from semenet.storage.csv_cells import csv_text
from semenet.storage.file_names import as_paths, shown_name

ERROR = "error"
UNREADABLE = "unreadable"
DECISION_COLUMNS = ("predicted", "reason", "input_flags", "lung_flags")

# A file and its stamp.
StampedFile = tuple[pathlib.Path, str]


def predict_cascade(
    cascade: Cascade | str | os.PathLike,
    images: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike | None = None,
    *,
    batch_size: int = 16,
    maps: str | os.PathLike | None = None,
    map_choice: MapChoice = DEFAULT_MAPS,
    dicom_out: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Classifies image files with a cascade.

    If `cascade` is a folder and `out` is given, finished rows are kept in `.<name>.rows` beside `out`. The
    same command resumes after them if the process was killed; a file that has changed since is classified
    again. Rows of other networks or another calibration are never mixed in. A file that cannot be read does
    not stop the work: its row has no probabilities, `predicted` is "error" and `reason` is "unreadable",
    stderr shows the error, and `<stem of out>_errors.csv` lists it.

    Args:
        cascade: a cascade, or the folder of a saved one.
        images: one path or several, files or folders (searched recursively), of PNG, JPEG, TIFF, BMP or
            DICOM.
        out: table to write, .csv or .parquet; None writes no file.
        batch_size: images per step.
        maps: folder for the heat maps of both stages, see `semenet.serving.prediction.map_files.MapFiles`; or
            None. A rejected image has none. A call with maps does not resume: it starts again.
        map_choice: their method and layer.
        dicom_out: folder for DICOM objects about the DICOM images among the files, see
            `semenet.serving.dicom_results.DicomResults`; or None. Images without them are classified again
            by a call that resumes.

    Returns:
        One row per image, in the order of the file names: `file` (by
        `semenet.storage.file_names.shown_name`); a float32 column of the joint distribution for each class;
        `predicted`; `reason`, one of `semenet.serving.cascade.decisions.REASONS` or, for a rejected image,
        the first of its `input_flags`; `input_flags`, the codes of `semenet.inference.input_gate.CODES` that
        apply; and `lung_flags`, the checks that the lung mask failed. Flags are separated by spaces.

    Raises:
        CascadeError: the folder has no complete cascade.
        ImageError: a path does not exist, or a folder has no image.
        OutputError: the table cannot be written, or its unfinished rows belong to another cascade.
        SemenetError: `out` is neither .csv nor .parquet, or is .parquet without pyarrow; `batch_size` is
            below 1; or a network returns NaN.
    """
    if batch_size < 1:
        raise SemenetError(f"`batch_size` must be 1 or more. Received: {batch_size}. The default is 16.")
    if out is not None:
        out = output_file(out)
        check_table_file(out, "predictions")
    files = list_images(as_paths(images))
    folder = None if isinstance(cascade, Cascade) else pathlib.Path(cascade)
    # Maps are listed at the end, so that a call that writes them is not resumed but starts again.
    journal = RowJournal(out, folder if maps is None else None, DECISION_COLUMNS)
    if folder is not None:
        cascade = Cascade.open(folder)
    columns = ["file", *cascade.class_names, *DECISION_COLUMNS]
    stamps = [_stamp(file) for file in files]
    stage_maps = {} if maps is None else _stage_maps(cascade, maps, map_choice)
    objects = None if dicom_out is None else DicomResults(dicom_out, cascade, map_choice)
    stems = dict(zip(files, unique_stems(files), strict=True))
    waiting = [
        (file, stamp)
        for file, stamp in zip(files, stamps, strict=True)
        if stamp not in journal.rows or (objects and not objects.has(stems[file]))
    ]
    with journal:
        batches = _read_batches(waiting, cascade, batch_size)
        for batch in track(batches, len(waiting), "Classifying"):
            journal.add(_rows(cascade, batch, map_choice, stage_maps, objects, stems))
    if stage_maps:
        MapFiles.finish_all(stage_maps.values())
    frame = pd.DataFrame([journal.rows[stamp][0] for stamp in stamps], columns=columns)
    frame = frame.astype(dict.fromkeys(cascade.class_names, "float32"))
    if out is not None:
        write_table(frame, out)
    _report_errors([journal.rows[stamp] for stamp in stamps], out)
    if objects is not None and objects.left_out:
        file, reason = objects.left_out[0]
        count = len(objects.left_out)
        print(f"no DICOM results for {count} of {len(files)} images, first {file}: {reason}", file=sys.stderr)
    journal.remove()
    return frame


def _stage_maps(cascade: Cascade, folder: str | os.PathLike, maps: MapChoice) -> dict[str, MapFiles]:
    runs = {"stage1": cascade.stage1, "stage2": cascade.stage2}
    return {stage: MapFiles(folder, run, maps, stage) for stage, run in runs.items()}


def _rows(
    cascade: Cascade,
    batch: list[tuple[StampedFile, PreparedImage | ImageError]],
    map_choice: MapChoice,
    stage_maps: dict[str, MapFiles],
    objects: DicomResults | None,
    stems: dict[pathlib.Path, str],
) -> Iterator[tuple[str, list, str]]:
    """Yields stamp, row and error message for each file of a batch, and writes its maps and DICOM objects."""
    readable = [prepared for _, prepared in batch if not isinstance(prepared, ImageError)]
    result = cascade.decide(readable, bool(stage_maps or objects) and map_choice) if readable else None
    index = 0
    for (file, stamp), prepared in batch:
        if isinstance(prepared, ImageError):
            yield stamp, unreadable_row(file, cascade), str(prepared)
            continue
        if not result.input_flags[index]:
            for stage, files in stage_maps.items():
                shown = int(getattr(result, f"{stage}_probabilities")[index].argmax())
                heat = getattr(result, f"{stage}_heat_maps")[index]
                boxes = getattr(result, f"{stage}_boxes")
                box = None if boxes is None else Box(*boxes[index].tolist())
                files.write(file, stems[file], heat, cascade.runs[stage].class_names[shown], box)
        if objects is not None:
            objects.write(file, stems[file], result, index)
        yield stamp, decision_row(file, result, index), ""
        index += 1


def decision_row(file: str | os.PathLike, result: CascadeResult, index: int) -> list:
    """Returns the row of the table for one image of a result: file, probabilities and decision."""
    flags = [" ".join(flags[index]) for flags in (result.input_flags, result.lung_flags)]
    decision = [result.predicted[index], result.reasons[index], *flags]
    return [shown_name(file), *result.probabilities[index].tolist(), *decision]


def unreadable_row(file: pathlib.Path, cascade: Cascade) -> list:
    """Returns the row of the table for a file that cannot be read."""
    return [shown_name(file), *[None] * len(cascade.class_names), ERROR, UNREADABLE, "", ""]


def _read_batches(
    items: list[StampedFile], cascade: Cascade, batch_size: int
) -> Iterator[list[tuple[StampedFile, PreparedImage | ImageError]]]:
    """Yields batches of files with their prepared images, or the errors of unreadable ones."""

    def read(item: StampedFile) -> tuple[StampedFile, PreparedImage | ImageError]:
        try:
            return item, cascade.prepare_file(item[0])
        except ImageError as error:
            return item, error

    return read_ahead(items, read, batch_size)


def _stamp(file: pathlib.Path) -> str:
    """Returns a text that identifies a file and changes with its content."""
    try:
        status = os.stat(file)
    except OSError:
        return f"{file}|absent"
    return f"{file}|{status.st_size}|{status.st_mtime_ns}"


def _report_errors(done: list[tuple[list, str]], out: pathlib.Path | None) -> None:
    errors = [(row[0], error) for row, error in done if error]
    for _, error in errors:
        print(f"not classified: {error}", file=sys.stderr)
    if out is None:
        return
    listing = out.with_name(f"{out.stem}_errors.csv")
    # Without errors, an earlier list for this table is emptied.
    if errors or listing.exists():
        write_text(listing, csv_text(pd.DataFrame(errors, columns=["file", "reason"])))
    if errors:
        print(f"{len(errors)} files could not be read: {shown_name(listing)}", file=sys.stderr)
