"""Runs whose images are drawn by weight: their record, what they print, and when they may be resumed."""

import json

import numpy as np
import pytest

from semenet.data.manifest.csv_file import ManifestError
from semenet.data.manifest.table import read_manifest, write_manifest
from semenet.training.loop.fit import train
from semenet.training.run_folder.record import RunFolderError


@pytest.fixture
def manifest(phantoms):
    """The phantoms with a second column to balance by."""
    rows = read_manifest(phantoms).rows
    path = phantoms.parent / "sources.csv"
    write_manifest(rows.assign(source=np.resize(["a", "b"], len(rows))), path)
    return path


def test_a_run_records_and_prints_the_shares_of_its_cells(manifest, tiny_recipe, tmp_path, capsys):
    recipe = tiny_recipe("seme_resnet50", balance=("label", "source"), epoch_images=24, epochs=1)
    run = train(recipe, manifest, tmp_path / "run")
    sampling = json.loads((run.path / "run.json").read_text())["sampling"]
    assert sampling["images"] == 24
    assert sum(cell["share"] for cell in sampling["cells"]) == pytest.approx(1, abs=1e-5)
    normal = [cell["share"] for cell in sampling["cells"] if cell["values"]["label"] == "normal"]
    assert sum(normal) == pytest.approx(1 / 3, abs=1e-5)
    rows = read_manifest(manifest).split("train")
    first = sampling["cells"][0]
    of_cell = (rows["label"] == first["values"]["label"]) & (rows["source"] == first["values"]["source"])
    assert first["rows"] == of_cell.sum()
    printed = capsys.readouterr().err
    assert f"24 images are drawn in each epoch from {len(rows)} rows" in printed
    assert f"  {first['values']['label']}, {first['values']['source']}: {first['rows']} rows" in printed

    # The manifest's hash does not cover this column.
    whole = read_manifest(manifest).rows
    write_manifest(whole.assign(source=np.roll(whole["source"].to_numpy(), 1)), manifest)
    with pytest.raises(RunFolderError, match="other values of the columns to balance by"):
        train(recipe, manifest, run.path)


def test_a_run_that_uses_every_image_once_records_no_shares(classifier_run):
    assert json.loads((classifier_run / "run.json").read_text())["sampling"] is None


def test_an_unknown_column_creates_no_folder(phantoms, tiny_recipe, tmp_path):
    with pytest.raises(ManifestError, match="Received: hospital"):
        train(tiny_recipe("seme_resnet50", balance=("hospital",)), phantoms, tmp_path / "run")
    assert not (tmp_path / "run").exists()
