"""A page that cannot be made is told, and costs neither the metrics nor the other page."""

import pytest

from semenet.evaluation.report.page_files import PageWarning, write_pages


def fail():
    raise RuntimeError("no font")


def test_a_page_that_fails_costs_nothing_else(tmp_path):
    (tmp_path / "report.html").write_text("of other metrics")
    with pytest.warns(PageWarning, match=r"report\.html could not be made .*no font.* metrics are complete"):
        write_pages(tmp_path, {"report.html": fail, "card.md": lambda: "card"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"card.md": "card"}


def test_pages_are_written(tmp_path):
    write_pages(tmp_path, {"report.html": lambda: "é", "card.md": lambda: "card"})
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "é"
