import types

import pandas as pd
import pytest

from semenet.data.manifest.table import read_manifest
from semenet.evaluation.report import html_report as report

FOLDER_ROWS = [
    ("a.png", "normal", "p1", "train"),
    ("b.png", "virus", "p2", "train"),
    ("c.png", "normal", "p2", "val"),
    ("d.png", "virus", "p3", "val"),
    ("e.png", "other", "p4", "extra"),
]


@pytest.fixture
def manifest(tmp_path):
    frame = pd.DataFrame(FOLDER_ROWS, columns=["file", "label", "patient", "split"])
    frame.to_csv(tmp_path / "manifest.csv", index=False)
    return read_manifest(tmp_path / "manifest.csv")


def a_run(**record):
    return types.SimpleNamespace(
        record=record, segments=False, class_names=("normal", "virus"), calibration=None
    )


def test_counts_of_every_split(manifest):
    counts = report._split_counts(manifest, a_run())
    assert list(counts) == ["train", "val", "extra"]
    assert counts["val"] == {"images": 2, "patients": 2, "normal": 1, "virus": 1, "other": 0}
    assert counts["extra"] == {"images": 1, "patients": 1, "normal": 0, "virus": 0, "other": 1}


def test_warns_of_patients_that_were_trained_on(manifest):
    same = a_run(manifest_sha256=manifest.sha256)
    shared, chosen, few = report._warnings(manifest, "val", same)
    assert shared.startswith("1 patients of this split")
    assert "best epoch was chosen" in chosen
    assert few == "The split has 2 patients: with fewer than 30, the intervals are too narrow."
    trained, _ = report._warnings(manifest, "train", same)
    assert "training images" in trained


def test_warns_where_the_training_data_are_others_or_unknown(manifest):
    _, unknown = report._warnings(manifest, "extra", a_run())
    assert "not recorded" in unknown
    _, other = report._warnings(manifest, "extra", a_run(manifest_sha256="00"))
    assert "another manifest" in other


def test_training_curves_are_described(manifest):
    run = a_run(best_epoch=1)
    run.history = pd.DataFrame(
        {"epoch": [1, 2], "loss": [1.0, 0.5], "val_loss": [1.1, 1.2], "accuracy": [0.4, 0.75]}
    )
    losses, scores = report._training_pictures(run)
    assert losses["alt"] == "Curves over 2 epochs; values of the last epoch: loss 0.500, val_loss 1.200"
    assert scores["alt"].endswith("accuracy 0.750")
    run.history = None
    assert report._training_pictures(run) == []


def test_warns_where_calibration_chose_on_the_very_split(manifest):
    run = a_run(manifest_sha256="00")
    run.calibration = {"split": "extra", "manifest_sha256": manifest.sha256}
    warned = {
        split: any(
            "were chosen on this split" in warning for warning in report._warnings(manifest, split, run)
        )
        for split in ("val", "extra")
    }
    assert warned == {"val": False, "extra": True}


def test_many_patients_are_no_caution(tmp_path):
    frame = pd.DataFrame(
        [(f"{number}.png", "normal", f"p{number}", "val") for number in range(30)],
        columns=["file", "label", "patient", "split"],
    )
    frame.to_csv(tmp_path / "manifest.csv", index=False)
    found = report._warnings(read_manifest(tmp_path / "manifest.csv"), "val", a_run(manifest_sha256="00"))
    assert not any("too narrow" in warning for warning in found)
