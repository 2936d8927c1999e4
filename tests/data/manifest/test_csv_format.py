import io
import os
import zipfile

import pandas as pd
import pytest

from semenet.data.manifest.csv_format import CsvFormat, find_format
from semenet.data.manifest.errors import ManifestError
from semenet.data.manifest.table import read_manifest, write_manifest

ROWS = [
    ["file", "label", "patient", "split"],
    ["a.png", "bacteria|virus", "p1", "train"],
    ["b.png", "x", "p2", "val"],
]


def text(separator=",", first=""):
    return first + "".join(separator.join(row) + "\r\n" for row in ROWS)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (text().encode(), CsvFormat()),
        (text().encode("utf-8-sig"), CsvFormat()),
        (text(";").encode(), CsvFormat(separator=";")),
        (text("\t").encode(), CsvFormat(separator="\t")),
        (text(";", "sep=;\r\n").encode("utf-8-sig"), CsvFormat(separator=";", skipped_lines=1)),
        (text(",", "sep=,\n").encode(), CsvFormat(skipped_lines=1)),
        (text("\t").encode("utf-16"), CsvFormat("utf-16", "\t")),
        (text(";").encode("utf-16-le"), CsvFormat("utf-16-le", ";")),
        (text(";").encode("utf-16-be"), CsvFormat("utf-16-be", ";")),
        (text(",").encode("utf-32"), CsvFormat("utf-32", ",")),
    ],
)
def test_encoding_and_separator_are_recognised(content, expected, tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    assert find_format(path) == expected
    manifest = read_manifest(path)
    assert manifest.rows[ROWS[0]].values.tolist() == ROWS[1:]
    plain = tmp_path / "plain.csv"
    plain.write_text(text())
    assert manifest.sha256 == read_manifest(plain).sha256


def test_line_numbers_count_the_line_of_the_separator(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_text(text(";", "sep=;\n") + "c.png;x; p3;val\n")
    with pytest.raises(ManifestError, match="' p3' in 'patient', line 5"):
        read_manifest(path)


def workbook():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (workbook(), "Excel workbook .*save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Excel workbook .*save it as CSV"),
        (text().replace("x", "\xe9").encode("latin-1"), "another encoding, such as Windows-1252"),
        (text("|").replace("bacteria|virus", "x").encode(), r"Separate the cells by commas.*'\|'"),
        (text().replace("patient", "Patient").encode(), "Rename 'Patient' to 'patient'"),
        (text(";").replace("x;p2", "x;p2;p2").encode(), "separated by semicolons"),
    ],
)
def test_other_files_are_named_as_what_they_are(content, words, tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=words):
        read_manifest(path)


def test_a_header_of_a_million_columns_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"file,label,patient,split" + b",a" * 1_000_000 + b"\n")
    with pytest.raises(ManifestError, match="1,000,004"):
        read_manifest(tmp_path / "m.csv")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ManifestError, match="a pipe or a device"):
        read_manifest(tmp_path / "pipe")


def test_cells_like_formulas_are_escaped_on_disk_and_read_back(tmp_path):
    rows = pd.DataFrame({"file": ["=1+1.png", "a.png"], "patient": ["@p", "-1"], "split": ["train", "val"]})
    write_manifest(rows, tmp_path / "manifest.csv")
    assert (tmp_path / "manifest.csv").read_text() == (
        "file,patient,split\n'=1+1.png,'@p,train\na.png,-1,val\n"
    )
    read = read_manifest(tmp_path / "manifest.csv", required=()).rows
    assert read[["file", "patient", "split"]].values.tolist() == rows.values.tolist()
