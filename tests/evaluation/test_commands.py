import pathlib
import shlex

import pytest

from semenet.evaluation.commands import command_line


def test_options_have_their_names_on_the_command_line():
    line = command_line("evaluate", pathlib.Path("run"), manifest="m.csv", batch_size=16, skip_at_most=0.05)
    assert line == "semenet evaluate run --manifest m.csv --batch-size 16 --skip-at-most 0.05"


def test_none_is_left_out_and_nothing_else_is():
    assert command_line("audit", "run", root=None, lungs=None) == "semenet audit run"
    assert command_line("audit", root="", seed=0) == "semenet audit --root '' --seed 0"


@pytest.mark.parametrize("names", [["sex", "age"], ("sex", "age")])
def test_lists_are_joined_by_commas(names):
    assert command_line("evaluate", "run", by=names) == "semenet evaluate run --by sex,age"


@pytest.mark.parametrize("path", ["a run", "it's", 'a"b', "$HOME", "a;rm", "a|b", "a\nb", "*"])
def test_a_shell_gets_every_path_back(path):
    line = command_line("compare", path, pathlib.Path(path), out=path)
    assert shlex.split(line) == ["semenet", "compare", path, path, "--out", path]
