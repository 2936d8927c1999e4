import pathlib
import shlex

import pytest

from semenet.evaluation.command_lines import command_line
from semenet.evaluation.explanation.explanations import explain
from semenet.evaluation.measure.calibration import calibrate
from semenet.evaluation.measure.comparison import compare
from semenet.evaluation.shortcut_audit.classifier_audit import audit
from semenet.evaluation.split_evaluation import evaluate
from semenet.storage.atomic import OutputError


def test_options_are_named_as_on_the_command_line():
    line = command_line("evaluate", pathlib.Path("run"), manifest="m.csv", batch_size=16, skip_at_most=0.05)
    assert line == "semenet evaluate run --manifest m.csv --batch-size 16 --skip-at-most 0.05"


def test_only_none_is_omitted():
    assert command_line("audit", "run", root=None, lungs=None) == "semenet audit run"
    assert command_line("audit", root="", seed=0) == "semenet audit --root '' --seed 0"


@pytest.mark.parametrize("names", [["sex", "age"], ("sex", "age")])
def test_lists_are_joined_by_commas(names):
    assert command_line("evaluate", "run", by=names) == "semenet evaluate run --by sex,age"


@pytest.mark.parametrize("path", ["a run", "it's", 'a"b', "$HOME", "a;rm", "a|b", "a\nb", "*"])
def test_paths_are_quoted_for_the_shell(path):
    line = command_line("compare", path, pathlib.Path(path), out=path)
    assert shlex.split(line) == ["semenet", "compare", path, path, "--out", path]


@pytest.mark.parametrize(
    "work",
    [
        lambda run, out: evaluate(run, "m.csv", "val", out=out),
        lambda run, out: audit(run, "m.csv", out=out),
        lambda run, out: compare(run, run, "m.csv", "val", out=out),
        lambda run, out: explain(run, manifest="m.csv", out=out),
        lambda run, out: explain(run, run, out=out),
        lambda run, _: calibrate(run, "m.csv", "val"),
    ],
    ids=["evaluate", "audit", "compare", "explain a split", "explain files", "calibrate"],
)
def test_an_unwritable_output_is_refused_before_a_network_is_loaded(tmp_path, work):
    run, out = tmp_path / "run.keras", tmp_path / "out"
    run.write_text("Not a network: loading it would raise another error.")
    out.touch()
    (tmp_path / "run.calibration.json").mkdir()
    with pytest.raises(OutputError):
        work(run, out)
