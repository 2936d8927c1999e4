"""Prints what `check_manifest` found."""

import rich.console
import rich.markup
import rich.table

_ROWS_AT_MOST = 20
_TONES = ("height", "width", "aspect", "mean", "deviation")
# The columns whose cells may run over several lines.
_LONG = {"file", "reason", "patient", "splits", "the images", "mask"}


def print_report(report, console=None):
    """Prints a report as tables, 20 lines of each at most, and a verdict as the last line.

    Args:
        report: the dict that `check_manifest` returns.
        console: a rich Console; None for standard output.
    """
    console = rich.console.Console(soft_wrap=True, highlight=False) if console is None else console
    splits = ", ".join(f"{name} {count:,}" for name, count in report["splits"].items())
    _say(console, f"{report['manifest']}: {report['rows']:,} rows ({splits})")
    _say(console, f"manifest sha256 {report['manifest_sha256']}")
    _say(console, f"content sha256 {report['content_sha256'] or '- (files are absent)'}")
    unreadable = [(found["kind"], found["file"], found["reason"]) for found in report["unreadable"]]
    _print(console, "Files that cannot be used", ("kind", "file", "reason"), unreadable)
    straddling = [(who, ", ".join(where)) for who, where in report["patients_in_two_splits"].items()]
    _print(console, "Patients in more than one split", ("patient", "splits"), straddling)
    for title, leak in (
        ("Copies of one picture in different splits", True),
        ("Copies of one picture in one split, under different patients or labels", False),
    ):
        copies = [_copy(copy) for copy in report["copies"] if copy["leak"] == leak]
        _print(console, title, ("kind", "similarity", "the images"), copies)
    for origin in report["origins"]:
        _print_origin(console, origin)
    classes = [
        (
            label,
            f"{found['images']:,}",
            f"{found['patients']:,}",
            *(_number(found[tone]) for tone in _TONES),
            *("-" if found[share] is None else f"{found[share]:.2%}" for share in ("black", "white")),
        )
        for label, found in report["classes"].items()
    ]
    header = ("class", "images", "patients", *_TONES[:-1], "sd", "black", "white")
    _print(
        console,
        "Classes: medians of size in pixels, grey levels, and shares of black and white",
        header,
        classes,
    )
    if report["masks"] is not None:
        _print_masks(console, report["masks"])
    verdict = "passed" if report["passed"] else "failed"
    _say(
        console, f"{verdict}: {report['leaks']} leaks, {len(report['unreadable'])} files that cannot be used"
    )


def _say(console, text):
    console.print(rich.markup.escape(text))


def _print(console, title, header, rows):
    if not rows:
        return
    _say(console, f"\n{title}")
    table = rich.table.Table(box=None)
    for name in header:
        # Cut short, a file's name would be of no use; figures are short.
        long = name in _LONG
        table.add_column(rich.markup.escape(name), overflow="fold" if long else "ellipsis", no_wrap=not long)
    for row in rows[:_ROWS_AT_MOST]:
        table.add_row(*(rich.markup.escape(cell) for cell in row))
    console.print(table)
    if len(rows) > _ROWS_AT_MOST:
        _say(console, f"and {len(rows) - _ROWS_AT_MOST} more")


def _print_origin(console, origin):
    labels = sorted({label for counts in origin["counts"].values() for label in counts})
    rows = [
        (name or "(none)", *(f"{counts[label]:,}" for label in labels))
        for name, counts in origin["counts"].items()
    ]
    _print(console, f"Images by {origin['column']} and label", (origin["column"], *labels), rows)
    if origin["predicts_label"]:
        _say(
            console,
            f"Warning: {origin['column']} predicts the label. Guessing from it alone has a balanced accuracy "
            f"of {origin['balanced_accuracy']:.2f} (chance {origin['chance']:.2f}): a network can learn it "
            "instead of the disease, and no figure on this data set can tell.",
        )


def _print_masks(console, masks):
    _say(console, f"\nMasks: {masks['masks']:,}, rows without: {masks['without']:,}")
    if masks["share"] is not None:
        shares = ", ".join(f"{quantile}: {_number(share)}" for quantile, share in masks["share"].items())
        _say(console, f"Share of the image inside, by quantile: {shares}")
    _print(console, "Empty masks", ("mask",), [(name,) for name in masks["empty"]])


def _copy(copy):
    images = "  ".join(
        f"{image['file']} ({', '.join(image[key] for key in ('patient', 'label', 'split') if key in image)})"
        for image in copy["images"]
    )
    return copy["kind"], f"{copy['similarity']:.3f}", images


def _number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
