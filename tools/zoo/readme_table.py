"""Writes the table of published weights into README.md, from the metadata.json of each set.

Usage: python tools/zoo/readme_table.py [--zoo zoo] [--readme README.md]

The table lies between the lines `<!-- published weights -->` and `<!-- end of published weights -->`. A test
compares it with the metadata.
"""

import pathlib

import tyro

from semenet.cli.recipe import report_errors
from semenet.errors import SemenetError
from semenet.models.entries import CATALOG
from semenet.models.weights.described_set import read_published
from semenet.models.weights.listing.summaries import (
    audit_verdict,
    input_size,
    other_hospitals,
    parameter_count,
    training_data,
    validation,
)
from semenet.models.weights.places import METADATA
from semenet.storage.atomic import write_text

START, END = "<!-- published weights -->", "<!-- end of published weights -->"
COLUMNS = (
    *("weights", "classes", "input", "parameters", "trained on", "validation (not a test)"),
    *("audit", "other hospitals", "licence"),
)


def main(arguments=None):
    """Writes the table."""
    with report_errors():
        tyro.cli(write_table, args=arguments, description=__doc__)


def write_table(
    zoo: pathlib.Path = pathlib.Path("zoo"), readme: pathlib.Path = pathlib.Path("README.md")
) -> None:
    """Writes the table.

    Args:
        zoo: Folder of the zoo.
        readme: Markdown file with the two lines.
    """
    write_text(readme, with_table(readme.read_text(encoding="utf-8"), zoo, readme))


def with_table(text, zoo, readme):
    """Returns the text of a Markdown file with a new table.

    Args:
        text: str with the two lines.
        zoo: pathlib.Path of the zoo's folder.
        readme: pathlib.Path of the file, for the links.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise SemenetError(f"The table needs the lines {START} and {END}. Received: {readme} without them.")
    rows = [COLUMNS, ["---"] * len(COLUMNS), *map(_cells, _sets(zoo))]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{before}{START}\n\n{table}\n\n{END}{after}"


def _sets(zoo):
    sets = [read_published(path) for path in sorted(zoo.glob(f"*/*/{METADATA}"))]
    order = list(CATALOG)
    return sorted(
        (one for one in sets if one.weights is not None), key=lambda one: (order.index(one.entry), one.name)
    )


def _cells(published):
    metadata = published.metadata
    cells = (
        f"[`{published.label}`](zoo/{published.entry}/{published.name}/card.md)",
        ", ".join(published.class_names),
        input_size(metadata),
        parameter_count(metadata),
        training_data(metadata),
        validation(metadata),
        audit_verdict(metadata),
        other_hospitals(metadata),
        metadata["license"],
    )
    return [cell.replace("|", r"\|").replace("\n", " ") for cell in cells]


if __name__ == "__main__":
    main()
