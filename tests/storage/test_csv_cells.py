import io
import itertools

import pandas as pd
import pytest

from semenet.storage.csv_cells import csv_text, escape_cell, unescape_cell, unescape_table

CELLS = [
    "".join(parts)
    for parts in itertools.product(
        ["", "'", "''"], ["", *"=+-@\t\r\n"], ["", "1", "cmd|' /C calc'!A0", ';,"']
    )
]


def read_back(text):
    table = pd.read_csv(io.StringIO(text, newline=""), dtype=str, keep_default_na=False, index_col=False)
    return unescape_table(table)


@pytest.mark.parametrize("start", list("=+-@\t\r\n"))
def test_no_written_cell_begins_like_a_formula(start):
    assert escape_cell(start + "cmd") == "'" + start + "cmd"


@pytest.mark.parametrize("number", ["-1", "+2.5", "-.5", "-1e-7", "-3."])
def test_numbers_are_not_touched(number):
    assert escape_cell(number) == number


def test_every_cell_is_read_back_exactly():
    assert [unescape_cell(escape_cell(cell)) for cell in CELLS] == CELLS
    assert len({escape_cell(cell) for cell in CELLS}) == len(set(CELLS))


def test_a_table_is_read_back_exactly_with_its_column_names():
    frame = pd.DataFrame({"file": CELLS, "=class": [f"{number}" for number in range(len(CELLS))]})
    text = csv_text(frame)
    assert "'=class" in text
    pd.testing.assert_frame_equal(read_back(text), frame, check_dtype=False)


def test_a_table_without_such_cells_is_written_as_pandas_writes_it():
    frame = pd.DataFrame({"file": ["a.png", None], "normal": [-0.5, 1.0], "flag": [True, False]})
    assert csv_text(frame) == frame.to_csv(index=False)
