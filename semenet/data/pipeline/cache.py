"""Keeps decoded and resized images, in memory or on disk, from the first time they are read.

What is kept comes before anything random, so that augmentation is as fresh as without a cache, and
the pixels are the same.
"""

import gc
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
import struct
import weakref
import zlib

import numpy as np

from semenet.data.images.shards import file_of
from semenet.errors import SemenetError
from semenet.storage.atomic import output_folder

CACHES = ("memory", "disk")
# A record's CRC-32 over all that follows it, then the size and modification time of image and mask.
_HEADER = struct.Struct("<IQqQq")
_CHECKSUM_BYTES = 4
_DECODERS = ("semenet", "opencv-python-headless", "pillow", "pydicom", "imagecodecs")
_memory_caches = weakref.WeakSet()


class CacheError(SemenetError):
    """A cache that finds no room, or that its disk refuses."""


def open_cache(kind, folder, rows, size, masks=False):
    """Opens a cache for the images of a manifest's rows.

    Args:
        kind: "memory", "disk", or None for no cache.
        folder: the folder of caches on disk, which runs may share; None for the others.
        rows: rows of a manifest: `path` and, with `masks`, `mask_path`.
        size: (height, width) of the images, in pixels.
        masks: whether masks are kept too.

    Returns:
        A `MemoryCache`, a `DiskCache`, or None.

    Raises:
        CacheError: memory or disk is too small.
        OutputError: the folder cannot be written to.
        ValueError: another kind, or a folder that is missing or not wanted.
    """
    if kind not in (None, *CACHES) or (kind == "disk") != (folder is not None):
        raise SemenetError(
            "`cache` must be None, 'memory', or 'disk' with a `cache_folder`. "
            f"Received: cache={kind!r}, cache_folder={folder!r}. Give a folder (--cache-folder) with 'disk', "
            "and only then."
        )
    if kind is None:
        return None
    shape = (2 if masks else 1, *size)
    if kind == "memory":
        return MemoryCache(len(rows), shape)
    columns = ("path", "mask_path") if masks else ("path",)
    return DiskCache(folder, [rows[column].tolist() for column in columns], shape)


class MemoryCache:
    """Images in memory, one after another.

    Args:
        count: int, the number of rows.
        shape: (1 or 2, height, width): an image, or an image and its mask, of a row.

    Raises:
        CacheError: they would fill more than nine tenths of the machine's memory.
    """

    def __init__(self, count, shape):
        needed = count * int(np.prod(shape))
        # Caches of datasets that are done with may wait for the garbage collector.
        gc.collect()
        taken = sum(cache.arrays.nbytes for cache in _memory_caches)
        present = _memory()
        if needed + taken > 0.9 * present:
            raise CacheError(
                f"Cached images must fit in memory. Received: {_mebibytes(needed)} of images, beside "
                f"{_mebibytes(taken)} cached already, for {_mebibytes(present)} of memory. Cache on disk, or "
                "not at all."
            )
        # Pages are taken from the system as they are filled.
        self.arrays = np.empty((count, *shape), np.uint8)
        self.filled = np.zeros(count, bool)
        _memory_caches.add(self)

    def get(self, row):
        """Returns a row's (image, mask or None), or None when it was not put yet."""
        return _pair(self.arrays[row]) if self.filled[row] else None

    def put(self, row, image, mask):
        """Keeps a row's image and mask, which is None where the cache has none."""
        self.arrays[row, 0] = image
        if mask is not None:
            self.arrays[row, 1] = mask
        self.filled[row] = True


class DiskCache:
    """Images in one file, which outlives the process and other runs may use at the same time.

    A record carries a checksum, and its sources' sizes and times of modification: what a killed
    process left half written, or a file that has changed since, is read anew.

    Args:
        folder: the folder; the file in it is named after what it is made of.
        paths: the rows' image paths and, where masks are kept, their mask paths: lists of str.
        shape: as for `MemoryCache`.

    Raises:
        CacheError: the disk has not enough room left.
        OutputError: the folder cannot be written to.
    """

    def __init__(self, folder, paths, shape):
        versions = {package: importlib.metadata.version(package) for package in _DECODERS}
        key = hashlib.sha256(json.dumps([versions, shape, paths]).encode()).hexdigest()[:24]
        self.path = output_folder(folder) / f"resized-{shape[1]}x{shape[2]}-{key}.cache"
        self.paths = paths
        self.shape = shape
        self.record = _HEADER.size + int(np.prod(shape))
        self.checked = np.zeros(len(paths[0]), bool)
        self._check_room(len(paths[0]) * self.record)
        try:
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise self._refused(error.strerror) from error
        weakref.finalize(self, os.close, self.descriptor)

    def get(self, row):
        """Returns a row's (image, mask or None), or None when no whole and current one is there."""
        record = os.pread(self.descriptor, self.record, row * self.record)
        if not self.checked[row]:
            if len(record) < self.record or not self._is_current(record, row):
                return None
            self.checked[row] = True
        return _pair(np.frombuffer(record, np.uint8, offset=_HEADER.size).reshape(self.shape))

    def put(self, row, image, mask):
        """Keeps a row's image and mask, which is None where the cache has none.

        Raises:
            CacheError: the disk is full, or fails.
        """
        pixels = image.tobytes() + (b"" if mask is None else mask.tobytes())
        content = _HEADER.pack(0, *self._stamp(row))[_CHECKSUM_BYTES:] + pixels
        record = zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little") + content
        try:
            written = os.pwrite(self.descriptor, record, row * self.record)
        except OSError as error:
            raise self._refused(error.strerror) from error
        if written < len(record):
            raise self._refused(f"{written:,} of {len(record):,} bytes written")

    def _is_current(self, record, row):
        content = memoryview(record)[_CHECKSUM_BYTES:]
        if zlib.crc32(content) != int.from_bytes(record[:_CHECKSUM_BYTES], "little"):
            return False
        try:
            return _HEADER.unpack_from(record)[1:] == self._stamp(row)
        except OSError:
            # Whoever reads the file anew will say what is wrong with it.
            return False

    def _stamp(self, row):
        """Size and time of modification of a row's image and mask; zeros for no mask."""
        stats = [os.stat(file_of(column[row])) for column in self.paths]
        return tuple(value for stat in stats for value in (stat.st_size, stat.st_mtime_ns)) + (0, 0) * (
            2 - len(stats)
        )

    def _check_room(self, needed):
        taken = self.path.stat().st_blocks * 512 if self.path.exists() else 0
        free = shutil.disk_usage(self.path.parent).free
        if needed - taken > free:
            raise CacheError(
                f"A cache needs room for all images. Received: {self.path.parent}, on whose disk "
                f"{_mebibytes(free)} are free for {_mebibytes(needed - taken)}. Free some, or name another "
                "folder."
            )

    def _refused(self, reason):
        return CacheError(
            f"A cache must be writable to its end. Received: {self.path}: {reason}. Free some room on its "
            "disk and start again, or go on without a cache."
        )


def _memory():
    """The machine's memory in bytes, or what a container may use of it."""
    present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = pathlib.Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return present if text == "max" else min(present, int(text))


def _mebibytes(count):
    return f"{count / 2**20:,.1f} MiB"


def _pair(arrays):
    return arrays[0], arrays[1] if len(arrays) > 1 else None
