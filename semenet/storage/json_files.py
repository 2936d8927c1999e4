"""The one reader of JSON files: within limits of size and depth, checked against a schema.

Run folders, cascades and published weights are passed on between people. A file that was damaged, edited by
hand or made on purpose must give one clear error, whatever is wrong with it.
"""

import dataclasses
import functools
import json
import math
import os
import pathlib
import types
import typing
from typing import Any

# The longest file that semenet writes itself, metrics of many images with their curves, has some 2 MB.
MAX_BYTES = 32 << 20
# semenet itself writes nine levels at most.
MAX_DEPTH = 64
_SHOWN = 160
_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}

SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
TEXTS = {"type": "array", "items": {"type": "string"}}


class JsonError(ValueError):
    """JSON that breaks a limit or its schema. The message says what was found, and where."""


def read_json(path: str | os.PathLike, schema: dict[str, Any]) -> Any:
    """Reads a JSON file.

    Args:
        path: the file.
        schema: JSON Schema of its content.

    Returns:
        The content. All numbers are finite.

    Raises:
        JsonError: the file is too long, no JSON in UTF-8, nested too deep, or does not fit the schema.
        OSError: the file cannot be read.
    """
    return parse_json(read_bytes(path), schema)


def read_bytes(path: str | os.PathLike) -> bytes:
    """Reads a file for `parse_json`: at most one byte more than is allowed, which shows that there are more.

    Args:
        path: the file.

    Raises:
        JsonError: it is something else than a file, such as a named pipe.
        OSError: the file cannot be read.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_file():
        raise JsonError("it is not a file")
    with open(path, "rb") as file:
        return file.read(MAX_BYTES + 1)


def parse_json(contents: str | bytes, schema: dict[str, Any], finite: bool = True) -> Any:
    """Parses JSON as `read_json` does.

    Args:
        contents: the text, or its bytes in UTF-8.
        schema: JSON Schema of the content.
        finite: whether NaN and infinities are refused, which Python's `json` writes.

    Raises:
        JsonError: as for `read_json`.
    """
    if len(contents) > MAX_BYTES:
        raise JsonError(f"it is longer than {MAX_BYTES:,} bytes")
    try:
        text = contents.decode("utf-8") if isinstance(contents, bytes) else contents
        content = json.loads(
            text,
            parse_constant=_refuse_constant if finite else None,
            parse_float=_finite if finite else None,
            parse_int=_short_integer,
            object_pairs_hook=_without_repetition,
        )
    except RecursionError as error:
        raise JsonError(f"it is nested more than {MAX_DEPTH} deep") from error
    except UnicodeDecodeError as error:
        raise JsonError(f"it is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise JsonError(f"it is not JSON: {error}") from error
    _check_depth(content)
    check_schema(content, schema)
    return content


def check_schema(content: Any, schema: dict[str, Any]) -> None:
    """Checks a JSON value against a schema.

    Args:
        content: the value.
        schema: its JSON Schema.

    Raises:
        JsonError: the value does not fit.
    """
    error = next(iter(_validator_class()(schema).iter_errors(content)), None)
    if error is not None:
        place = "/".join(str(part) for part in error.absolute_path)
        message = error.message if len(error.message) <= _SHOWN else f"...{error.message[-_SHOWN:]}"
        raise JsonError(f"at {_short(place)}: {message}" if place else message)


def object_schema(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """Returns the schema of an object. It may have other keys too: later versions may add some.

    Args:
        required: the schemas of the keys that it must have.
        optional: the schemas of keys that it may have.
    """
    return {"type": "object", "properties": required | (optional or {}), "required": list(required)}


def dataclass_schema(kind: type, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Returns the schema of the JSON of a dataclass, from the types of its fields.

    Args:
        kind: the dataclass, with fields of plain values, tuples of them, or alternatives.
        required: the fields that must be there.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: _type_schema(hints[field.name]) for field in dataclasses.fields(kind)}
    return {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "additionalProperties": False,
    }


@functools.cache
def _validator_class() -> Any:
    # Importing it takes a sixth of a second, which commands without such a file do not need.
    import jsonschema

    # JSON Schema counts 80.0 as an integer.
    draft = jsonschema.Draft202012Validator
    checker = draft.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return jsonschema.validators.extend(draft, type_checker=checker)


def _type_schema(hint: Any) -> dict[str, Any]:
    """Returns the schema of a type hint."""
    if hint in _JSON_TYPES:
        return {"type": _JSON_TYPES[hint]}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_type_schema(argument) for argument in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _type_schema(arguments[0])}
    raise TypeError(f"There is no schema of {hint!r}.")


def _check_depth(content: Any) -> None:
    level, depth = [content], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise JsonError(f"it is nested more than {MAX_DEPTH} deep")
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        level = inner


def _refuse_constant(text: str) -> None:
    raise JsonError(f"it holds {text}; numbers must be finite")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JsonError(f"it holds {_short(text)}; numbers must be finite")
    return value


def _short_integer(text: str) -> int:
    # Python refuses to read thousands of digits, and NumPy takes 64 bits.
    if len(text) > 19:
        raise JsonError(f"it holds {_short(text)}; integers must have at most 64 bits")
    return int(text)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        name = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise JsonError(f"it holds {_short(name)!r} twice in one object")
    return values


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
