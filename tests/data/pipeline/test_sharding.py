"""Shards: the same images, batches and hash as the files they were made from."""

import pathlib

import cv2
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from semenet.data.checks.copies import find_image
from semenet.data.checks.manifest_check import check_manifest
from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image, read_mask
from semenet.data.images.shards import file_of
from semenet.data.manifest.table import ManifestError, read_manifest, write_manifest
from semenet.data.pipeline.datasets import training_dataset
from semenet.data.pipeline.sharding import write_shards
from semenet.data.pipeline.tf_data import unwrapped_errors
from semenet.data.transforms.augmentation import Augmentation
from semenet.storage.atomic import OutputError


@pytest.fixture
def manifest(tmp_path):
    """Six images of about 2 KB, every second one with a mask."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "set"
    folder.mkdir()
    records = []
    for index in range(6):
        image = generator.integers(0, 256, (40, 50 + index), dtype=np.uint8)
        cv2.imwrite(str(folder / f"ä {index}.png"), image)
        cv2.imwrite(str(folder / f"m{index}.png"), (image > 99) * np.uint8(255))
        mask = f"m{index}.png" if index % 2 else ""
        split = "train" if index < 5 else "val"
        records.append((f"ä {index}.png", "ab"[index % 2], f"p{index}", split, mask, "extra"))
    columns = ["file", "label", "patient", "split", "mask", "source"]
    write_manifest(pd.DataFrame(records, columns=columns), folder / "manifest.csv")
    return read_manifest(folder / "manifest.csv")


def shards_of(manifest, folder, **options):
    return read_manifest(write_shards(manifest, folder, **options))


def batches(rows, **changes):
    arguments = {"class_names": ("a", "b"), "input_size": (24, 32), "batch_size": 2, "epochs": 2, "seed": 5}
    dataset, _ = training_dataset(rows, **arguments | changes, augmentation=Augmentation(0.5, 20))
    with unwrapped_errors():
        return [tuple(part.numpy() for part in batch) for batch in dataset]


def test_the_manifest_of_shards_equals_that_of_the_files(manifest, tmp_path):
    sharded = shards_of(manifest, tmp_path / "shards")
    assert sharded.sha256 == manifest.sha256
    columns = ["file", "label", "patient", "split", "mask", "source"]
    pd.testing.assert_frame_equal(sharded.rows[columns], manifest.rows[columns])
    for ours, theirs in zip(sharded.rows.itertuples(), manifest.rows.itertuples(), strict=True):
        np.testing.assert_array_equal(read_image(ours.path), read_image(theirs.path))
        assert bool(ours.mask_path) == bool(theirs.mask_path)
        if ours.mask_path:
            np.testing.assert_array_equal(read_mask(ours.mask_path), read_mask(theirs.mask_path))


@pytest.mark.parametrize("masks", [False, True])
def test_batches_from_shards_equal_those_from_files_and_need_no_files(manifest, tmp_path, masks):
    def chosen(rows):
        return rows[rows["mask"] != ""] if masks else rows

    expected = batches(chosen(manifest.rows), masks=masks)
    sharded = shards_of(manifest, tmp_path / "shards")
    for path in [*manifest.rows["path"], *filter(None, manifest.rows["mask_path"])]:
        pathlib.Path(path).unlink()
    # The folder can be moved as a whole.
    (tmp_path / "shards").rename(tmp_path / "moved")
    moved = read_manifest(tmp_path / "moved" / "manifest.csv")
    assert (moved.rows["path"] != sharded.rows["path"]).all()
    found = batches(chosen(moved.rows), masks=masks)
    for ours, theirs in zip(found, expected, strict=True):
        for part, expected_part in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(part, expected_part)


def test_shards_have_a_maximum_size_and_any_tfrecord_reader_reads_them(manifest, tmp_path):
    steps = []
    sharded = shards_of(
        manifest, tmp_path / "shards", shard_mebibytes=0.005, progress=lambda *step: steps.append(step)
    )
    assert steps == [(done, 6) for done in range(1, 7)]
    files = sorted((tmp_path / "shards").glob("*.tfrecord"))
    assert len(files) == sharded.rows["shard"].nunique() > 1
    assert all(file.stat().st_size < 2 * 0.005 * 2**20 for file in files)
    spec = {name: tf.io.FixedLenFeature((), tf.string, "") for name in ("image", "mask", "file", "label")}
    records = [
        tf.io.parse_single_example(record, spec)
        for record in tf.data.TFRecordDataset([str(file) for file in files])
    ]
    for record, row in zip(records, manifest.rows.itertuples(), strict=True):
        assert record["image"].numpy() == pathlib.Path(row.path).read_bytes()
        assert record["mask"].numpy() == (pathlib.Path(row.mask_path).read_bytes() if row.mask_path else b"")
        assert record["file"].numpy().decode() == row.file
        assert record["label"].numpy().decode() == row.label


def test_shards_are_checked_and_searched_like_files(manifest, tmp_path):
    sharded = shards_of(manifest, tmp_path / "shards")
    reports = [check_manifest(one) for one in (manifest, sharded)]
    for report in reports:
        del report["manifest"]
    assert reports[0] == reports[1]
    assert reports[1]["unreadable"] == []
    (found,) = find_image(sharded, read_image(manifest.rows["path"][2]))
    assert found["file"] == "ä 2.png"


@pytest.mark.parametrize("damage", ["deleted", "truncated", "flip"])
def test_a_damaged_shard_is_named(manifest, tmp_path, damage):
    sharded = shards_of(manifest, tmp_path / "shards")
    file = pathlib.Path(file_of(sharded.rows["path"][0]))
    contents = bytearray(file.read_bytes())
    if damage == "deleted":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(contents[:500])
    else:
        contents[500] ^= 1
        file.write_bytes(contents)
    with pytest.raises(ImageError, match=rf"Received: {file}.*semenet data shard"):
        read_image(sharded.rows["path"][0])


def test_a_damaged_image_leaves_no_shards_behind(manifest, tmp_path):
    pathlib.Path(manifest.rows["path"][4]).write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match="ä 4.png"):
        write_shards(manifest, tmp_path / "shards")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_with_files_is_not_overwritten(manifest, tmp_path):
    with pytest.raises(OutputError, match="empty folder"):
        write_shards(manifest, tmp_path / "set")
    with pytest.raises(ValueError, match="shard_mebibytes"):
        write_shards(manifest, tmp_path / "shards", shard_mebibytes=0)


def test_a_wrong_offset_in_the_manifest_of_shards_is_rejected(manifest, tmp_path):
    path = write_shards(manifest, tmp_path / "shards")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.loc[2, "image_offset"] = "-5"
    frame.to_csv(path, index=False)
    with pytest.raises(ManifestError, match=r"image_offset.*line 4"):
        read_manifest(path)
