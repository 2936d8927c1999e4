"""The evidence that a publication adds to its validation, from folders written by hand."""

import dataclasses
import json
import types

import pytest

from semenet.training.recipe import find_recipe

RECIPE = find_recipe("seme_resnet50")
HASH = "a" * 64


def series(folder, recipe=RECIPE):
    """A folder of a finished cross-validation, with the files that the tool reads."""
    plan = {"recipe": json.loads(recipe.to_json()), "manifest_sha256": HASH, "by": "patient"}
    plan |= {"folds": [{}, {}], "val_share": 0.15}
    pooled = {"count": 8, "patients": 6, "figures": {"accuracy": 0.5}, "intervals": {"accuracy": [0.2, 0.8]}}
    (folder / "cross_validation.json").write_text(json.dumps(plan))
    (folder / "metrics.json").write_text(json.dumps({"pooled": pooled, "interval_method": "bootstrap"}))
    return folder


def run(manifest_sha256=HASH):
    return types.SimpleNamespace(path="run", recipe=RECIPE, record={"manifest_sha256": manifest_sha256})


def publication(**given):
    return types.SimpleNamespace(**{"test_split": None, "cross_validation": None} | given)


def test_a_cross_validation_of_the_recipe_with_any_seed_is_held_out_evidence(tool, tmp_path):
    folder = series(tmp_path, dataclasses.replace(RECIPE, seed=5))
    (found,) = tool("zoo/evidence").held_out(publication(cross_validation=folder), run(), None, {}, None)
    assert (found["kind"], found["by"], found["folds"], found["count"]) == (
        "cross-validation",
        "patient",
        2,
        8,
    )
    assert found["figures"] == {"accuracy": {"value": 0.5, "interval": [0.2, 0.8]}}


def test_a_cross_validation_of_another_recipe_or_manifest_is_refused(tool, tmp_path):
    held_out = tool("zoo/evidence").held_out
    folder = series(tmp_path, dataclasses.replace(RECIPE, learning_rate=0.5))
    with pytest.raises(ValueError, match="same recipe and manifest"):
        held_out(publication(cross_validation=folder), run(), None, {}, None)
    folder = series(tmp_path)
    with pytest.raises(ValueError, match="same recipe and manifest"):
        held_out(publication(cross_validation=folder), run("b" * 64), None, {}, None)


def test_a_split_that_something_was_chosen_on_is_not_evaluated_as_a_test(tool):
    chosen = {"train": ["weights"], "val": ["best epoch"], "test": []}
    for split in ("val", "reserve"):
        with pytest.raises(ValueError, match="on which nothing was chosen"):
            tool("zoo/evidence").held_out(publication(test_split=split), run(), None, chosen, None)
