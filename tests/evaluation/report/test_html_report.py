import types

import pandas as pd
import pytest

from semenet.data.manifest.table import read_manifest
from semenet.evaluation.report import html_report

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
    counts = html_report._split_counts(manifest, a_run())
    assert list(counts) == ["train", "val", "extra"]
    assert counts["val"] == {"images": 2, "patients": 2, "normal": 1, "virus": 1, "other": 0}
    assert counts["extra"] == {"images": 1, "patients": 1, "normal": 0, "virus": 0, "other": 1}


def test_warns_about_patients_in_the_training_set(manifest):
    same = a_run(manifest_sha256=manifest.sha256)
    shared, chosen, few = html_report._warnings(manifest, "val", same)
    assert shared.startswith("1 patients of this split")
    assert "best epoch was chosen" in chosen
    assert few == "The split has 2 patients: with fewer than 30, the intervals are too narrow."
    trained, _ = html_report._warnings(manifest, "train", same)
    assert "training images" in trained


def test_warns_if_the_training_data_differ_or_are_unknown(manifest):
    _, unknown = html_report._warnings(manifest, "extra", a_run())
    assert "not recorded" in unknown
    _, other = html_report._warnings(manifest, "extra", a_run(manifest_sha256="00"))
    assert "another manifest" in other


def test_training_curves_are_described(manifest):
    run = a_run(best_epoch=1)
    run.history = pd.DataFrame(
        {"epoch": [1, 2], "loss": [1.0, 0.5], "val_loss": [1.1, 1.2], "accuracy": [0.4, 0.75]}
    )
    losses, scores = html_report._training_pictures(run)
    assert losses["alt"] == "Curves over 2 epochs; values of the last epoch: loss 0.500, val_loss 1.200"
    assert scores["alt"].endswith("accuracy 0.750")
    run.history = None
    assert html_report._training_pictures(run) == []


def test_warns_if_the_calibration_was_chosen_on_the_same_split(manifest):
    run = a_run(manifest_sha256="00")
    run.calibration = {"split": "extra", "manifest_sha256": manifest.sha256}
    warned = {
        split: any(
            "were chosen on this split" in warning for warning in html_report._warnings(manifest, split, run)
        )
        for split in ("val", "extra")
    }
    assert warned == {"val": False, "extra": True}


def test_no_warning_with_many_patients(tmp_path):
    frame = pd.DataFrame(
        [(f"{number}.png", "normal", f"p{number}", "val") for number in range(30)],
        columns=["file", "label", "patient", "split"],
    )
    frame.to_csv(tmp_path / "manifest.csv", index=False)
    found = html_report._warnings(
        read_manifest(tmp_path / "manifest.csv"), "val", a_run(manifest_sha256="00")
    )
    assert not any("too narrow" in warning for warning in found)
