"""The reader of JSON files: limits, schemas, and schemas of dataclasses."""

import dataclasses
import json
import os
from typing import Literal

import pytest
from broken_files import DEEP, broken_texts

from semenet.storage import json_files
from semenet.storage.json_files import (
    JsonError,
    check_schema,
    dataclass_schema,
    object_schema,
    parse_json,
    read_json,
)

SCHEMA = object_schema(
    {"count": {"type": "integer"}, "share": {"type": "number"}}, {"names": json_files.TEXTS}
)
VALID = {"count": 3, "share": 0.5, "names": ["é", "b"], "later": None}


def test_a_valid_file_is_read(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(json.dumps(VALID))
    assert read_json(file, SCHEMA) == VALID
    assert parse_json(json.dumps(VALID, ensure_ascii=False).encode(), SCHEMA) == VALID


@pytest.mark.parametrize(
    ("name", "contents"), [pytest.param(*one, id=one[0]) for one in broken_texts('{"a": 1}')]
)
def test_a_broken_file_is_refused(name, contents):
    if name == "{}":
        assert parse_json(contents, {}) == {}
        return
    with pytest.raises(JsonError) as refused:
        parse_json(contents, {"type": "object"})
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"count": 3.0}, "at count: 3.0 is not of type 'integer'"),
        ({"count": True}, "at count: True is not of type 'integer'"),
        ({"share": "1"}, "at share: '1' is not of type 'number'"),
        ({"names": "abc"}, "at names: 'abc' is not of type 'array'"),
        ({"names": ["a", 1]}, "at names/1: 1 is not of type 'string'"),
        ({"names": "a" * 10_000}, "aaa' is not of type 'array'"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(changed, message):
    with pytest.raises(JsonError) as refused:
        parse_json(json.dumps(VALID | changed), SCHEMA)
    assert str(refused.value).endswith(message)
    assert len(str(refused.value)) < 300


def test_a_file_that_is_too_long_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "MAX_BYTES", 100)
    file = tmp_path / "long.json"
    file.write_bytes(b" " * 10_000 + b"{}")
    assert len(json_files.read_bytes(file)) == 101
    with pytest.raises(JsonError, match="longer than 100 bytes"):
        read_json(file, {})


def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(JsonError, match="not a file"):
            read_json(path, {})


def test_nan_is_read_where_it_is_allowed():
    found = parse_json('{"a": [NaN, 1e999, -Infinity]}', {}, finite=False)["a"]
    assert found[0] != found[0]
    assert found[1:] == [float("inf"), float("-inf")]


def test_nesting_has_a_limit():
    parse_json("[" * 64 + "]" * 64, {})
    for depth in (65, DEEP):
        with pytest.raises(JsonError, match="nested more than 64 deep"):
            parse_json("[" * depth + "]" * depth, {})


@dataclasses.dataclass
class Example:
    name: str
    size: int = 1
    share: float | None = None
    kind: Literal[None, "a", "b"] = None
    flag: bool = False
    names: tuple[str, ...] = ()


def test_a_dataclass_gives_a_schema():
    schema = dataclass_schema(Example, required=("name",))
    check_schema({"name": "x", "size": 2, "share": 1, "kind": "b", "flag": True, "names": ["y"]}, schema)
    check_schema({"name": "x", "share": None, "kind": None}, schema)
    for wrong in (
        {},
        {"name": 1},
        {"name": "x", "size": 1.5},
        {"name": "x", "share": "1"},
        {"name": "x", "kind": "c"},
        {"name": "x", "flag": 1},
        {"name": "x", "names": "abc"},
        {"name": "x", "other": 1},
    ):
        with pytest.raises(JsonError):
            check_schema(wrong, schema)
