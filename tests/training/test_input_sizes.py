import pytest

from semenet.training.input_sizes import SizePhase, size_phases
from semenet.training.recipe import Recipe, RecipeError

GROWING = ("96@0.5", "128@0.3", "160@0.2")


def test_the_epochs_are_divided_by_the_shares():
    assert size_phases(GROWING, 20) == [SizePhase(96, 0, 10), SizePhase(128, 10, 16), SizePhase(160, 16, 20)]
    # 3.5, 5.6 and 7 epochs.
    assert [phase.end_epoch for phase in size_phases(GROWING, 7)] == [4, 6, 7]


def test_the_last_size_is_the_size_of_the_network():
    recipe = Recipe("seme_resnet50", input_sizes=GROWING)
    assert recipe.input_size == 160
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_a_recipe_without_growing_sizes_has_one_phase():
    assert Recipe("seme_resnet50", epochs=3).size_phases == [SizePhase(512, 0, 3)]


@pytest.mark.parametrize(
    ("sizes", "rule"),
    [
        (("96", "128@0.5"), "such as 96@0.5"),
        (("small@0.5", "128@0.5"), "such as 96@0.5"),
        (("16@0.5", "128@0.5"), "32 pixels or more"),
        (("96@0.5", "128@0.4"), "sum to 1"),
        (("96@1.5", "128@-0.5"), "positive shares"),
        (("96@nan", "128@0.5"), "positive shares"),
        (("96@0.99", "128@0.01"), "one epoch or more of 20"),
    ],
)
def test_invalid_sizes_raise(sizes, rule):
    with pytest.raises(RecipeError, match=f"`input_sizes` must.*{rule}.*Received: .*{sizes[0]}.*Pass"):
        Recipe("seme_resnet50", input_sizes=sizes, epochs=20)


def test_networks_of_a_fixed_input_size_raise():
    with pytest.raises(RecipeError, match="average pooling"):
        Recipe("vgg19", input_sizes=GROWING)
    with pytest.raises(RecipeError, match="average pooling"):
        Recipe("unet", classes=("lung",), monitor="val_dice", input_sizes=GROWING)
    with pytest.raises(RecipeError, match="distillation"):
        Recipe("seme_resnet50", teacher="run", input_sizes=GROWING)


def test_two_input_sizes_on_one_command_line_raise(capsys):
    from semenet.cli.recipe import run_recipe

    arguments = ["--manifest", "m.csv", "--out", "run", "--input_size", "64", "--input-sizes=32@0.5,64@0.5"]
    with pytest.raises(SystemExit):
        run_recipe(Recipe("seme_resnet50"), "", arguments)
    assert "Leave one of the two out" in capsys.readouterr().err
