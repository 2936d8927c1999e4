import dataclasses

import pytest

from semenet.errors import SemenetError
from semenet.training.presets import with_preset
from semenet.training.recipe import find_recipe, list_recipes


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_takes_every_preset(name):
    recipe = find_recipe(name)
    assert with_preset(recipe, "paper") is recipe
    modern = with_preset(recipe, "modern")
    assert (modern.optimizer, modern.schedule, modern.ema > 0) == ("adamw", "cosine", True)
    kept = ("entry", "classes", "input_size", "views", "clahe", "epochs", "batch_size", "monitor")
    assert {field: getattr(modern, field) for field in kept} == {
        field: getattr(recipe, field) for field in kept
    }
    assert modern.class_weights == ("none" if recipe.segments else "balanced")
    hospitals = with_preset(recipe, "hospitals")
    assert (hospitals.acquisition, hospitals.batch_size, hospitals.ema) == (0.4, 32, 0.995)
    columns = ("source",) if recipe.several_labels else ("label", "source")
    assert hospitals.balance == (() if recipe.segments else columns)
    assert hospitals.class_weights == ("balanced" if recipe.several_labels else "none")
    assert hospitals.lungs_box == hospitals.standardize == (not recipe.segments)


def test_an_unknown_preset_raises():
    with pytest.raises(SemenetError, match="paper, modern, hospitals.*Received: 'old'"):
        with_preset(find_recipe("unet"), "old")
    assert dataclasses.asdict(find_recipe("unet"))["optimizer"] == "adam"
