"""Broken files of a run folder: each is refused in one error that names the file, whatever is wrong."""

import dataclasses
import json
import pathlib
import shutil
import typing

import pytest
from broken_files import broken_texts, broken_values, check_refused

from semenet.storage.hashing import file_sha256
from semenet.training.recipe import Recipe, RecipeError
from semenet.training.run_folder.record import (
    RunFolderError,
    read_calibration,
    read_history,
    read_recipe,
    read_record,
)
from semenet.training.run_folder.run import Run

ZOO = pathlib.Path(__file__).parents[3] / "zoo"
HASH = "0123456789abcdef" * 4
RECORD = {
    "status": "finished",
    "manifest_sha256": HASH,
    "best": 0.9,
    "best_epoch": 3,
    "images": {"train": 5},
    "skipped": [{"file": "a.png"}],
}
RECORD_PLACES = {
    ("status",): (str,),
    ("manifest_sha256",): (str,),
    # A number is valid, but it is not missing in a finished run.
    ("best",): (int, float, "optional", None),
    ("best_epoch",): (None,),
    ("images",): ("optional", dict),
    ("images", "train"): ("optional",),
    ("skipped",): ("optional", list),
    ("skipped", 0, "file"): (str,),
}
POINT = {"target": 0.9, "threshold": 0.4, "sensitivity": 0.92}
CALIBRATION = {
    "temperature": 1.3,
    "model_sha256": HASH,
    "manifest_sha256": HASH,
    "split": "val",
    "count": 12,
    "operating_points": {"normal": {"sensitivity": POINT, "specificity": None}},
    "abstain": {"target_accuracy": 0.95, "confidence": 0.8, "coverage": 0.7},
    "warnings": [],
}
CALIBRATION_PLACES = {
    ("temperature",): (float,),
    ("model_sha256",): (),
    ("manifest_sha256",): (str,),
    ("split",): (str,),
    ("count",): (),
    ("operating_points",): (dict,),
    ("operating_points", "normal"): (dict, "optional"),
    ("operating_points", "normal", "sensitivity"): (None, "optional"),
    ("operating_points", "normal", "sensitivity", "threshold"): (int, float),
    ("abstain",): (None, "required"),
    ("abstain", "target_accuracy"): (float,),
    ("abstain", "confidence"): (float,),
}


def recipe_places():
    """Every field of a recipe, with the values that its type allows."""
    hints = typing.get_type_hints(Recipe)
    places = {}
    for field in dataclasses.fields(Recipe):
        hint = hints[field.name]
        kinds = {type(None): None} | {kind: kind for kind in (bool, str, int, float)}
        parts = typing.get_args(hint) or (hint,)
        valid = [kinds[part] for part in parts if part in kinds]
        valid += [int] if float in parts else []
        valid += [None] if None in parts else []
        if typing.get_origin(hint) is tuple:
            valid = [list]
        if field.name not in ("entry", "classes", "views"):
            valid.append("optional")
        places[field.name,] = tuple(valid)
    return places


RECIPE = json.loads(Recipe("seme_resnet50").to_json())


def all_broken(content, places):
    return [*broken_texts(json.dumps(content)), *broken_values(content, places)]


def test_a_broken_run_json_is_refused(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(RECORD))
    assert read_record(tmp_path) == RECORD
    cases = all_broken(RECORD, RECORD_PLACES)
    check_refused(path, cases, lambda: read_record(tmp_path), RunFolderError)


def test_a_broken_recipe_is_refused(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(RECIPE))
    assert read_recipe(path) == Recipe("seme_resnet50")
    places = recipe_places()
    assert places["classes",] == (list,)
    cases = all_broken(RECIPE, places)
    check_refused(path, cases, lambda: read_recipe(path), RecipeError)


def test_values_of_a_recipe_that_are_out_of_range_name_the_file(tmp_path):
    path = tmp_path / "recipe.json"
    for changed in (
        {"classes": []},
        {"input_size": -512},
        {"entry": "resnet5"},
        {"epochs": 0},
        {"views": ["x"]},
    ):
        path.write_text(json.dumps(RECIPE | changed))
        with pytest.raises(RecipeError, match="recipe.json"):
            read_recipe(path)


def test_a_recipe_without_the_fields_of_later_versions_is_read(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({"entry": "vgg19", "classes": ["a", "b"], "views": ["original"]}))
    assert read_recipe(path) == Recipe("vgg19", classes=("a", "b"))


def test_a_broken_calibration_is_refused(tmp_path):
    network, path = tmp_path / "a.keras", tmp_path / "a.calibration.json"
    network.write_bytes(b"network")
    content = CALIBRATION | {"model_sha256": file_sha256(network)}
    path.write_text(json.dumps(content))
    assert read_calibration(network) == content
    cases = all_broken(content, CALIBRATION_PLACES)
    check_refused(path, cases, lambda: read_calibration(network), RunFolderError)


@pytest.mark.parametrize(
    "contents",
    [b"", b"loss\n1\n", b"epoch,loss\n1,2,3,4\n1\n", b"epoch\nabc\n", b"\xff\xfe\x00", b"PK\x03\x04" * 20],
)
def test_a_broken_history_is_refused(tmp_path, contents):
    path = tmp_path / "history.csv"
    path.write_bytes(b"epoch,loss\n1,0.5\n2,nan\n")
    assert len(read_history(path)) == 2
    path.write_bytes(contents)
    with pytest.raises(RunFolderError, match="history.csv"):
        read_history(path)


def test_a_broken_recipe_of_published_weights_is_refused_with_the_name_of_its_file(tmp_path, monkeypatch):
    folder = tmp_path / "unet" / "lung"
    shutil.copytree(ZOO / "unet" / "lung", folder)
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["training"]["recipe"]["depth"] = "deep"
    (folder / "metadata.json").write_text(json.dumps(metadata))
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path))
    with pytest.raises(RecipeError, match=rf"{folder}/metadata.json, training/recipe: .*'deep'"):
        Run.open("unet:lung")
