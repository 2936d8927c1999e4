"""Prints the page of `--help` of a command: what is required first, then the options by subject."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import rich.console
import rich.padding
import rich.table
import rich.text

from semenet.cli.help.option_groups import MANY_OPTIONS, OPTION_GROUPS, group_of
from semenet.cli.help.options import Option, command_options

# Wider than the names of nearly all options; a longer one has a line of its own.
_NAMES_WIDTH = 26


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Returns whether a command line asks for the page of help."""
    return bool({"-h", "--help", "-H"} & set(arguments))


def print_help(
    function: Callable[..., Any],
    prog: str,
    description: str | None = None,
    console: rich.console.Console | None = None,
) -> None:
    """Prints the page of help of a command.

    Args:
        function: the command's function.
        prog: the program, such as "semenet evaluate".
        description: what the command does; None for the beginning of the function's docstring.
        console: where to print; None for standard output.
    """
    console = console or rich.console.Console(highlight=False)
    options = command_options(function)
    console.print(rich.text.Text(f"usage: {usage(prog, options)}"), soft_wrap=True)
    console.print()
    if description is not None:
        console.print(rich.text.Text(description.strip()))
        console.print()
    else:
        text = (inspect.getdoc(function) or "").split("\nArgs:")[0].strip()
        for paragraph in re.split(r"\n\s*\n", text):
            console.print(rich.text.Text(" ".join(paragraph.split())))
            console.print()
    for heading, listed in grouped(options).items():
        console.print(rich.text.Text(heading, style="bold"))
        for option in listed:
            _print_option(option, console)
        console.print()
    console.print("-h, --help shows this page.")


def usage(prog: str, options: Sequence[Option]) -> str:
    """Returns the line of usage: what is required, and [OPTIONS] for the rest."""
    words = [prog]
    for option in options:
        if option.positional:
            words.append(option.metavar if option.required else f"[{option.metavar}]".replace("[[", "["))
    words += [f"{option.names[0]} {option.metavar}" for option in options if option.required and option.names]
    optional = any(not option.required and option.names for option in options)
    return " ".join([*words, *(["[OPTIONS]"] if optional else [])])


def grouped(options: Sequence[Option]) -> dict[str, list[Option]]:
    """Returns the options by heading; what is required comes first, and headings are for long pages."""
    groups = {"required": [option for option in options if option.required]}
    rest = [option for option in options if not option.required]
    if len(options) < MANY_OPTIONS:
        groups["options"] = rest
    else:
        # A command that does not train has no heading for its batch size.
        trains = any(option.dest == "epochs" for option in options)
        for heading in (*OPTION_GROUPS, "options"):
            groups[heading] = [option for option in rest if group_of(option.dest) == heading]
        if not trains:
            groups["run"] += groups.pop("optimisation")
    return {heading: listed for heading, listed in groups.items() if listed}


def _print_option(option: Option, console: rich.console.Console) -> None:
    names = ", ".join(option.names) or option.metavar or option.dest
    if option.names and option.metavar:
        names += f" {option.metavar}"
    words = option.words
    if option.default is not None:
        # A switch that is off says so by its name.
        words += (
            "" if option.metavar is None and option.default == "False" else f" (default: {option.default})"
        )
    table = rich.table.Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=_NAMES_WIDTH, no_wrap=True)
    table.add_column(overflow="fold")
    if len(names) > _NAMES_WIDTH:
        console.print(rich.text.Text(f"  {names}", style="cyan"), soft_wrap=True)
        names = ""
    table.add_row(rich.text.Text(names, style="cyan"), rich.text.Text(words))
    console.print(rich.padding.Padding(table, (0, 0, 0, 2)))
