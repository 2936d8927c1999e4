"""Renders the report and the card of a network in several hospitals."""

import datetime
from collections.abc import Sequence
from typing import Any

from semenet.evaluation.drawing.markdown import escape_markdown
from semenet.evaluation.drawing.pages import cell, render_page
from semenet.evaluation.hospitals.hospital_table import Hospital, compared_metrics
from semenet.evaluation.report.evidence_table import evidence_rows, headline_names
from semenet.evaluation.report.failed_checks import failed_hospitals
from semenet.evaluation.report.html_report import MIN_PATIENTS
from semenet.evaluation.report.metric_names import MEANINGS
from semenet.evaluation.report.model_card import METRIC_NAMES
from semenet.training.run_folder.run import Run

_EVIDENCE = {
    "training": "training images",
    "validation": "validation, not a test",
    "held-out": "held-out",
    "other manifest": "external",
    "unknown": "not known",
}


def render_hospitals(result: dict[str, Any], date: datetime.datetime) -> str:
    """Renders the report.

    Args:
        result: the content of metrics.json.
        date: timezone-aware date of the evaluation.

    Returns:
        str, an HTML document whose only references are to the reports in the folders beside it.
    """
    rows = result["hospitals"]
    shown = [name for name in compared_metrics(result["class_names"]) if name in rows[0]["figures"]]
    main = [name for name in shown if name in MEANINGS]
    classes = "classes" in rows[0]
    return render_page(
        "hospitals.html.j2",
        network=result["network"],
        split=result["split"],
        names=list(result["manifests"]),
        columns=[
            *("Hospital", "Evidence", "Images", "Patients"),
            *(["Classes"] if classes else []),
            *(MEANINGS[name][0] for name in main),
        ],
        rows=[
            [
                _name(row),
                _EVIDENCE[row["evidence"]],
                row["count"],
                row["patients"],
                *([", ".join(f"{name} {n}" for name, n in row["classes"].items())] if classes else []),
                *(cell(row["figures"][name], row["intervals"][name]) for name in main),
            ]
            for row in rows
        ],
        difference_columns=["Hospital", *map(_title, shown)],
        difference_rows=[
            [
                _name(row),
                *(cell(of["value"], of["interval"]) for of in map(row["difference"].get, shown)),
            ]
            for row in rows
            if row["difference"] is not None
        ],
        internal=next((row["hospital"] for row in rows if row["internal"]), None),
        failed=failed_hospitals(result),
        warnings=[
            *result["warnings"],
            *(
                f"{_name(row)} has {row['patients']} patients: with fewer than {MIN_PATIENTS}, its intervals "
                "are too narrow."
                for row in rows
                if row["patients"] < MIN_PATIENTS
            ),
        ],
        manifests=result["manifests"],
        date=date,
        **{name: result[name] for name in ("command", "versions", "interval_method", "model_sha256")},
    )


def render_hospital_card(
    run: Run, result: dict[str, Any], hospitals: Sequence[Hospital], date: datetime.datetime
) -> str:
    """Renders the card: the three kinds of evidence side by side.

    Args:
        run: the run of the network.
        result: the content of metrics.json.
        hospitals: the hospitals.
        date: timezone-aware date of the evaluation.

    Returns:
        str, Markdown.
    """
    first = hospitals[0].result
    return render_page(
        "hospital_card.md.j2",
        name=escape_markdown(run.model.name),
        class_names=[escape_markdown(name) for name in result["class_names"]],
        result=result,
        failed=failed_hospitals(result),
        columns=[METRIC_NAMES[name] for name in headline_names(first)],
        rows=evidence_rows([(escape_markdown(hospital.name), hospital.result) for hospital in hospitals]),
        date=date,
    )


def _name(row: dict[str, Any]) -> str:
    own = row["hospital"] + (" (internal)" if row["internal"] else "")
    return own if row["column"] is None else f"{own}, {row['column']} {row['value']}"


def _title(name: str) -> str:
    if name in MEANINGS:
        return MEANINGS[name][0]
    _, class_name, metric = name.split(".", 1)[0], *name.removeprefix("per_class.").rsplit(".", 1)
    return f"{class_name}: {'AUROC' if metric == 'auroc' else metric}"
