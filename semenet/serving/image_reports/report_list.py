"""The reports on several images, for a notebook, as a table and as a page."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from semenet.errors import SemenetError
from semenet.serving.image_reports.image_report import ImageReport
from semenet.serving.image_reports.reader_description import ReaderDescription
from semenet.storage.atomic import output_file

# Full reports in a notebook; the others are in the page.
MOST_IN_NOTEBOOK = 20
_SUFFIXES = (".html", ".htm")


@dataclasses.dataclass(frozen=True, repr=False)
class ImageReports(Sequence[ImageReport]):
    """The reports on several images, in their order.

    A notebook shows them with their pictures.

    Attributes:
        reports: the reports.
        reader: what read the images.
        columns: the columns of the table; those of `semenet.predict`.
        classes: the columns that hold probabilities.

    Example:
        >>> reports = semenet.look("images", "cascade")
        >>> len(reports), reports.counts()
        (45, {'answer': 45})
        >>> reports.table().columns.tolist()[-4:]
        ['predicted', 'reason', 'input_flags', 'lung_flags']
        >>> page = reports.save("findings.html")
        >>> page.read_text()[:15]
        '<!DOCTYPE html>'
    """

    reports: tuple[ImageReport, ...]
    reader: ReaderDescription
    columns: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.reports)

    def __getitem__(self, index: int) -> ImageReport:
        return self.reports[index]

    def __iter__(self) -> Iterator[ImageReport]:
        return iter(self.reports)

    def __repr__(self) -> str:
        return f"ImageReports({len(self)} images, {self.counts()})"

    def _repr_html_(self) -> str:
        from semenet.serving.image_reports.page import render_reports

        more = len(self) - MOST_IN_NOTEBOOK
        return render_reports(self.reports[:MOST_IN_NOTEBOOK], more=max(more, 0))

    def counts(self) -> dict[str, int]:
        """Returns the number of images of each outcome that occurs: answer, abstain, rejected, error."""
        return dict(collections.Counter(report.outcome for report in self))

    def table(self) -> pd.DataFrame:
        """Returns the table of `semenet.predict` for these images; also a row for each unreadable file."""
        frame = pd.DataFrame([report.row for report in self], columns=list(self.columns))
        return frame.astype(dict.fromkeys(self.classes, np.float32))

    def save(self, out: str | os.PathLike = "findings.html", assets: bool = False) -> pathlib.Path:
        """Writes one page that shows the reports; it needs no other file and no network.

        Args:
            out: the page; an existing one is replaced.
            assets: whether the pictures are written beside the page, into the folder `<stem of out>_files`.
                The page then loads them when they are looked at, which suits thousands of images.

        Returns:
            The page.

        Raises:
            OutputError: the page cannot be written.
            SemenetError: `out` is not .html.
        """
        from semenet.serving.image_reports.page import write_page

        return write_page(self, page_file(out), assets)


def page_file(out: str | os.PathLike) -> pathlib.Path:
    """Checks the path of a page, and creates its folder.

    Raises:
        OutputError: the page cannot be written.
        SemenetError: it is not .html.
    """
    out = pathlib.Path(out)
    if out.suffix.lower() not in _SUFFIXES:
        raise SemenetError(
            f"The page must be an .html file. Received: {out}. Give it a name such as findings.html."
        )
    return output_file(out)
