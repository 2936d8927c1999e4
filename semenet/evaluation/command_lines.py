"""Builds the command line that reproduces a result, whether it was made from Python or the shell."""

import shlex
from typing import Any


def command_line(name: str, *arguments: object, **options: Any) -> str:
    """Returns a command line of `semenet`.

    Args:
        name: the sub-command.
        *arguments: its positional arguments.
        **options: options by their Python names; None and empty lists are omitted, and lists are joined by
            commas.

    Returns:
        str, quoted for a shell.
    """
    words = ["semenet", name, *map(str, arguments)]
    for option, value in options.items():
        if value not in (None, (), []):
            value = ",".join(value) if isinstance(value, list | tuple) else str(value)
            words += [f"--{option.replace('_', '-')}", value]
    return shlex.join(words)
