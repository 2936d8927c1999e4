"""The documentation's form: its lines wrap, and its links lead somewhere."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "zoo" / "README.md"])


def prose_lines(text):
    """The numbered lines that are neither code nor a table, whose long lines cannot be wrapped."""
    in_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.startswith(("|", "    ")):
            yield number, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_prose_wraps_at_100_characters(page):
    lines = prose_lines(page.read_text(encoding="utf-8"))
    too_long = [number for number, line in lines if len(line) > 100 and " " in line.strip().strip("<>")]
    assert too_long == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)\s#]+)", text):
        assert (page.parent / target).exists(), target
