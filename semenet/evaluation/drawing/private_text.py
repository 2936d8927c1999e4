"""Text as reports and cards show it, which people pass on: without absolute paths and the user's name."""

import getpass
import re
import shlex

# The folders of an absolute path, up to the last separator before a name; within quotes they may have spaces.
_START = r"(?<![\w.:~<>/\\-])(?:[A-Za-z]:|~\w*)?[/\\]"
_NAME = r"""[^\s/\\'"<>|:;,]"""
_FOLDERS = re.compile(rf"{_START}(?:{_NAME}+[/\\])*(?={_NAME})")
_QUOTED = re.compile(r"""(['"])((?:[A-Za-z]:)?[/\\][^'"\n]*[/\\])([^'"\n/\\]+)\1""")
_HIDDEN = ".../"
_USER = "USER"


def shown_text(text: object) -> str:
    """Returns a text with `.../` for the folders of absolute paths, and USER for the user's name in paths.

    Args:
        text: any text, such as a path or an error message.
    """
    text = _QUOTED.sub(lambda match: f"{match[1]}{_HIDDEN}{match[3]}{match[1]}", str(text))
    return _without_user(_FOLDERS.sub(_HIDDEN, text))


def shown_path(path: object) -> str:
    """Returns a path as `shown_text` does, whatever characters it has."""
    text = str(path)
    is_absolute = re.match(r"(?:[A-Za-z]:)?[/\\]|~", text)
    return _HIDDEN + re.split(r"[/\\]", text.rstrip("/\\"))[-1] if is_absolute else _without_user(text)


def shown_command(command: object) -> str:
    """Returns a command line with its paths as `shown_path` shows them."""
    try:
        words = shlex.split(str(command))
    except ValueError:
        return shown_text(command)
    shown = [_shown_word(word) for word in words]
    return str(command) if shown == words else shlex.join(shown)


def _shown_word(word: str) -> str:
    option, equals, value = word.partition("=")
    if equals and option.startswith("-"):
        return f"{option}={shown_path(value)}"
    # Several paths in one word are separated by commas.
    return ",".join(shown_path(part) for part in word.split(","))


def _without_user(text: str) -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # A container may have no name for its user.
        return text
    name = re.escape(user)
    return re.sub(rf"(?<![\w.-]){name}(?=[/\\])|(?<=[/\\]){name}(?![\w.-])", _USER, text)
