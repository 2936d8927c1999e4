"""Decides on radiographs on disk with a cascade: a table, that a killed process goes on with."""

import importlib.util
import json
import os
import pathlib
import sys

import pandas as pd

from semenet.data.images.colour import is_coloured
from semenet.data.images.contents import read_contents
from semenet.data.images.errors import ImageError
from semenet.data.images.listing import list_images
from semenet.data.images.reading import read_image
from semenet.errors import SemenetError
from semenet.inference.reading_ahead import read_ahead
from semenet.progress import track
from semenet.serving.cascade.cascade import DESCRIPTION, Cascade
from semenet.storage.atomic import OutputError, output_file, replacing, write_text
from semenet.storage.file_names import shown_name
from semenet.storage.hashing import file_sha256

ERROR = "error"
UNREADABLE = "unreadable"
_DECIDED = ("predicted", "reason", "input_flags", "lung_flags")
_KINDS = (".csv", ".parquet")


def predict_cascade(folder, paths, out, *, batch_size=16):
    """Decides on files and folders of images, and writes a table.

    Rows are kept beside `out`, in `.<name>.rows`, batch by batch: the same command, given again after the
    process was killed, goes on behind them; a file that has changed since is decided on again. Rows of other
    networks or of another calibration are left as they are, and refused. A file that cannot be read does not
    stop it: its row has no probabilities, `predicted` "error" and `reason` "unreadable", stderr says why, and
    `<out's stem>_errors.csv` lists it.

    Args:
        folder: what `Cascade.save` wrote.
        paths: files and folders (searched through) of radiographs: PNG, JPEG, TIFF, BMP or DICOM.
        out: table to write, .csv or .parquet.
        batch_size: int, images a step.

    Returns:
        DataFrame, a row an image in the order of their names: `file` (by
        `semenet.storage.file_names.shown_name`), a float32 column of the joint distribution for each class,
        `predicted`, `reason` (see `semenet.serving.cascade.decisions.REASONS`, or of what is rejected,
        the first of
        its `input_flags`), `input_flags`, what of `semenet.inference.input_gate.CODES` the image has, and
        `lung_flags`, the checks that the lungs found fail, "" if none.

    Raises:
        CascadeError: the folder holds no whole cascade.
        ImageError: a path does not exist, or a folder has no image.
        OutputError: the table cannot be written, or rows of another cascade or calibration wait for theirs.
        ValueError: `out` is neither .csv nor .parquet, the latter without pyarrow; a `batch_size` below 1; or
            a network gives NaN.
    """
    if batch_size < 1:
        raise SemenetError(f"`batch_size` must be 1 or more. Received: {batch_size}. The usual is 16.")
    out = output_file(out)
    _check_kind(out)
    files = list_images(paths)
    journal = _Journal(out, pathlib.Path(folder))
    cascade = Cascade.open(folder)
    columns = ["file", *cascade.class_names, *_DECIDED]
    stamps = [_stamp(file) for file in files]
    waiting = [item for item in zip(files, stamps, strict=True) if item[1] not in journal.rows]
    with journal:
        for batch in track(_read_ahead(waiting, cascade, batch_size), len(waiting), "Deciding"):
            journal.add(_rows(cascade, batch))
    frame = pd.DataFrame([journal.rows[stamp][0] for stamp in stamps], columns=columns)
    frame = frame.astype(dict.fromkeys(cascade.class_names, "float32"))
    with replacing(out) as temporary:
        if out.suffix == ".csv":
            frame.to_csv(temporary, index=False)
        else:
            # Opened here: pyarrow opens no path that is not UTF-8.
            with open(temporary, "wb") as file:
                frame.to_parquet(file, index=False)
    _report_errors([journal.rows[stamp] for stamp in stamps], out)
    journal.path.unlink(missing_ok=True)
    return frame


class _Journal:
    """The rows that are done, on disk from batch to batch: a line each behind one that names the work."""

    def __init__(self, out, folder):
        self.path = out.with_name(f".{out.name}.rows")
        description = folder / DESCRIPTION
        # It has the hashes of all that decides. Where it is absent, opening the cascade will say so.
        cascade = file_sha256(description) if description.is_file() else None
        self.head = json.dumps({"cascade": cascade, "columns": _DECIDED})
        self.rows = {}
        written = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        head, _, lines = written.partition("\n")
        if lines and head != self.head:
            raise OutputError(
                "A table that was begun is gone on with by the same cascade, calibrated as it was. "
                f"Received: {shown_name(folder)}, and {shown_name(self.path)}, which holds rows of another "
                f"cascade or calibration, {len(lines.splitlines())} in number. Finish that table with the "
                "cascade that began it, give another --out, or delete that file."
            )
        for line in lines.splitlines():
            try:
                stamp, row, error = json.loads(line)
            except ValueError:
                # The last line of a process that was killed as it wrote it.
                break
            self.rows[stamp] = (row, error)
        if self.rows:
            print(f"{len(self.rows)} images were decided on before: {shown_name(self.path)}", file=sys.stderr)

    def __enter__(self):
        text = [self.head, *(json.dumps([stamp, *done]) for stamp, done in self.rows.items())]
        write_text(self.path, "\n".join(text) + "\n")
        self.file = open(self.path, "a", encoding="utf-8")
        return self

    def __exit__(self, *_):
        self.file.close()

    def add(self, rows):
        """Adds rows, each as (stamp, row, error or "")."""
        for stamp, row, error in rows:
            self.file.write(json.dumps([stamp, row, error]) + "\n")
            self.rows[stamp] = (row, error)
        self.file.flush()
        os.fsync(self.file.fileno())


def _rows(cascade, batch):
    """The rows of a batch of ((file, stamp), prepared images or ImageError)."""
    fine = [prepared for _, prepared in batch if not isinstance(prepared, ImageError)]
    found = cascade.decide(fine) if fine else None
    place = 0
    for (file, stamp), prepared in batch:
        if isinstance(prepared, ImageError):
            nothing = [None] * len(cascade.class_names)
            yield stamp, [shown_name(file), *nothing, ERROR, UNREADABLE, "", ""], str(prepared)
            continue
        flags = [" ".join(flags[place]) for flags in (found.input_flags, found.lung_flags)]
        decided = [found.predicted[place], found.reasons[place], *flags]
        yield stamp, [shown_name(file), *found.probabilities[place].tolist(), *decided], ""
        place += 1


def _read_ahead(items, cascade, batch_size):
    """Batches of ((file, stamp), prepared images or ImageError), read ahead in threads."""

    def read(item):
        try:
            contents = read_contents(item[0])
            name = shown_name(item[0])
            return item, cascade.prepare(read_image(contents, name=name), is_coloured(contents, name))
        except ImageError as error:
            return item, error

    return read_ahead(items, read, batch_size)


def _stamp(file):
    """What tells that a file is the one that was decided on."""
    try:
        status = os.stat(file)
    except OSError:
        return f"{file}|absent"
    return f"{file}|{status.st_size}|{status.st_mtime_ns}"


def _check_kind(out):
    if out.suffix not in _KINDS:
        raise SemenetError(
            f"A table of predictions is a .csv or a .parquet file. Received: {out}. Give it such a name."
        )
    if out.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise SemenetError(
            f"Parquet needs pyarrow. Received: {out}, where it is not installed. Run "
            "pip install 'semenet[parquet]', or name a .csv file."
        )


def _report_errors(done, out):
    errors = [(row[0], error) for row, error in done if error]
    for _, error in errors:
        print(f"not decided on: {error}", file=sys.stderr)
    listing = out.with_name(f"{out.stem}_errors.csv")
    # Where there are none, an earlier listing of this table is emptied.
    if errors or listing.exists():
        write_text(listing, pd.DataFrame(errors, columns=["file", "reason"]).to_csv(index=False))
    if errors:
        print(f"{len(errors)} files could not be read: {shown_name(listing)}", file=sys.stderr)
