"""Writing a manifest's images into TFRecord shards: few large files instead of many small ones."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from semenet.data.images.contents import read_contents
from semenet.data.images.shards import COLUMNS, SUFFIX
from semenet.data.manifest.table import Manifest, write_manifest
from semenet.data.pipeline.resized import read_image_and_mask
from semenet.errors import SemenetError
from semenet.storage.atomic import OutputError, output_folder

if TYPE_CHECKING:
    import pandas as pd
    import tensorflow as tf

# A TFRecord record is the length in 8 bytes, its checksum in 4, the data, and their checksum in 4.
_BYTES_BEFORE_DATA, _BYTES_AROUND_DATA = 12, 16


def write_shards(
    manifest: Manifest,
    folder: pathlib.Path | str,
    *,
    shard_mebibytes: float = 256,
    progress: Callable[[int, int], None] | None = None,
) -> pathlib.Path:
    """Copies a manifest's image and mask files, unchanged, into shards with a manifest of their own.

    The new manifest has all columns of the old one and the same hash; training from it yields the same
    batches as training from the files. Each record is a `tf.train.Example` with the features image, file,
    patient, split and, if the manifest has them, mask and label, in the manifest's order, so that any reader
    of TFRecords can use it. Every image is decoded before it is copied. The folder appears once it is
    complete.

    Args:
        manifest: the manifest of the images.
        folder: the folder to create, missing or empty. It will hold the shards and manifest.csv.
        shard_mebibytes: the size, in MiB, at which a shard is closed and the next one started.
        progress: None, or a function of the number of images copied so far and of all images.

    Returns:
        The path of the new manifest.

    Raises:
        ImageError: an image or mask cannot be read, or a mask differs in size from its image.
        OutputError: the folder is not empty, or cannot be written.
        SemenetError: `shard_mebibytes` is not positive.

    Example:
        >>> manifest = semenet.read_manifest("manifest.csv")
        >>> path = semenet.data.write_shards(manifest, "shards")
        >>> sorted(file.name for file in path.parent.iterdir())
        ['images-00000.tfrecord', 'manifest.csv']
        >>> semenet.read_manifest(path).sha256 == manifest.sha256
        True
    """
    import tensorflow as tf

    if shard_mebibytes <= 0:
        raise SemenetError(
            f"`shard_mebibytes` must be positive. Received: {shard_mebibytes}. The default is 256."
        )
    folder = pathlib.Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            f"Shards are written into a new or an empty folder. Received: {folder}. Choose another folder."
        )
    output_folder(folder.absolute().parent)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
    try:
        rows = _write_records(manifest.rows, temporary, shard_mebibytes * 2**20, progress)
        write_manifest(rows, temporary / "manifest.csv")
        # mkdtemp makes folders that only their owner can read.
        temporary.chmod(0o755)
        temporary.replace(folder)
    except (OSError, tf.errors.OpError) as error:
        raise OutputError(
            f"Shards must be written completely. Received: {folder}: {error}. Free some space on its disk."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder / "manifest.csv"


def _write_records(
    rows: pd.DataFrame,
    folder: pathlib.Path,
    max_bytes: float,
    progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    """Writes the shards and returns the rows with the columns that locate their images."""
    import tensorflow as tf

    places, number, size, writer = [], 0, 0, None
    for row in rows.to_dict("records"):
        contents = _checked_contents(row)
        texts = {name: row[name].encode() for name in ("file", "label", "patient", "split") if name in row}
        data = _example(contents | texts).SerializeToString()
        if writer is None or size > max_bytes:
            if writer is not None:
                writer.close()
            name = f"images-{number:05d}{SUFFIX}"
            writer, number, size = tf.io.TFRecordWriter(str(folder / name)), number + 1, 0
        place = {"shard": name}
        for kind, encoded in contents.items():
            place[f"{kind}_offset"] = str(size + _BYTES_BEFORE_DATA + data.index(encoded))
            place[f"{kind}_bytes"] = str(len(encoded))
            place[f"{kind}_crc32"] = f"{zlib.crc32(encoded):08x}"
        places.append(place)
        writer.write(data)
        size += len(data) + _BYTES_AROUND_DATA
        if progress is not None:
            progress(len(places), len(rows))
    writer.close()
    columns = [column for column in COLUMNS if any(column in place for place in places)]
    return rows.assign(**{column: [place.get(column, "") for place in places] for column in columns})


def _checked_contents(row: dict[str, Any]) -> dict[str, bytes]:
    """Decodes a row's image and mask, and returns the bytes of their files."""
    mask_path = row.get("mask_path") or None
    read_image_and_mask(row["path"], mask_path)
    contents = {"image": read_contents(row["path"])}
    return contents if mask_path is None else contents | {"mask": read_contents(mask_path)}


def _example(features: dict[str, bytes]) -> tf.train.Example:
    import tensorflow as tf

    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in features.items()
            }
        )
    )
