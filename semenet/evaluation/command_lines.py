"""The command that makes a result again, as the result says it, whoever called."""

import shlex


def command_line(name, *paths, **options):
    """A command line of `semenet`.

    Args:
        name: the sub-command.
        *paths: its positional arguments.
        **options: by their names in Python; None and an empty list leave one out, and a list is joined by
            commas.

    Returns:
        str, quoted for a shell.
    """
    words = ["semenet", name, *map(str, paths)]
    for option, value in options.items():
        if value not in (None, (), []):
            value = ",".join(value) if isinstance(value, list | tuple) else str(value)
            words += [f"--{option.replace('_', '-')}", value]
    return shlex.join(words)
