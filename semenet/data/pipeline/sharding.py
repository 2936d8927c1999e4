"""Writes a manifest's images into TFRecord shards: few large files in place of many small ones."""

import pathlib
import shutil
import tempfile
import zlib

from semenet.data.images.contents import read_contents
from semenet.data.images.shards import COLUMNS, SUFFIX
from semenet.data.manifest.table import write_manifest
from semenet.data.pipeline.resized import read_image_and_mask
from semenet.errors import SemenetError
from semenet.storage.atomic import OutputError, output_folder

# A record is the length in 8 bytes, its checksum in 4, the data, their checksum in 4 (TFRecord).
_BEFORE_DATA, _AROUND_DATA = 12, 16


def write_shards(manifest, folder, *, shard_mebibytes=256, progress=None):
    """Copies a manifest's images, and masks, into shards, bytes as they are, with a manifest of their own.

    The new manifest has all columns of the old one, and the same hash; training from it gives the same
    batches as from the files. Each record is a `tf.train.Example` with the features image, file, patient,
    split and, where the manifest has them, mask and label, in the manifest's order: any reader of TFRecords
    can use them. Every image is read before it is copied. The folder appears when all is written.

    Args:
        manifest: a `Manifest`.
        folder: the folder to make, absent or empty: shards, and manifest.csv.
        shard_mebibytes: the size, in MiB, at which a shard is closed and the next one begun.
        progress: None, or a function of the number of images copied and of all.

    Returns:
        pathlib.Path of the new manifest.

    Raises:
        ImageError: an image or mask cannot be read, or a mask has not its image's size.
        OutputError: the folder holds something, or cannot be written.
        ValueError: a shard's size is not positive.
    """
    import tensorflow as tf

    if shard_mebibytes <= 0:
        raise SemenetError(
            f"`shard_mebibytes` must be positive. Received: {shard_mebibytes}. The usual is 256."
        )
    folder = pathlib.Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"Shards go into a new or an empty folder. Received: {folder}. Give another one.")
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
            f"Shards must be written to their end. Received: {folder}: {error}. Free some room on its disk."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder / "manifest.csv"


def _write_records(rows, folder, limit, progress):
    """Writes the shards; returns the rows with where their images lie."""
    import tensorflow as tf

    places, number, size, writer = [], 0, 0, None
    for row in rows.to_dict("records"):
        contents = _checked_contents(row)
        texts = {name: row[name].encode() for name in ("file", "label", "patient", "split") if name in row}
        data = _example(contents | texts).SerializeToString()
        if writer is None or size > limit:
            if writer is not None:
                writer.close()
            name = f"images-{number:05d}{SUFFIX}"
            writer, number, size = tf.io.TFRecordWriter(str(folder / name)), number + 1, 0
        place = {"shard": name}
        for kind, encoded in contents.items():
            place[f"{kind}_offset"] = str(size + _BEFORE_DATA + data.index(encoded))
            place[f"{kind}_bytes"] = str(len(encoded))
            place[f"{kind}_crc32"] = f"{zlib.crc32(encoded):08x}"
        places.append(place)
        writer.write(data)
        size += len(data) + _AROUND_DATA
        if progress is not None:
            progress(len(places), len(rows))
    writer.close()
    columns = [column for column in COLUMNS if any(column in place for place in places)]
    return rows.assign(**{column: [place.get(column, "") for place in places] for column in columns})


def _checked_contents(row):
    """The encoded image, and mask where there is one, once both have been decoded."""
    mask_path = row.get("mask_path") or None
    read_image_and_mask(row["path"], mask_path)
    contents = {"image": read_contents(row["path"])}
    return contents if mask_path is None else contents | {"mask": read_contents(mask_path)}


def _example(features):
    import tensorflow as tf

    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in features.items()
            }
        )
    )
