"""Prints the report of `check_manifest` as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import rich.console
import rich.markup
import rich.table

_MAX_ROWS = 20
_MEDIANS = ("height", "width", "aspect", "mean", "deviation")
# The columns whose cells may be wrapped.
_WRAPPED_COLUMNS = {"file", "reason", "patient", "splits", "the images", "mask"}


def print_report(report: Mapping[str, Any], console: rich.console.Console | None = None) -> None:
    """Prints a report as tables of at most 20 rows, with the verdict in the last line.

    Args:
        report: the dict that `check_manifest` returns.
        console: where to print; None for standard output.
    """
    console = rich.console.Console(soft_wrap=True, highlight=False) if console is None else console
    splits = ", ".join(f"{name} {count:,}" for name, count in report["splits"].items())
    _print_line(console, f"{report['manifest']}: {report['rows']:,} rows ({splits})")
    _print_line(console, f"manifest sha256 {report['manifest_sha256']}")
    _print_line(console, f"content sha256 {report['content_sha256'] or '- (files are missing)'}")
    unreadable = [(found["kind"], found["file"], found["reason"]) for found in report["unreadable"]]
    _print_table(console, "Files that cannot be used", ("kind", "file", "reason"), unreadable)
    straddling = [(patient, ", ".join(names)) for patient, names in report["patients_in_two_splits"].items()]
    _print_table(console, "Patients in more than one split", ("patient", "splits"), straddling)
    for title, leak in (
        ("Copies of an image in different splits", True),
        ("Copies of an image in one split, with different patients or labels", False),
    ):
        copies = [_copy_cells(copy) for copy in report["copies"] if copy["leak"] == leak]
        _print_table(console, title, ("kind", "similarity", "the images"), copies)
    for origin in report["origins"]:
        _print_origin(console, origin)
    classes = [
        (
            label,
            f"{found['images']:,}",
            f"{found['patients']:,}",
            *(_format_number(found[column]) for column in _MEDIANS),
            *("-" if found[share] is None else f"{found[share]:.2%}" for share in ("black", "white")),
        )
        for label, found in report["classes"].items()
    ]
    header = ("class", "images", "patients", *_MEDIANS[:-1], "sd", "black", "white")
    _print_table(
        console,
        "Classes: medians of size in pixels, of grey levels, and of the shares of black and white pixels",
        header,
        classes,
    )
    if report["masks"] is not None:
        _print_masks(console, report["masks"])
    verdict = "passed" if report["passed"] else "failed"
    _print_line(
        console, f"{verdict}: {report['leaks']} leaks, {len(report['unreadable'])} files that cannot be used"
    )


def _print_line(console: rich.console.Console, text: str) -> None:
    console.print(rich.markup.escape(text))


def _print_table(
    console: rich.console.Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    if not rows:
        return
    _print_line(console, f"\n{title}")
    table = rich.table.Table(box=None)
    for name in header:
        # Names of files are wrapped, since they must be complete; numbers are short.
        wrap = name in _WRAPPED_COLUMNS
        table.add_column(rich.markup.escape(name), overflow="fold" if wrap else "ellipsis", no_wrap=not wrap)
    for row in rows[:_MAX_ROWS]:
        table.add_row(*(rich.markup.escape(cell) for cell in row))
    console.print(table)
    if len(rows) > _MAX_ROWS:
        _print_line(console, f"and {len(rows) - _MAX_ROWS} more")


def _print_origin(console: rich.console.Console, origin: Mapping[str, Any]) -> None:
    labels = sorted({label for counts in origin["counts"].values() for label in counts})
    rows = [
        (name or "(none)", *(f"{counts[label]:,}" for label in labels))
        for name, counts in origin["counts"].items()
    ]
    _print_table(console, f"Images by {origin['column']} and label", (origin["column"], *labels), rows)
    if origin["predicts_label"]:
        _print_line(
            console,
            f"Warning: {origin['column']} predicts the label. Prediction from it alone has a balanced "
            f"accuracy of {origin['balanced_accuracy']:.2f} (chance {origin['chance']:.2f}): a network can "
            "learn it instead of the disease, and no metric on this data set shows the difference.",
        )


def _print_masks(console: rich.console.Console, masks: Mapping[str, Any]) -> None:
    _print_line(console, f"\nMasks: {masks['masks']:,}, rows without a mask: {masks['without']:,}")
    if masks["share"] is not None:
        shares = ", ".join(
            f"{quantile}: {_format_number(share)}" for quantile, share in masks["share"].items()
        )
        _print_line(console, f"Quantiles of the share of the image inside the mask: {shares}")
    _print_table(console, "Empty masks", ("mask",), [(name,) for name in masks["empty"]])


def _copy_cells(copy: Mapping[str, Any]) -> tuple[str, str, str]:
    images = "  ".join(
        f"{image['file']} ({', '.join(image[key] for key in ('patient', 'label', 'split') if key in image)})"
        for image in copy["images"]
    )
    return copy["kind"], f"{copy['similarity']:.3f}", images


def _format_number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
