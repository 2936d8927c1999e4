import pytest

from semenet.cli.main import main
from semenet.training.recipe import RecipeError, find_recipe


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predcit", "run", "images"], "Received: predcit. Did you mean semenet predict?"),
        (["data", "chekc", "a.csv"], "Did you mean semenet data check?"),
        (["xyzzy"], "The commands are list, doctor"),
        (["predict", "run", "images", "--ouut", "p.csv"], "there is no option --ouut. Did you mean --out?"),
        (["evaluate", "run", "--manifets=a.csv"], "there is no option --manifets. Did you mean --manifest?"),
        (["data", "split", "a.csv", "--sede", "1"], "there is no option --sede. Did you mean --seed?"),
        (
            ["train", "vgg19_gap", "--manifest", "a.csv", "--out", "run", "--learning_rat", "1"],
            "there is no option --learning-rat. Did you mean --learning-rate?",
        ),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest(arguments, words, capsys):
    with pytest.raises(SystemExit) as status:
        main(arguments)
    assert status.value.code == 2
    assert words in capsys.readouterr().err


def test_a_misspelt_recipe_is_answered_with_the_nearest():
    with pytest.raises(RecipeError, match="Received: 'seme_resnet5'. Did you mean seme_resnet50?"):
        find_recipe("seme_resnet5")
