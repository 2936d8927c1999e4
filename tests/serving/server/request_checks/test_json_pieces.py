import json

import numpy as np
import orjson
import pytest

from semenet.serving.server.request_checks import json_pieces
from semenet.serving.server.request_checks.json_pieces import free_in_pieces, loads_in_pieces


@pytest.fixture
def short_pieces(monkeypatch):
    """Pieces of a few bytes, of any body."""
    monkeypatch.setattr(json_pieces, "_PIECE_BYTES", 4)
    monkeypatch.setattr(json_pieces, "_FEW_COMMAS", 0)


def random_value(random, depth):
    kind = random.integers(6 if depth else 4)
    if kind < 2:
        return [int(random.integers(300)), float(random.normal()), True, None][random.integers(4)]
    if kind < 4:
        return ["", 'a",[1,2]', "\\", 'é{"', "x" * 30][random.integers(5)]
    values = [random_value(random, depth - 1) for _ in range(random.integers(6))]
    return values if kind == 4 else {f"k{random.integers(3)}": value for value in values}


def test_pieces_give_the_values_of_the_whole(short_pieces):
    random = np.random.default_rng(0)
    cut = 0
    for number in range(300):
        value = {"signature_name": "x", "instances": [random_value(random, 4) for _ in range(8)], "z": [1, 2]}
        body = bytearray(json.dumps(value, indent=[None, 1][number % 2]), "utf-8")
        cut += len(json_pieces._cuts(body))
        assert loads_in_pieces(body) == value == orjson.loads(body)
    assert cut > 1000


def test_the_last_of_equal_keys_counts(short_pieces):
    for text in (b'{"a":[1,2,3,4,5],"a":[6,7,8,9],"b":0}', b'{"a":[1,2],"b":3,"a":[4,5,6,7,8],"c":[1,2,3]}'):
        assert loads_in_pieces(text) == orjson.loads(text)


def test_what_is_not_json_is_refused_as_a_whole_would_be(short_pieces):
    random = np.random.default_rng(1)
    whole = b'{"i": [[1, 22, 333], [4, 5, 6], {"a": [7, 8, "b,", 9]}], "s": "x", "t": [1, 2, 3]}'
    refused = 0
    for _ in range(3000):
        body = bytearray(whole)
        for _ in range(random.integers(1, 3)):
            body[random.integers(len(body))] = random.choice(list(b'[]{}",: 1\\a'))
        try:
            expected = orjson.loads(body)
        except orjson.JSONDecodeError:
            refused += 1
            with pytest.raises(ValueError, match="comma|JSON|byte|:|char"):
                loads_in_pieces(body)
        else:
            assert loads_in_pieces(body) == expected
    assert 1000 < refused < 3000


def test_a_long_body_is_cut():
    body = b'{"instances": [[' + b"1," * 300_000 + b"2], [" + b"3," * 300_000 + b"4]]}"
    assert len(json_pieces._cuts(body)) > 3
    assert loads_in_pieces(body) == {"instances": [[1] * 300_000 + [2], [3] * 300_000 + [4]]}


def test_freed_values_are_gone_at_every_depth(monkeypatch):
    monkeypatch.setattr(json_pieces, "_BLOCK", 3)
    inner = [[1, 2, 3, 4], {"a": [5.5] * 7, "b": "x"}, [[]]]
    values = {"instances": inner * 4, "x": 1}
    kept = [*inner, inner[1]["a"], values["instances"], values]
    free_in_pieces(values)
    assert not any(kept)
    free_in_pieces("text")
