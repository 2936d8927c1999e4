"""Writes the pages of an evaluation, whose failure leaves the metrics as they are."""

import datetime
import pathlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from semenet.data.manifest.table import Manifest
from semenet.evaluation.report.html_report import render_report
from semenet.evaluation.report.model_card import render_card
from semenet.storage.atomic import write_together
from semenet.training.run_folder.run import Run


class PageWarning(UserWarning):
    """A page that could not be made. The metrics and the predictions are complete without it."""


def write_report_and_card(
    folder: pathlib.Path,
    run: Run,
    manifest: Manifest,
    result: dict[str, Any],
    sections: Callable[[], Mapping[str, Any]],
    audit: dict[str, Any] | None,
) -> None:
    """Writes report.html and card.md of an evaluation, after its metrics, as `write_pages`.

    Args:
        folder: the evaluation's folder.
        run: the run of the network.
        manifest: the manifest that it was evaluated on.
        result: the content of metrics.json.
        sections: draws the template variables of `semenet.evaluation.report.sections`.
        audit: the content of audit.json; or None.
    """
    date = datetime.datetime.now(datetime.UTC)

    def report() -> str:
        return render_report(
            run=run, manifest=manifest, result=result, sections=sections(), audit=audit, date=date
        )

    write_pages(folder, {"report.html": report, "card.md": lambda: render_card(run, manifest, result, date)})


def write_pages(folder: pathlib.Path, pages: Mapping[str, Callable[[], str]]) -> None:
    """Renders and writes pages, after the metrics were written.

    Args:
        folder: the folder, where pages of an earlier evaluation are replaced.
        pages: the functions that render them, by file name.

    Raises:
        OutputError: a page cannot be written.
        OSError: the folder cannot be written to, or is full.

    Warns:
        PageWarning: a page could not be rendered. An earlier one is deleted, because it shows other metrics.
    """
    rendered = {}
    for name, render in pages.items():
        try:
            rendered[folder / name] = render().encode()
        # Whatever fails in drawing, the evaluation itself has its results.
        except Exception as error:
            (folder / name).unlink(missing_ok=True)
            words = f"{folder / name} could not be made ({type(error).__name__}: {error})."
            warnings.warn(f"{words} The metrics are complete.", PageWarning, stacklevel=2)
    if rendered:
        write_together(rendered)
