"""Whole series of tiny networks: what is written, resuming after a kill, and arguments that do not fit."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time

import pandas as pd
import pytest
from tensorflow.python.util import _pywrap_util_port

import semenet
from semenet.cli.main import main
from semenet.data.manifest.table import read_manifest, write_manifest
from semenet.errors import SemenetError
from semenet.evaluation.cross_validation import cross_validation as series
from semenet.evaluation.cross_validation.folds import draw_folds
from semenet.training.run_folder.record import RunFolderError

SECONDS = 380


@pytest.fixture(scope="module")
def recipe(tiny_recipe):
    return tiny_recipe("vgg19_gap", epochs=1)


@pytest.fixture(scope="module")
def two_hospitals(phantoms, tmp_path_factory):
    """The phantoms with a column `source`: of the second hospital there is no virus."""
    table = read_manifest(phantoms)
    # Patients alternate, so that both hospitals have some of each class.
    number = table.rows["patient"].str.extract(r"(\d+)$")[0].astype(int)
    rows = table.rows.assign(source=["north" if one % 3 else "south" for one in number])
    rows = rows[(rows["source"] == "north") | (rows["label"] != "virus")]
    rows = rows.assign(file=rows["path"], mask=rows["mask_path"])
    path = tmp_path_factory.mktemp("hospitals") / "manifest.csv"
    write_manifest(rows, path)
    return path


@pytest.fixture(scope="module")
def finished(recipe, two_hospitals, tmp_path_factory):
    """The folder of a finished series in which one source was left out."""
    out = tmp_path_factory.mktemp("series") / "south"
    semenet.cross_validate(
        recipe, two_hospitals, out, by="source", leave_out=["south"], val_share=0.3, resamples=200
    )
    return out


def again(recipe, two_hospitals, out, **changes):
    arguments = {"by": "source", "leave_out": ["south"], "val_share": 0.3, "resamples": 200}
    return semenet.cross_validate(recipe, two_hospitals, out, **arguments | changes)


def test_a_series_predicts_the_source_that_was_left_out(finished, two_hospitals):
    rows = read_manifest(two_hospitals).rows
    table = pd.read_csv(finished / "predictions.csv")
    south = rows[(rows["source"] == "south") & rows["split"].isin(["train", "val"])]
    assert sorted(table["file"]) == sorted(south["file"])
    assert set(table["fold"]) == {"south"}
    trained = read_manifest(next((finished / "folds").glob("*/manifest.csv"))).rows
    assert set(trained.loc[trained["split"] != "test", "source"]) == {"north"}
    run = json.loads(next((finished / "folds").glob("*/run/run.json")).read_text())
    assert run["images"] == trained["split"].value_counts().to_dict()
    calibration = json.loads(next((finished / "folds").glob("*/run/calibration.json")).read_text())
    assert calibration["split"] == "val"


def test_the_report_says_what_was_chosen_where(finished):
    found = json.loads((finished / "metrics.json").read_text())
    assert found["by"] == "source"
    (fold,) = found["folds"]
    assert fold["test"]["images"] == found["pooled"]["count"] == fold["count"]
    assert found["pooled"]["figures"]["accuracy"] == fold["figures"]["accuracy"]
    assert found["chosen_on"]["epoch"] == "the inner split of each fold"
    pairs = {(one["label"], one["against"], one["against_from"]) for one in found["contrasts"]}
    assert ("normal", "bacteria", "the same source") in pairs
    assert ("normal", "virus", "the inner split of the same fold") in pairs
    page = (finished / "report.html").read_text()
    assert "Left out: source" in page
    assert "nothing was chosen on these images" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_finished_series_is_not_trained_again(finished, recipe, two_hospitals, tmp_path, monkeypatch):
    out = shutil.copytree(finished, tmp_path / "copy")
    (out / "report.html").unlink()
    monkeypatch.setattr(series, "run_fold", None)
    found = again(recipe, two_hospitals, out)
    assert found["pooled"] == json.loads((finished / "metrics.json").read_text())["pooled"]
    assert (out / "report.html").exists()


CHANGES = {
    "recipe": ({"recipe": {"learning_rate": 0.5}}, r"started with learning_rate 0.0001, now 0.5"),
    "folds": ({"fold_seed": 1}, r"fold_seed 0, now 1; another folds"),
    "share": ({"val_share": 0.2}, r"val_share 0.3, now 0.2"),
    "by": ({"by": "patient", "leave_out": None, "folds": 2}, r"by 'source', now 'patient'"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_series_is_refused(finished, recipe, two_hospitals, what):
    changes, message = CHANGES[what]
    before = {path: path.read_bytes() for path in finished.glob("*.*")}
    recipe = dataclasses.replace(recipe, **changes.pop("recipe", {}))
    with pytest.raises(RunFolderError, match=message):
        again(recipe, two_hospitals, finished, **changes)
    assert {path: path.read_bytes() for path in finished.glob("*.*")} == before


def test_wrong_arguments_leave_no_folder_behind(recipe, two_hospitals, tmp_path):
    out = tmp_path / "new"
    with pytest.raises(SemenetError, match="Received: 'hospital'. Available: patient, "):
        again(recipe, two_hospitals, out, by="hospital")
    with pytest.raises(SemenetError, match="200 resamples or more"):
        again(recipe, two_hospitals, out, resamples=10)
    with pytest.raises(SemenetError, match="drawn from the splits reserve. Received"):
        again(recipe, two_hospitals, out, splits=("reserve",))
    assert not out.exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="holds something else"):
        again(recipe, two_hospitals, tmp_path / "full")


def test_weights_that_have_seen_the_held_out_images_are_refused(recipe, two_hospitals, tmp_path):
    seen = tmp_path / "seen"
    seen.mkdir()
    (seen / "model.keras").write_bytes(b"not loaded")
    (seen / "recipe.json").write_text(recipe.to_json())
    record = {"status": "training", "manifest_sha256": read_manifest(two_hospitals).sha256}
    (seen / "run.json").write_text(json.dumps(record))
    taught = dataclasses.replace(recipe, weights=str(seen))
    with pytest.raises(SemenetError, match="has seen the images that the folds hold out"):
        again(taught, two_hospitals, tmp_path / "new")


def command(manifest, out):
    small = "--input-size 32 --width 0.125 --depth 0.01 --epochs 1 --batch-size 8 --deterministic"
    fixed = "--folds 2 --val-share 0.3 --resamples 200 --checkpoint-every 1"
    paths = ["--manifest", str(manifest), "--out", str(out)]
    return ["cross-validate", "vgg19_gap", *paths, *small.split(), *fixed.split()]


@pytest.mark.slow
def test_a_killed_series_goes_on_and_ends_with_the_same_predictions(two_hospitals, tmp_path, capsys):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    main(command(two_hospitals, whole))
    second = killed / "folds" / "2" / "run" / "checkpoints" / "last.npz"
    process = subprocess.Popen(
        [sys.executable, "-m", "semenet", *command(two_hospitals, killed)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A command trains with oneDNN; without it, as perhaps in this process, rounding differs.
        env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": str(int(_pywrap_util_port.IsMklEnabled()))},
    )
    deadline = time.monotonic() + SECONDS
    while not second.exists():
        assert process.poll() is None, "it ended before the second fold was trained"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    first = killed / "folds" / "1" / "run" / "model.keras"
    trained = first.stat().st_mtime_ns
    capsys.readouterr()
    main(command(two_hospitals, killed))
    assert "2 folds, 1 of them finished" in capsys.readouterr().err
    assert first.stat().st_mtime_ns == trained
    for name in ("predictions.csv", "folds/2/run/last.weights.h5"):
        if name.endswith("csv"):
            assert (killed / name).read_bytes() == (whole / name).read_bytes()
        else:
            assert (killed / name).exists()
    drawn = draw_folds(
        read_manifest(two_hospitals).rows.query("split != 'test'").reset_index(drop=True),
        folds=2,
        val_share=0.3,
    )
    found = read_manifest(killed / "folds" / "2" / "manifest.csv").rows
    assert set(found.loc[found["split"] == "test", "file"]) == set(drawn[1].part("test")["file"])
