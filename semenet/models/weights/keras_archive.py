"""Checks a `.keras` file before Keras reads it: its archive, and the configuration of its network.

Keras reads every part of the archive into memory, however large, and allocates what the configuration says.
"""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from semenet.models.weights.metadata_schema import MAX_SIDE
from semenet.storage.json_files import MAX_BYTES, JsonError, object_schema, parse_json

CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
_SCHEMA = object_schema({"class_name": {"type": "string"}, "config": {"type": "object"}})
# Weights hardly shrink: an archive that grows more than this on unpacking was made to do so.
_MOST_INFLATION = 20
# The widest layer of the zoo has 4,096 units. Each unit has two bytes of weights or more in the file.
_BYTES_PER_UNIT = 2
_WIDTHS = ("units", "filters", "input_dim", "output_dim")
_WINDOWS = ("kernel_size", "pool_size", "strides", "dilation_rate")
_LARGEST_WINDOW = 64
_FLAGS = ("inference_clahe", "lungs_alone", "lungs_box", "standardize", "use_bias")
_SHAPES = ("batch_shape", "batch_input_shape", "input_shape")


def check_keras_archive(file: Path) -> None:
    """Checks a `.keras` file.

    Args:
        file: a zip archive.

    Raises:
        JsonError: the configuration is not JSON within the limits of `parse_json`, or describes layers that
            are larger than the weights in the file; or a part of the archive is missing or too large.
        zipfile.BadZipFile: the archive is damaged.
        OSError: the file cannot be read.
    """
    with zipfile.ZipFile(file) as archive:
        sizes = {part.filename: part.file_size for part in archive.infolist()}
        if missing := {CONFIG, _WEIGHTS} - set(sizes):
            raise JsonError(f"{min(missing)} is missing")
        if sum(sizes.values()) > _MOST_INFLATION * os.path.getsize(file) + MAX_BYTES:
            raise JsonError(f"its parts have {sum(sizes.values()):,} bytes when they are unpacked")
        for part in archive.infolist():
            # The size in the archive's list may be wrong, so that the part is read no further than allowed.
            if part.filename.endswith(".json"):
                with archive.open(part) as opened:
                    contents = opened.read(MAX_BYTES + 1)
                content = parse_json(contents, _SCHEMA if part.filename == CONFIG else {"type": "object"})
                if part.filename == CONFIG:
                    _check_sizes(content, sizes[_WEIGHTS])


def _check_sizes(config: dict[str, Any], weight_bytes: int) -> None:
    """Refuses layers that cannot have their weights in the file, images of absurd sides, and wrong flags."""
    limits = dict.fromkeys(_WIDTHS, weight_bytes // _BYTES_PER_UNIT)
    limits |= dict.fromkeys(_SHAPES, MAX_SIDE) | dict.fromkeys(_WINDOWS, _LARGEST_WINDOW)
    for name, value in _entries(config):
        if name in limits and not all(0 < number <= limits[name] for number in _numbers(value)):
            raise JsonError(
                f"it has {name} {str(value)[:80]}; with {weight_bytes:,} bytes of weights, 1 to "
                f"{limits[name]:,} are possible"
            )
        if name in _FLAGS and not isinstance(value, bool):
            raise JsonError(f"it has {name} {str(value)[:80]!r}, not true or false")


def _numbers(value: Any) -> Iterator[float]:
    """Yields the numbers of nested lists. Keras itself refuses other values."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, (int, float)):
            yield value


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yields every key of nested objects with its value."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
