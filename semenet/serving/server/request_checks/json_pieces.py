"""JSON of many numbers, read and freed in pieces.

orjson holds Python's global lock during one call, up to a second for ten million numbers: no other request
would be answered. Here a long body is cut at commas within lists. Each piece gets the brackets that are open
at its ends, and is read in one short call.
"""

import re
import secrets
from typing import Any, NamedTuple

import orjson

# Read in one call: some 10 ms.
_PIECE_BYTES = 1 << 18
# Values freed in one step: about a millisecond.
_BLOCK = 1 << 15
# Bodies with fewer commas are mostly text, which orjson reads quickly.
_FEW_COMMAS = 100_000
# A string, a bracket, or text between these; an opening quote alone is a string that never ends.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}"]|[^"\[\]{}]{1,65536}', re.DOTALL)
_LIST, _LIST_END, _OBJECT, _OBJECT_END, _QUOTE = b'[]{}"'


class _Open(NamedTuple):
    """A list or object that a piece does not close: its bracket, and where its key in the parent stands."""

    bracket: int
    key: slice


def loads_in_pieces(body: bytes | bytearray) -> Any:
    """Reads JSON as `orjson.loads` does, without holding Python's global lock for long.

    Args:
        body: the JSON.

    Returns:
        Its values.

    Raises:
        ValueError: the body is not JSON.
    """
    if len(body) <= _PIECE_BYTES or body.count(b",") < _FEW_COMMAS:
        return orjson.loads(body)
    # A key that no sender can guess stands for the one that an earlier piece had.
    key = secrets.token_hex(16)
    values: Any = None
    start, open_at_start = 0, []
    for end, open_at_end in [*_cuts(body), (len(body), [])]:
        piece = _loads(body, start, end, open_at_start, open_at_end, key)
        if start:
            _append(values, piece, open_at_start, key, body)
        else:
            values = piece
        start, open_at_start = end + 1, open_at_end
    return values


def free_in_pieces(values: Any) -> None:
    """Empties nested lists and objects: Python would free millions of numbers in one step.

    Args:
        values: what was read. Nothing else should use it.
    """
    left = [values]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += one.values()
            one.clear()
            continue
        while isinstance(one, list) and one:
            block = one[-_BLOCK:]
            if not {list, dict}.isdisjoint(map(type, block)):
                left += [value for value in block if isinstance(value, (list, dict))]
            del one[-_BLOCK:], block


def _cuts(body: bytes | bytearray) -> list[tuple[int, list[_Open]]]:
    """Returns the positions of the commas to cut at, and what is open there, from the outermost on."""
    cuts, opened, start, text = [], [], 0, slice(0, 0)
    for token in _TOKEN.finditer(body):
        first, end = token.span()
        kind = body[first]
        if kind in (_LIST, _OBJECT):
            opened.append(_Open(kind, text))
        elif kind in (_LIST_END, _OBJECT_END):
            if not opened:
                break
            opened.pop()
        elif kind == _QUOTE:
            if end == first + 1:
                break
            text = slice(first, end)
        elif end - start > _PIECE_BYTES and opened and opened[-1].bracket == _LIST:
            comma = body.rfind(b",", first, end)
            if comma >= 0:
                cuts.append((comma, opened.copy()))
                start = comma
    return cuts


def _loads(
    body: bytes | bytearray, start: int, end: int, before: list[_Open], after: list[_Open], key: str
) -> Any:
    opening = {_LIST: "[", _OBJECT: f'{{"{key}":'}
    closing = {_LIST: "]", _OBJECT: "}"}
    text = (
        "".join(opening[one.bracket] for one in before).encode()
        + body[start:end]
        + "".join(closing[one.bracket] for one in reversed(after)).encode()
    )
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{error.msg}, after byte {start:,}") from error


def _append(values: Any, piece: Any, opened: list[_Open], key: str, body: bytes | bytearray) -> None:
    """Adds a piece to the values that were read before it."""
    for one, child in zip(opened, [*opened[1:], None], strict=True):
        if child is None:
            # "[," or ",]": the brackets that were added made it look whole.
            if not values or not piece:
                raise ValueError("a comma without a value")
            values += piece
        elif one.bracket == _LIST:
            inner, rest = piece[0], piece[1:]
            outer, values = values, values[-1]
            outer += rest
            piece = inner
        else:
            inner = piece.pop(key)
            outer, values = values, values[orjson.loads(bytes(body[child.key]))]
            outer |= piece
            piece = inner
