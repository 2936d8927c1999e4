import re
import types

import pytest

from semenet.cli.recipe import run_recipe
from semenet.training.loop import fit
from semenet.training.recipe import find_recipe


def parsed(monkeypatch, *options):
    """Returns what the command line passes to `train`: recipe and run options."""
    handed = {}

    def train(recipe, manifest, out, **arguments):
        handed.update(arguments, recipe=recipe)
        return types.SimpleNamespace(record={"best_epoch": 1, "best": 0.5}, path=out)

    monkeypatch.setattr(fit, "train", train)
    run_recipe(find_recipe("seme_resnet50"), "", ["--manifest", "m.csv", "--out", "run", *options])
    return handed["recipe"], handed["options"]


@pytest.mark.parametrize(
    ("flag", "default"),
    [
        ("--precision", "auto"),
        ("--distribute", "none"),
        ("--preset", "paper"),
        ("--ema", "0.0"),
    ],
)
def test_help_shows_an_option_with_its_default(capsys, flag, default):
    with pytest.raises(SystemExit):
        run_recipe(find_recipe("seme_resnet50"), "", ["--help"])
    text = re.sub(r"[│\s]+", " ", capsys.readouterr().out)
    assert re.search(rf" {flag}[ ,{{].*?\(default: {default}\)", text)
    assert "(default:" not in re.search(rf" {flag}[ ,{{](.*?)\(default: {default}\)", text)[1]


def test_help_shows_no_default_where_nothing_is_chosen(capsys):
    with pytest.raises(SystemExit):
        run_recipe(find_recipe("seme_resnet50"), "", ["--help"])
    text = capsys.readouterr().out
    for noise in ("{None}", "default: None", "default: '')", "default: )"):
        assert noise not in text
    assert "--checkpoint-every INT" in text


def test_help_with_a_preset_shows_its_defaults(capsys):
    with pytest.raises(SystemExit):
        run_recipe(find_recipe("seme_resnet50"), "", ["--preset", "modern", "--help"])
    text = re.sub(r"[│\s]+", " ", capsys.readouterr().out)
    assert re.search(r" --ema FLOAT [^(]*\(default: 0\.999\)", text)


@pytest.mark.parametrize("preset", [["--preset", "modern"], ["--preset=modern"]])
def test_an_option_takes_precedence_over_the_preset(monkeypatch, preset):
    recipe, options = parsed(monkeypatch, "--ema", "0.5", *preset, "--checkpoint-every", "5")
    assert (recipe.ema, recipe.optimizer, recipe.class_weights) == (0.5, "adamw", "balanced")
    assert (options.checkpoint_every, options.distribute) == (5, "none")


def test_without_a_preset_the_recipe_is_unchanged(monkeypatch):
    recipe, _ = parsed(monkeypatch)
    assert recipe == find_recipe("seme_resnet50")


def test_an_unknown_preset_prints_the_usage(capsys):
    with pytest.raises(SystemExit):
        run_recipe(find_recipe("seme_resnet50"), "", ["--preset", "old", "--manifest", "m", "--out", "o"])
    assert "invalid choice: 'old'" in capsys.readouterr().err
