import dataclasses
import io

import pytest
import rich.console

from semenet.cli.evaluation import evaluate
from semenet.cli.help.option_groups import OPTION_GROUPS, group_of
from semenet.cli.help.options import command_options
from semenet.cli.help.pages import grouped, print_help, usage
from semenet.cli.main import COMMANDS, main
from semenet.training.options import DataOptions, RunOptions
from semenet.training.recipe import Recipe


def example(first: str, count: int | None = None, names: tuple[str, ...] = (), fast: bool = False) -> None:
    """Does something.

    And more.

    Args:
        first: The first.
        count: How many. None: all.
        names: Some names.
        fast: Be quick.
    """


def page(function, prog):
    stream = io.StringIO()
    print_help(function, prog, console=rich.console.Console(file=stream, width=80))
    return stream.getvalue()


def test_a_page_has_usage_words_and_defaults_without_none():
    text = page(example, "semenet example")
    assert text.startswith("usage: semenet example --first STR [OPTIONS]\n\nDoes something.\n\nAnd more.\n")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "--count INT How many. None: all." in lines
    assert "--fast, --no-fast" in text
    for noise in ("{None}", "default: None", "(default: )", "default: False", "Args:"):
        assert noise not in text


def test_every_setting_of_a_training_has_one_heading():
    fields = [*dataclasses.fields(Recipe), *dataclasses.fields(DataOptions), *dataclasses.fields(RunOptions)]
    names = [field.name.replace("_", "-") for field in fields if field.name != "entry"]
    assert [name for name in names if group_of(name) == "options"] == []
    listed = [name for of in OPTION_GROUPS.values() for name in of]
    assert len(listed) == len(set(listed))


def test_a_long_page_is_grouped_and_a_short_one_is_not():
    groups = grouped(command_options(evaluate))
    assert [option.dest for option in groups["required"]] == ["run", "out"]
    assert {"data", "heat maps", "run"} <= set(groups)
    # Nothing is optimised.
    assert "optimisation" not in groups
    assert "batch-size" in [option.dest for option in groups["run"]]
    (method,) = [option for option in groups["heat maps"] if option.dest == "map-method"]
    assert method.metavar.startswith("{cam,grad-cam")
    assert set(grouped(command_options(example))) == {"required", "options"}


@pytest.mark.parametrize(
    "name", ["evaluate", "compare", "audit", "explain", "compare-maps", "predict", "export"]
)
def test_every_command_that_takes_a_run_says_that_it_takes_published_weights(name):
    options = command_options(COMMANDS[name])
    assert "RUN|ENTRY:NAME" in usage(f"semenet {name}", options)
    for option in options:
        if option.dest == "lungs":
            assert option.metavar == "RUN|ENTRY:NAME"


def test_a_command_s_help_is_this_page(capsys):
    with pytest.raises(SystemExit) as status:
        main(["data", "split", "--help"])
    assert status.value.code == 0
    assert capsys.readouterr().out.startswith("usage: semenet data split CSV --out PATH [OPTIONS]")
