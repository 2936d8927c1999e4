"""Answers to misspelt commands and options: the nearest word that exists."""

import contextlib
import difflib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tyro


def check_command(arguments: Sequence[str], commands: Sequence[str], prog: str) -> None:
    """Ends the process with the nearest command if the first argument is none.

    Args:
        arguments: the words after `prog`.
        commands: the names of the commands.
        prog: the program, such as "semenet data".

    Raises:
        SystemExit: with status 2, as for every wrong command line.
    """
    if not arguments or arguments[0].startswith("-") or arguments[0] in commands:
        return
    close = difflib.get_close_matches(arguments[0], commands, n=1, cutoff=0.5)
    remedy = f"Did you mean {prog} {close[0]}?" if close else f"The commands are {', '.join(commands)}."
    print(
        f"semenet: {prog} needs one of its commands. Received: {arguments[0]}. {remedy} "
        f"{prog} --help describes them.",
        file=sys.stderr,
    )
    raise SystemExit(2)


@contextlib.contextmanager
def suggested_options(function: Callable[..., Any], arguments: Sequence[str]) -> Iterator[None]:
    """Adds the nearest options to the message about a wrong command line.

    Args:
        function: the function whose parameters are the options.
        arguments: the words after the command.
    """
    try:
        yield
    except SystemExit as error:
        if error.code == 2:
            for given, close in _misspelt(function, arguments):
                print(f"semenet: there is no option {given}. Did you mean {close}?", file=sys.stderr)
        raise


def _misspelt(function: Callable[..., Any], arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Returns the options that do not exist, each with the nearest one that does."""
    parser = tyro.extras.get_parser(function)
    known = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    given = [word.split("=")[0].replace("_", "-") for word in arguments if word.startswith("--")]
    close = {
        word: difflib.get_close_matches(word, known, n=1, cutoff=0.6) for word in given if word not in known
    }
    return [(word, matches[0]) for word, matches in close.items() if matches and word != "--"]
