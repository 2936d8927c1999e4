"""Broken JSON files, made of valid ones by rule: how files from strangers are damaged or made to do harm."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DEEP = 20_000
# Python's `json` writes the infinities and NaN as words that are no JSON.
WRONG_VALUES = (None, True, "abc", -1, 0.5, [], {}, [[]], float("inf"), float("-inf"), float("nan"), 10**400)


def broken_texts(valid: str) -> Iterator[tuple[str, bytes]]:
    """Yields the name and the bytes of files that are broken as a whole."""
    whole = valid.strip().encode()
    yield "empty", b""
    for part in (1, len(whole) // 3, len(whole) - 1):
        yield f"cut at {part}", whole[:part]
    yield "another end", whole + b"}"
    yield "twice", whole + whole
    yield "UTF-16", valid.encode("utf-16")
    yield "Latin-1", whole.replace(b'"', b'"\xe9', 1)
    yield "NUL bytes", whole.replace(b'"', b"\0", 1)
    yield "a repeated key", whole[:1] + b'"x": 1, "x": 2, ' + whole[1:]
    yield "deep lists", b"[" * DEEP + b"]" * DEEP
    yield "deep objects", b'{"a":' * DEEP + b"1" + b"}" * DEEP
    yield "a deep value", whole[:1] + b'"deep": ' + b"[" * 500 + b"]" * 500 + b", " + whole[1:]
    yield "a long number", whole[:1] + b'"long": ' + b"1" * 5000 + b", " + whole[1:]
    yield "an infinity", whole[:1] + b'"far": 1e999, ' + whole[1:]
    yield "NaN", whole[:1] + b'"none": NaN, ' + whole[1:]
    for text in (b"null", b"1", b'"text"', b"[]", b"{}"):
        yield text.decode(), text


def broken_values(content: dict, places: dict[tuple, tuple]) -> Iterator[tuple[str, bytes]]:
    """Yields the name and the bytes of files in which one value is missing or wrong.

    Args:
        content: the valid content.
        places: the path of each value that is read, and the types and values of `WRONG_VALUES` that are valid
            there; with "optional" or None among them, it may be missing.
    """
    for path, valid in places.items():
        name = "/".join(map(str, path))
        if None not in valid and "optional" not in valid:
            yield f"{name} is missing", _changed(content, path, remove=True)
        for wrong in WRONG_VALUES:
            if not any(_is_valid(wrong, kind) for kind in valid):
                yield f"{name} is {str(wrong)[:20]!r}", _changed(content, path, wrong)


def _is_valid(value: Any, kind: Any) -> bool:
    """Whether a value is `kind`, or a finite number or another value of this type."""
    if not isinstance(kind, type):
        return value is kind
    is_small = not isinstance(value, int | float) or abs(value) < 1 << 63
    return type(value) is kind and is_small


def _changed(content: dict, path: tuple, value: Any = None, remove: bool = False) -> bytes:
    whole = json.loads(json.dumps(content))
    parent = whole
    for key in path[:-1]:
        parent = parent[key]
    if remove:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return json.dumps(whole).encode()


def message_of(read: Callable[[], Any], kind: type[Exception]) -> str | None:
    """Returns the message of the error that a function raises; None if it raises none."""
    try:
        read()
    except kind as error:
        return str(error)
    return None


def check_refused(
    path: Path, cases: list[tuple[str, bytes]], read: Callable[[], Any], kind: type[Exception]
) -> None:
    """Writes each broken file to a path, and checks that reading it raises one short error that names it."""
    messages = {}
    for name, contents in cases:
        path.write_bytes(contents)
        messages[name] = message_of(read, kind)
    accepted = [name for name, message in messages.items() if message is None]
    assert not accepted, f"accepted: {accepted}"
    unnamed = [name for name, message in messages.items() if str(path) not in message]
    assert not unnamed, f"the file is not named: {unnamed}"
    assert max(map(len, messages.values())) < 1000


def rewritten_archive(valid: Path, target: Path, parts: dict[str, bytes | None]) -> Path:
    """Copies a zip archive with other contents of some parts; None leaves a part out."""
    with zipfile.ZipFile(valid) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        names = dict.fromkeys([*source.namelist(), *parts])
        for name in names:
            contents = parts[name] if name in parts else source.read(name)
            if contents is not None:
                copy.writestr(name, contents)
    return target
