"""Nested lists of JSON to arrays of numbers, within limits of memory and time.

`numpy.asarray` looks at the values while it makes the array: for `["A...A", 1, 1, ...]` it makes every
entry as long as the longest string. And it holds Python's global lock until all is done, so that no other
request is answered. Here types are checked first, and numbers are converted in blocks.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from semenet.serving.server.request_checks.json_pieces import free_in_pieces
from semenet.serving.server.request_errors import invalid, shortened

# Lists, objects and strings of one request. Each takes up to 250 bytes of memory but only three of the body.
MAX_CONTAINERS = 1_000_000
# Numbers. Reading them holds Python's global lock, some 15 ms a million.
MAX_VALUES = 10_000_000
# Converted in one call: some 2 ms.
_BLOCK = 1 << 16
_STEP_BYTES = 1 << 20
_ACCEPTED = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float)}
_NAMES = {bool: "bool", int: "int64", float: "float64", str: "text", dict: "object", type(None): "null"}


def check_counts(body: bytes | bytearray) -> None:
    """Refuses JSON that would take many times its length in memory, before it is read.

    Args:
        body: the JSON. Brackets within strings count too.

    Raises:
        RequestError: 400, there are more than `MAX_CONTAINERS` lists, objects and strings, or more than
            `MAX_VALUES` values.
    """
    count = _count(body, b"[") + _count(body, b"{") + _count(body, b'"') // 2
    if count > MAX_CONTAINERS:
        raise invalid(
            f"A request must have at most {MAX_CONTAINERS:,} lists, objects and strings. "
            f"Received: {count:,}. Send fewer items per request."
        )
    values = _count(body, b",")
    if values > MAX_VALUES:
        raise invalid(
            f"A request must have at most {MAX_VALUES:,} values. "
            f"Received: {values:,}. Send fewer items per request."
        )


def _count(body: bytes | bytearray, mark: bytes) -> int:
    """Counts in steps, so that other threads run in between."""
    return sum(body.count(mark, start, start + _STEP_BYTES) for start in range(0, len(body), _STEP_BYTES))


def number_array(values: list, spec: tf.TensorSpec, name: str) -> np.ndarray:
    """Converts nested lists to an array of the type of a signature's input.

    Args:
        values: lists of lists, as deep as the input has axes.
        spec: the input's type and shape. The rank must be known.
        name: the input's name in error messages.

    Returns:
        Array of the input's type, of any shape of the input's rank.

    Raises:
        RequestError: 400, another depth, unequal lengths, other types or numbers out of range.
    """
    shape, rows = [len(values)], values
    for axis in range(1, spec.shape.rank):
        lengths = {len(row) if type(row) is list else None for row in rows}
        if None in lengths:
            wrong = next(row for row in rows if type(row) is not list)
            raise invalid(
                f"{name} must be nested lists of depth {spec.shape.rank}. "
                f"Received: {shortened(wrong)} at depth {axis}. Send the shape in the model's metadata."
            )
        if len(lengths) > 1:
            raise invalid(
                f"{name} must be nested lists of equal lengths. Received: lists of {min(lengths)} and of "
                f"{max(lengths)} at depth {axis}. Pad or resize the items, or send items of the same shape "
                "together."
            )
        shape.append(lengths.pop() if lengths else 0)
        rows = _joined(rows)
    dtype = np.dtype(spec.dtype.as_numpy_dtype)
    array = np.empty(len(rows), dtype)
    try:
        for start, block in _blocks(rows):
            array[start : start + len(block)] = _converted(block, dtype, name)
    finally:
        if rows is not values:
            free_in_pieces(rows)
    return array.reshape(shape)


def _joined(rows: list[list]) -> list:
    """Returns the entries of all lists, copied in steps, so that other threads run in between."""
    entries: list = []
    for row in rows:
        for start in range(0, len(row), _BLOCK):
            entries += row[start : start + _BLOCK]
    return entries


def _blocks(numbers: list) -> Iterator[tuple[int, list]]:
    for start in itertools.count(0, _BLOCK):
        block = numbers[start : start + _BLOCK]
        if not block:
            return
        yield start, block


def _converted(block: list, dtype: np.dtype, name: str) -> np.ndarray:
    """Returns a block of JSON values as an array."""
    other = set(map(type, block)) - set(_ACCEPTED.get(dtype.kind, ()))
    if other:
        if list in other:
            raise invalid(
                f"{name} must be nested lists of equal depth. Received: a list among the numbers. "
                "Send the shape in the model's metadata."
            )
        types = ", ".join(sorted(_NAMES[kind] for kind in other))
        raise invalid(
            f"{name} must be nested lists of {dtype.name}. Received: values of the type {types}. "
            "Send numbers of the right type."
        )
    low, high = min(block), max(block)
    if dtype.kind in "iuf":
        limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
        least, most = limits.min, limits.max
        if dtype.kind == "f":
            least, most = float(least), float(most)
        if low < least or high > most:
            raise invalid(
                f"{name} must be {dtype.name}, from {least} to {most}. "
                f"Received: values from {low} to {high}. Scale them."
            )
    return np.array(block, dtype)
