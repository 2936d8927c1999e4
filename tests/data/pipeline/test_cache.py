"""Caches: the same batches as without one, whatever happens to the files."""

import os
import pathlib
import subprocess
import sys
import weakref

import cv2
import numpy as np
import pandas as pd
import pytest

from semenet.data.images.errors import ImageError
from semenet.data.pipeline import cache as cache_module
from semenet.data.pipeline.cache import CacheError, DiskCache, MemoryCache, open_cache
from semenet.data.pipeline.datasets import evaluation_dataset, training_dataset
from semenet.data.pipeline.tf_data import unwrapped_errors
from semenet.data.transforms.augmentation import Augmentation

SIZE = (24, 32)


@pytest.fixture
def rows(tmp_path):
    generator = np.random.default_rng(0)
    records = []
    for index in range(5):
        image = generator.integers(0, 256, (40, 50), dtype=np.uint8)
        mask = np.zeros_like(image)
        mask[10 : 20 + index, 5:25] = 255
        record = {
            "label": "ab"[index % 2],
            "path": f"{tmp_path}/{index}.png",
            "mask_path": f"{tmp_path}/m{index}.png",
        }
        cv2.imwrite(record["path"], image)
        cv2.imwrite(record["mask_path"], mask)
        records.append(record)
    return pd.DataFrame(records)


def batches(rows, **changes):
    arguments = {
        "class_names": ("a", "b"),
        "input_size": SIZE,
        "batch_size": 2,
        "epochs": 3,
        "seed": 5,
        "augmentation": Augmentation(clahe=0.5, rotation=20, views=("original", "masked")),
    }
    with unwrapped_errors():
        return [
            tuple(part.numpy() for part in batch)
            for batch in training_dataset(rows, **arguments | changes)[0]
        ]


def assert_same(ones, others):
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        for part, other_part in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, other_part)


@pytest.mark.parametrize("changes", [{}, {"masks": True, "augmentation": Augmentation(rotation=20)}])
def test_batches_are_the_same_with_any_cache(rows, tmp_path, changes):
    plain = batches(rows, **changes)
    assert_same(batches(rows, cache="memory", **changes), plain)
    for _ in range(2):
        assert_same(batches(rows, cache="disk", cache_folder=tmp_path / "cache", **changes), plain)
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_later_epochs_read_no_file(rows, tmp_path, cache, monkeypatch):
    read = []
    original = cache_module.MemoryCache.put if cache == "memory" else cache_module.DiskCache.put
    owner = MemoryCache if cache == "memory" else DiskCache
    monkeypatch.setattr(owner, "put", lambda self, row, *pair: (read.append(row), original(self, row, *pair)))
    folder = {"cache_folder": tmp_path / "cache"} if cache == "disk" else {}
    batches(rows, cache=cache, augmentation=Augmentation(), batch_size=1, **folder)
    assert sorted(read) == list(range(5))


def test_evaluation_and_training_share_a_cache_on_disk(rows, tmp_path):
    def images(cache_folder=None):
        cache = None if cache_folder is None else "disk"
        dataset = evaluation_dataset(
            rows, input_size=SIZE, batch_size=2, masks=True, cache=cache, cache_folder=cache_folder
        )
        with unwrapped_errors():
            return [tuple(part.numpy() for part in batch) for batch in dataset]

    batches(rows, masks=True, augmentation=Augmentation(), cache="disk", cache_folder=tmp_path / "cache")
    assert_same(images(tmp_path / "cache"), images())
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_images_cached_by_another_process_are_used_without_reading_the_files(rows, tmp_path):
    """This process sees files of the same size and time whose contents are no images."""
    folder = tmp_path / "cache"
    plain = batches(rows)
    rows.to_json(tmp_path / "rows.json")
    script = f"""
import pandas as pd
from semenet.data.pipeline.cache import open_cache
from semenet.data.pipeline.resized import ResizedImages
rows = pd.read_json({str(tmp_path / "rows.json")!r})
cache = open_cache("disk", {str(folder)!r}, rows, {SIZE}, True)
images = ResizedImages(rows, {SIZE}, masks=True, cache=cache)
for row in range(len(rows)):
    images[row]
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    for path in [*rows["path"], *rows["mask_path"]]:
        stat = os.stat(path)
        pathlib.Path(path).write_bytes(b"\0" * stat.st_size)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert_same(batches(rows, cache="disk", cache_folder=folder), plain)


def test_a_changed_file_is_read_again(rows, tmp_path):
    batches(rows, cache="disk", cache_folder=tmp_path / "cache")
    cv2.imwrite(rows["path"][3], np.full((40, 50), 99, np.uint8))
    assert_same(batches(rows, cache="disk", cache_folder=tmp_path / "cache"), batches(rows))


def test_a_deleted_file_is_reported_despite_the_cache(rows, tmp_path):
    batches(rows, cache="disk", cache_folder=tmp_path / "cache")
    pathlib.Path(rows["path"][3]).unlink()
    with pytest.raises(ImageError, match=r"must exist.*3\.png"):
        batches(rows, cache="disk", cache_folder=tmp_path / "cache")


@pytest.mark.parametrize("damage", ["cut", "zeros", "flip"])
def test_a_damaged_record_is_read_again(rows, tmp_path, damage):
    batches(rows, cache="disk", cache_folder=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    contents = bytearray(file.read_bytes())
    record = len(contents) // 5
    if damage == "cut":
        del contents[4 * record + 100 :]
    elif damage == "zeros":
        contents[record : 2 * record] = bytes(record)
    else:
        contents[3 * record - 7] ^= 1
    file.write_bytes(contents)
    assert_same(batches(rows, cache="disk", cache_folder=tmp_path / "cache"), batches(rows))


def test_a_cache_without_space_is_rejected_at_the_start(rows, tmp_path, monkeypatch):
    with pytest.raises(CacheError, match=r"fit in memory. Received: .* MiB"):
        MemoryCache(10**9, (1, 512, 512))
    # Two caches that fit separately, but not together.
    monkeypatch.setattr(cache_module, "_memory", lambda: 1000)
    monkeypatch.setattr(cache_module, "_memory_caches", weakref.WeakSet())
    one = MemoryCache(6, (1, 10, 10))
    with pytest.raises(CacheError, match="0.0 MiB cached already"):
        MemoryCache(6, (1, 10, 10))
    del one
    MemoryCache(6, (1, 10, 10))
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CacheError, match=f"{tmp_path}.*MiB are free"):
        batches(rows, cache="disk", cache_folder=tmp_path / "cache")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_reported(rows, tmp_path, monkeypatch):
    opened = os.open

    def open_full(path, *rest):
        return opened("/dev/full" if str(path).endswith(".cache") else path, *rest)

    monkeypatch.setattr(cache_module.os, "open", open_full)
    with pytest.raises(CacheError, match="No space left"):
        batches(rows, cache="disk", cache_folder=tmp_path / "cache")


def test_wrong_arguments_are_rejected(rows, tmp_path):
    for kind, folder in (("ram", None), ("disk", None), ("memory", tmp_path), (None, tmp_path)):
        with pytest.raises(ValueError, match="cache_folder"):
            open_cache(kind, folder, rows, SIZE)
