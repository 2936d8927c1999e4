"""Broken descriptions of cascades and journals of unfinished tables: each is one error naming the file."""

import json

import pytest
from broken_files import broken_texts, broken_values, check_refused

from semenet.serving.cascade.saved_cascade import CascadeError, read_cascade
from semenet.serving.prediction.row_journal import RowJournal
from semenet.storage.atomic import OutputError
from semenet.storage.hashing import file_sha256

COLUMNS = ("predicted", "reason")


def test_a_broken_description_is_refused(tmp_path):
    networks = {name: tmp_path / f"{name}.keras" for name in ("stage1", "lungs", "stage2")}
    for file in networks.values():
        file.write_bytes(b"network")
    stages = {
        name: {"sha256": file_sha256(file), "calibration_sha256": None} for name, file in networks.items()
    }
    content = {"format": 2, "refines": "virus", "gated": True} | stages
    path = tmp_path / "cascade.json"
    path.write_text(json.dumps(content))
    assert read_cascade(tmp_path).refines == "virus"
    places = {
        ("format",): (),
        ("refines",): (str,),
        ("gated",): (bool,),
        ("stage1",): (),
        ("lungs", "sha256"): (),
        ("stage2", "calibration_sha256"): (None, "required"),
    }
    cases = [*broken_texts(json.dumps(content)), *broken_values(content, places)]
    check_refused(path, cases, lambda: read_cascade(tmp_path), CascadeError)


@pytest.fixture
def journal(tmp_path):
    """A function that writes lines into the journal of a table, and reads them."""
    cascade, out = tmp_path / "cascade", tmp_path / "table.csv"
    cascade.mkdir()
    (cascade / "cascade.json").write_text("{}")
    head = RowJournal(out, cascade, COLUMNS).head.encode()

    def read(*lines):
        (tmp_path / ".table.csv.rows").write_bytes(b"\n".join([head, *lines, b""]))
        return RowJournal(out, cascade, COLUMNS).rows

    return read


ROW = b'["s1", ["a.png", 0.5, 0.5, "virus", "stage1"], ""]'


@pytest.mark.parametrize(
    "line",
    [ROW[:20], ROW[:-1], b"", b"\xff" + ROW, b"[" * 20_000, b"{", ROW.replace(b"a.png", b"\xe9.png")],
)
def test_a_journal_is_read_until_its_cut(journal, line):
    assert list(journal(ROW, line)) == ["s1"]


@pytest.mark.parametrize(
    "line",
    [
        b"1",
        b"{}",
        b'["s2"]',
        b'[["s2"], ["a.png", 0.5, 0.5, "virus", "stage1"], ""]',
        b'["s2", "abcde", ""]',
        b'["s2", ["a.png", "virus", "stage1"], ""]',
        b'["s2", ["a.png", 0.5, "x", "virus", "stage1"], ""]',
        b'["s2", ["a.png", 0.5, 0.5, 1, "stage1"], ""]',
        b'["s2", ["a.png", 0.5, 0.5, "virus", "stage1"], 1]',
        b'["s2", [1, 0.5, 0.5, "virus", "stage1"], ""]',
    ],
)
def test_another_row_of_a_journal_is_refused(journal, line):
    with pytest.raises(OutputError, match=r"table\.csv\.rows"):
        journal(ROW, line)
