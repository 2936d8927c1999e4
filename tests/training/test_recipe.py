import dataclasses
import json

import pytest

from semenet.errors import SemenetError
from semenet.models.catalog import architecture_arguments
from semenet.models.entries import CATALOG
from semenet.models.placements import MOEX_POSITIONS, SE_PLACEMENTS
from semenet.training.loop.fit import build_network
from semenet.training.recipe import Recipe, RecipeError, find_recipe, list_recipes

TABLE_5 = ["moex_resnet50", "seme_resnet50", "moex_densenet169", "seme_densenet169"]
FIGURE_14 = ["vgg19", "resnet50", "densenet169"]


def test_every_entry_and_every_network_of_table_5_and_figure_14_has_a_recipe():
    assert set(list_recipes()) == set(CATALOG) | {f"{name}_dataset2" for name in TABLE_5 + FIGURE_14} | {
        "seme_resnet50_findings"
    }


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_matches_its_entry_and_its_name(name):
    recipe = find_recipe(name)
    entry = CATALOG[recipe.entry]
    assert name in (recipe.entry, f"{recipe.entry}_dataset2", f"{recipe.entry}_findings")
    assert recipe.input_size == entry.input_size
    assert set(recipe.architecture) <= set(architecture_arguments(recipe.entry))
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize("name", CATALOG)
def test_a_recipe_takes_every_architecture_argument_of_its_entry(name):
    arguments = architecture_arguments(name)
    assert dataclasses.replace(find_recipe(name), **arguments).architecture == arguments


@pytest.mark.parametrize("name", ["seme_resnet50", "seme_densenet169"])
def test_every_placement_and_position_is_built(name):
    small = dataclasses.replace(find_recipe(name), input_size=32, width=0.125, depth=0.01)
    orders = set()
    for placement in SE_PLACEMENTS[CATALOG[name].backbone]:
        network = build_network(dataclasses.replace(small, se_placement=placement))
        orders.add(tuple(layer.name for layer in network.layers))
        assert any("_se" in layer for layer in max(orders))
    assert len(orders) == len(SE_PLACEMENTS[CATALOG[name].backbone])
    before = []
    for position in MOEX_POSITIONS:
        network = build_network(dataclasses.replace(small, moex_position=position, bn_momentum=0.5))
        before += [layer.name for layer in network.layers if layer.output is network.get_layer("moex").input]
        assert network.get_layer("conv1_bn").momentum == 0.5
    assert before[0] == "conv1_bn"
    assert before[1].startswith("pool1")


def test_the_defaults_are_the_settings_of_the_paper():
    for name in set(CATALOG) - {"unet"}:
        recipe = find_recipe(name)
        assert (recipe.optimizer, recipe.learning_rate, recipe.momentum) == ("sgd", 1e-4, 0.9)
        assert (recipe.epochs, recipe.batch_size, recipe.schedule) == (80, 16, "constant")
        assert recipe.clahe == (0.4 if CATALOG[name].moment_exchange else 0.0)
        assert recipe.classes == ("normal", "bacteria", "virus")
    for name in TABLE_5:
        recipe = find_recipe(f"{name}_dataset2")
        assert (recipe.learning_rate, recipe.minimum_learning_rate, recipe.schedule) == (0.1, 1e-8, "cosine")
        assert recipe.rotation == 30
        assert set(recipe.views) == {"original", "clahe", "masked", "masked_clahe"}
        assert recipe.classes == ("other_viral", "COVID-19")
    for name in FIGURE_14:
        recipe = find_recipe(f"{name}_dataset2")
        assert (recipe.views, recipe.clahe, recipe.rotation) == (("original",), 0, 30)
        assert (recipe.learning_rate, recipe.schedule) == (1e-4, "constant")
        assert recipe.classes == ("other_viral", "COVID-19")
    assert (find_recipe("unet").optimizer, find_recipe("unet").schedule) == ("adam", "cosine")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_size": 31}, "`input_size` must be 32 or more. Received: 31"),
        ({"learning_rate": 0.0}, "positive"),
        ({"learning_rate": float("nan")}, "positive"),
        ({"momentum": 1.0}, r"\[0, 1\)"),
        ({"schedule": "cosine", "minimum_learning_rate": 1.0}, "between 0 and the learning rate"),
        ({"epochs": 0}, "1 or more"),
        ({"batch_size": 0}, "1 or more"),
        ({"clahe": 40.0}, r"`clahe` must be a number in \[0, 1\]. Received: 40.0"),
        ({"rotation": -1.0}, r"\[0, 180\]"),
        ({"views": ("sepia",)}, "original, clahe, masked, masked_clahe.*Received"),
        ({"views": ()}, "without repeats"),
        ({"views": ("original", "original")}, "without repeats"),
        ({"classes": ("a", "a")}, "distinct names"),
        ({"classes": ("a", "")}, "distinct names"),
        ({"classes": ("a",)}, "two or more"),
        ({"se_ratio": 0}, "1 or more"),
        ({"moex_p": 2.0}, r"\[0, 1\]"),
        ({"entry": "resnet50_gap", "moex_p": 0.5}, "only for networks with MoEx"),
        ({"entry": "resnet50_gap", "se_ratio": 8}, "only for networks with squeeze"),
        ({"se_placement": "both"}, "`se_placement` must be one of standard, pre, post, identity"),
        ({"entry": "seme_densenet169", "se_placement": "pre"}, "must be one of both, blocks, transitions"),
        ({"entry": "resnet50_gap", "se_placement": "pre"}, "only for networks with squeeze"),
        ({"moex_position": "end"}, "`moex_position` must be one of conv1, stem"),
        ({"entry": "resnet50_gap", "moex_position": "stem"}, "only for networks with MoEx"),
        ({"bn_momentum": 1.0}, r"\[0, 1\)"),
        ({"entry": "vgg19_gap", "bn_momentum": 0.9}, "only for networks with batch normalisation"),
        ({"width": -1.0}, "positive"),
        ({"seed": -1}, "seed"),
        ({"weight_decay": 0.1}, "is only for adamw. Received: 0.1. Pass another --weight-decay"),
        ({"optimizer": "adamw", "weight_decay": 1.0}, r"\[0, 1\)"),
        ({"cycles": 2}, "is only for the cosine schedule"),
        ({"schedule": "cosine", "cycles": 81}, "at most the number of epochs"),
        ({"warmup": 0.1}, "is only for the cosine schedule"),
        ({"schedule": "cosine", "warmup": 1.0}, r"\[0, 1\)"),
        ({"clip_norm": -1.0}, "0 or more"),
        ({"label_smoothing": 1.0}, r"\[0, 1\)"),
        ({"ema": 1.0}, r"\[0, 1\)"),
        ({"patience": -1}, "0 or more"),
        ({"zoom": 0.6}, "zoom"),
        ({"acquisition": 2.0}, r"`acquisition` must be a number in \[0, 1\]"),
        ({"acquisition_changes": ("jpg",)}, "`acquisition_changes` must be one or more of"),
        ({"balance": ("label", "label")}, "`balance` must be a tuple of names"),
        ({"balance_power": -1.0}, "`balance_power` must be"),
        ({"epoch_images": 0}, "`epoch_images` must be"),
        ({"balance": ("label",), "class_weights": "balanced"}, "--balance, .* exclude it"),
        ({"contrast": -0.1}, "contrast"),
        ({"teacher": "run", "distill_temperature": 0.0}, "positive"),
        ({"teacher": "run", "distill_weight": 0.0}, "be positive if attention_weight is 0"),
        ({"teacher": "run", "attention_weight": -1.0}, "0 or more"),
        ({"distill_temperature": 2.0}, "needs --teacher"),
        ({"distill_weight": 0.9}, "needs --teacher"),
        ({"attention_weight": 1.0}, "needs --teacher"),
        ({"freeze_backbone": True}, "needs --weights"),
        ({"learning_rate": float("inf")}, "positive"),
        ({"entry": "unet", "classes": ("lung",), "monitor": "val_dice", "teacher": "run"}, "that classify"),
        ({"monitor": "val_dice"}, "of `seme_resnet50` must be one of val_macro_auroc"),
    ],
)
def test_a_value_out_of_range_raises(change, message):
    with pytest.raises(SemenetError, match=message):
        dataclasses.replace(find_recipe("seme_resnet50"), **change)


def test_an_unknown_recipe_raises_and_lists_all_recipes():
    with pytest.raises(RecipeError, match="Received: 'seme'.*seme_resnet50"):
        find_recipe("seme")


def test_a_recipe_file_from_before_a_field_was_added_is_read():
    recipe = find_recipe("seme_resnet50")
    added = ("balance", "balance_power", "epoch_images", "acquisition", "acquisition_changes")
    old = {name: value for name, value in dataclasses.asdict(recipe).items() if name not in added}
    assert Recipe.from_json(json.dumps(old)) == recipe


def test_names_are_read_from_a_recipe_file_as_tuples():
    recipe = dataclasses.replace(
        find_recipe("seme_resnet50"), balance=("label", "source"), acquisition_changes=("jpeg", "tone")
    )
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.sampling.balance == ("label", "source")
    assert recipe.augmentation.acquisition_changes == ("jpeg", "tone")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"entry": "unet", "classes": [], "views": [], "new": 1}'])
def test_a_damaged_recipe_file_raises(text):
    with pytest.raises(RecipeError, match="recipe.json must have been written by this version"):
        Recipe.from_json(text)
