import os

import cv2
import numpy as np
import pandas as pd
import pytest
from hand_made_networks import threshold_unet

from semenet.cli.main import main
from semenet.data.images.reading import read_image, read_mask
from semenet.data.manifest.table import read_manifest
from semenet.inference.lung_masks import LungMasks
from semenet.serving.prediction.mask_files import fill_masks


@pytest.fixture
def partly(phantoms, tmp_path):
    """A manifest elsewhere, with masks for every other one of six rows."""
    rows = read_manifest(phantoms).rows.iloc[:6].copy()
    rows["file"] = rows["path"]
    rows["mask"] = [path if number % 2 else "" for number, path in enumerate(rows["mask_path"])]
    path = tmp_path / "partly.csv"
    rows[["file", "label", "patient", "split", "mask"]].to_csv(path, index=False)
    return path


def test_present_masks_are_kept_and_missing_ones_computed(partly, unet_run, tmp_path):
    out = tmp_path / "new" / "filled.csv"
    fill_masks(partly, unet_run, out)
    before, after = read_manifest(partly).rows, read_manifest(out).rows
    assert [os.path.realpath(path) for path in after["path"]] == [os.path.realpath(p) for p in before["path"]]
    assert after["mask_source"].tolist() == [str(unet_run), "manifest"] * 3
    assert (after["mask"] != "").all()
    finder = LungMasks.open(unet_run)
    for number, row in after.iterrows():
        if number % 2:
            assert os.path.samefile(row["mask_path"], before["mask_path"][number])
        else:
            image = read_image(row["path"])
            (expected,) = finder.segment([image], image.shape)
            np.testing.assert_array_equal(read_mask(row["mask_path"]) > 0, expected)
            assert row["mask_path"].startswith(str(tmp_path / "new" / "filled_masks"))


def test_implausible_masks_are_marked_and_dropped_on_request(partly, tmp_path, capsys):
    unet = threshold_unet(tmp_path / "unet.keras", darkest=False)
    rows = read_manifest(partly).rows
    bright = tmp_path / "bright.png"
    cv2.imwrite(str(bright), np.full((80, 80), 255, "uint8"))
    more = pd.DataFrame([{"file": str(bright), "label": "virus", "patient": "b", "split": "val", "mask": ""}])
    table = pd.concat([rows[more.columns], more])
    table.to_csv(partly, index=False)
    out = tmp_path / "filled.csv"
    main(["masks", str(partly), "--lungs", str(unet), "--out", str(out)])
    kept = read_manifest(out).rows
    assert kept["mask_check"].iloc[-1] == "area count"
    implausible = (kept["mask_check"] != "").sum()
    assert (
        f"7 rows, {implausible} of them with a predicted mask that cannot be lungs" in capsys.readouterr().out
    )
    main(["masks", str(partly), "--lungs", str(unet), "--out", str(out), "--drop-implausible"])
    assert (read_manifest(out).rows["mask_check"] == "").all()
    assert str(bright) not in [os.path.realpath(path) for path in read_manifest(out).rows["path"]]
    with pytest.raises(ValueError, match="the manifest itself"):
        fill_masks(partly, unet, partly)


def test_a_killed_process_resumes_with_the_masks_it_has(partly, unet_run, tmp_path, monkeypatch):
    out = tmp_path / "filled.csv"
    segmented = []
    segment = LungMasks.segment

    def count(self, images, size):
        segmented.append(size)
        if len(segmented) == 3:
            raise KeyboardInterrupt
        return segment(self, images, size)

    monkeypatch.setattr(LungMasks, "segment", count)
    with pytest.raises(KeyboardInterrupt):
        fill_masks(partly, unet_run, out)
    assert not out.exists()
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "filled_masks").glob("*.png")}
    assert len(written) == 2
    rows = fill_masks(partly, unet_run, out)
    assert len(segmented) == 3 + 1
    assert written.items() <= {file: file.stat().st_mtime_ns for file in written}.items()
    # Other masks are computed anew: by another network, or for an image that has changed.
    os.utime(read_manifest(partly).rows["path"][0])
    fill_masks(partly, unet_run, out)
    assert len(segmented) == 3 + 1 + 1
    again = fill_masks(partly, threshold_unet(tmp_path / "unet.keras", darkest=False), out)
    assert len(segmented) == 3 + 1 + 1 + 3
    assert again["mask"].tolist() == rows["mask"].tolist()
