import pathlib
import shlex

import pytest

from semenet.evaluation.command_lines import command_line
from semenet.evaluation.explanation.explanations import explain_split, write_explanations
from semenet.evaluation.measure.calibration import calibrate
from semenet.evaluation.measure.comparison import compare
from semenet.evaluation.shortcut_audit.run_audit import audit
from semenet.evaluation.split_evaluation import evaluate
from semenet.storage.atomic import OutputError
from semenet.training.run_folder.run import Run


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


@pytest.mark.parametrize(
    "work",
    [
        lambda run, out: evaluate(run, "m.csv", "val", out),
        lambda run, out: audit(run, "m.csv", out),
        lambda run, out: compare(run, run, "m.csv", "val", out),
        lambda run, out: explain_split(Run.open(run), "m.csv", "val", out),
        lambda run, out: write_explanations(Run.open(run), [run], out),
        lambda run, _: calibrate(run, "m.csv", "val"),
    ],
    ids=["evaluate", "audit", "compare", "explain_split", "write_explanations", "calibrate"],
)
def test_an_output_that_cannot_be_written_is_refused_before_a_network_is_loaded(tmp_path, work):
    run, out = tmp_path / "run.keras", tmp_path / "out"
    run.write_text("No network: to load it is another error.")
    out.touch()
    (tmp_path / "run.calibration.json").mkdir()
    with pytest.raises(OutputError):
        work(run, out)
