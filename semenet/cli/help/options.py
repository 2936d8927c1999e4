"""Reads the options of a command from its function."""

import dataclasses
import re
import warnings
from collections.abc import Callable
from typing import Any

import tyro

_ENDING = re.compile(r"\s*\((?:default: (?P<default>.*)|required|repeatable)\)$", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Option:
    """An option or a positional argument of a command."""

    names: tuple[str, ...]
    """How it is written, such as --out; empty for a positional argument."""
    dest: str
    """Its first name without hyphens in front, or the parameter's name."""
    metavar: str | None
    """What stands for the value; None for a switch."""
    words: str
    """What it does, without the default."""
    default: str | None
    """The default value; None if it is required, or if nothing is chosen by default."""
    required: bool
    choices: tuple[str, ...]

    @property
    def positional(self) -> bool:
        """Whether it is a positional argument."""
        return not self.names


def command_options(function: Callable[..., Any]) -> list[Option]:
    """Returns the options of a command, in the order of the function's parameters.

    Args:
        function: the function, as tyro reads it.
    """
    with warnings.catch_warnings():
        # tyro has no other way to list the options.
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = tyro.extras.get_parser(function)
    return [_option(action) for action in parser._actions if action.dest not in ("help", "help-verbose")]


def _option(action: Any) -> Option:
    text = action.help or ""
    ending = _ENDING.search(text)
    default = ending["default"] if ending else None
    switch = action.nargs == 0
    return Option(
        tuple(action.option_strings),
        action.option_strings[0].lstrip("-") if action.option_strings else action.dest.replace("_", "-"),
        None if switch else _metavar(action),
        " ".join(text[: ending.start()].split()) if ending else " ".join(text.split()),
        None if default in ("None", "''", "", None) else default,
        "(required)" in text,
        tuple(choice for choice in action.choices or () if choice != "None"),
    )


def _metavar(action: Any) -> str:
    """Returns the metavar without the None that stands for leaving the option out."""
    metavar = str(action.metavar or action.dest.upper())
    return metavar.removeprefix("{None}|").replace("{None,", "{")
