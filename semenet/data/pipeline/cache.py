"""Caches of decoded and resized images, in memory or on disk.

A cache holds the images before anything random happens to them, so that augmentation works as without a cache
and the batches are the same.
"""

from __future__ import annotations

import dataclasses
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
from typing import TYPE_CHECKING, Literal

import numpy as np

from semenet.data.images.shards import file_of
from semenet.data.transforms.lung_view import LungView
from semenet.errors import SemenetError
from semenet.storage.atomic import output_folder

if TYPE_CHECKING:
    import pandas as pd

CacheKind = Literal["memory", "disk"]
CACHES = ("memory", "disk")
# A record's CRC-32 over all that follows it, then the size and modification time of image and mask.
_HEADER = struct.Struct("<IQqQq")
_CHECKSUM_BYTES = 4
_DECODERS = ("semenet", "opencv-python-headless", "pillow", "pydicom", "imagecodecs")
_memory_caches: weakref.WeakSet[MemoryCache] = weakref.WeakSet()


class CacheError(SemenetError):
    """A cache that does not fit in memory or on its disk, or that cannot be written."""


def open_cache(
    kind: CacheKind | None,
    folder: pathlib.Path | str | None,
    rows: pd.DataFrame,
    size: tuple[int, int],
    masks: bool = False,
    view: LungView = LungView(),
) -> MemoryCache | DiskCache | None:
    """Opens a cache for the images of a manifest's rows.

    Args:
        kind: "memory", "disk", or None for no cache.
        folder: the folder of caches on disk, which runs may share; None for the other kinds.
        rows: rows of a manifest: `path` and, with `masks` or for the `view`, `mask_path`.
        size: (height, width) of the images, in pixels.
        masks: whether masks are cached too.
        view: what is done to the images with the help of their masks. Each view has its own file on disk.

    Returns:
        A `MemoryCache`, a `DiskCache`, or None.

    Raises:
        CacheError: memory or disk is too small.
        OutputError: the folder cannot be written to.
        SemenetError: `kind` is unknown, or `folder` is missing or not needed.
    """
    if kind not in (None, *CACHES) or (kind == "disk") != (folder is not None):
        raise SemenetError(
            "`cache` must be None, 'memory', or 'disk' with a `cache_folder`. "
            f"Received: cache={kind!r}, cache_folder={folder!r}. Pass a folder (--cache-folder) with 'disk', "
            "and only then."
        )
    shape = (2 if masks else 1, *size)
    if kind == "memory":
        return MemoryCache(len(rows), shape)
    if folder is None:
        return None
    columns = ("path", "mask_path") if masks or view.needs_mask else ("path",)
    return DiskCache(folder, [rows[column].tolist() for column in columns], shape, view)


class MemoryCache:
    """A cache in memory.

    Args:
        count: the number of rows.
        shape: (1 or 2, height, width): an image, or an image and its mask, of one row.

    Raises:
        CacheError: the images would fill more than nine tenths of the machine's memory.
    """

    def __init__(self, count: int, shape: tuple[int, int, int]) -> None:
        needed = count * int(np.prod(shape))
        # Caches of datasets that are no longer used may still wait for the garbage collector.
        gc.collect()
        cached = sum(cache.arrays.nbytes for cache in _memory_caches)
        total = _memory()
        if needed + cached > 0.9 * total:
            raise CacheError(
                f"Cached images must fit in memory. Received: {_mebibytes(needed)} of images, with "
                f"{_mebibytes(cached)} cached already, for {_mebibytes(total)} of memory. Cache on disk, or "
                "use no cache."
            )
        # The system allocates the pages only when they are filled.
        self.arrays = np.empty((count, *shape), np.uint8)
        self.filled = np.zeros(count, bool)
        _memory_caches.add(self)

    def get(self, row: int) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Returns a row's (image, mask or None), or None if the row is not cached yet."""
        return _as_pair(self.arrays[row]) if self.filled[row] else None

    def put(self, row: int, image: np.ndarray, mask: np.ndarray | None) -> None:
        """Stores a row's image, and its mask if the cache holds masks."""
        self.arrays[row, 0] = image
        if mask is not None:
            self.arrays[row, 1] = mask
        self.filled[row] = True


class DiskCache:
    """A cache in one file, which outlives the process and which several runs may use at the same time.

    A record carries a checksum and the sizes and modification times of its source files. A record that a
    killed process left incomplete, or whose source has changed, is read from the source again.

    Args:
        folder: the folder. The file's name in it is derived from the paths, the shape and the versions of the
            decoders.
        paths: the rows' image paths and, if masks are cached or the view needs them, their mask paths.
        shape: as for `MemoryCache`.
        view: as for `open_cache`.

    Raises:
        CacheError: the disk has not enough free space.
        OutputError: the folder cannot be written to.
    """

    def __init__(
        self,
        folder: pathlib.Path | str,
        paths: list[list[str]],
        shape: tuple[int, int, int],
        view: LungView = LungView(),
    ) -> None:
        versions = {package: importlib.metadata.version(package) for package in _DECODERS}
        # Without a view the name is that of earlier versions, so that their caches are still used.
        of_view = [dataclasses.asdict(view)] if view.needs_mask else []
        key = hashlib.sha256(json.dumps([versions, shape, paths, *of_view]).encode()).hexdigest()[:24]
        self.path = output_folder(folder) / f"resized-{shape[1]}x{shape[2]}-{key}.cache"
        self.paths = paths
        self.shape = shape
        self.record_bytes = _HEADER.size + int(np.prod(shape))
        self.verified = np.zeros(len(paths[0]), bool)
        self._check_free_space(len(paths[0]) * self.record_bytes)
        try:
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise self._write_error(error.strerror) from error
        weakref.finalize(self, os.close, self.descriptor)

    def get(self, row: int) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Returns a row's (image, mask or None), or None if there is no complete and current record."""
        record = os.pread(self.descriptor, self.record_bytes, row * self.record_bytes)
        if not self.verified[row]:
            if len(record) < self.record_bytes or not self._is_current(record, row):
                return None
            self.verified[row] = True
        return _as_pair(np.frombuffer(record, np.uint8, offset=_HEADER.size).reshape(self.shape))

    def put(self, row: int, image: np.ndarray, mask: np.ndarray | None) -> None:
        """Stores a row's image, and its mask if the cache holds masks.

        Raises:
            CacheError: the disk is full or fails.
        """
        pixels = image.tobytes() + (b"" if mask is None else mask.tobytes())
        content = _HEADER.pack(0, *self._source_stamp(row))[_CHECKSUM_BYTES:] + pixels
        record = zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little") + content
        try:
            written = os.pwrite(self.descriptor, record, row * self.record_bytes)
        except OSError as error:
            raise self._write_error(error.strerror) from error
        if written < len(record):
            raise self._write_error(f"{written:,} of {len(record):,} bytes written")

    def _is_current(self, record: bytes, row: int) -> bool:
        content = memoryview(record)[_CHECKSUM_BYTES:]
        if zlib.crc32(content) != int.from_bytes(record[:_CHECKSUM_BYTES], "little"):
            return False
        try:
            return _HEADER.unpack_from(record)[1:] == self._source_stamp(row)
        except OSError:
            # Reading the source file again will raise an error that names it.
            return False

    def _source_stamp(self, row: int) -> tuple[int, ...]:
        """Returns size and modification time of a row's image and of its mask; zeros without a mask."""
        stats = [os.stat(file_of(column[row])) for column in self.paths]
        return tuple(value for stat in stats for value in (stat.st_size, stat.st_mtime_ns)) + (0, 0) * (
            2 - len(stats)
        )

    def _check_free_space(self, needed: int) -> None:
        allocated = self.path.stat().st_blocks * 512 if self.path.exists() else 0
        free = shutil.disk_usage(self.path.parent).free
        if needed - allocated > free:
            raise CacheError(
                f"A cache needs disk space for all images. Received: {self.path.parent}, on whose disk "
                f"{_mebibytes(free)} are free for {_mebibytes(needed - allocated)}. Free some space, or "
                "choose another folder."
            )

    def _write_error(self, reason: str | None) -> CacheError:
        return CacheError(
            f"A cache must be writable. Received: {self.path}: {reason}. Free some space on its disk and "
            "start again, or use no cache."
        )


def _memory() -> int:
    """Returns the machine's memory in bytes, or the container's limit."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = pathlib.Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return total if text == "max" else min(total, int(text))


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


def _as_pair(arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    return arrays[0], arrays[1] if len(arrays) > 1 else None
