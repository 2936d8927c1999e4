"""The tables of an audit, for its own page and for the report."""

from typing import Any

from semenet.evaluation.drawing.pages import cell, percent


def audit_tables(audit: dict[str, Any]) -> dict[str, list[list[Any]]]:
    """Returns the tables of an audit as template variables.

    Args:
        audit: dict, the content of audit.json.

    Returns:
        dict of the variables `audit_views` and `audit_origins`, lists of rows.
    """
    names = {
        "as_fed": "the network's usual input",
        "without_lungs": "lungs blacked out" if audit["fed"] == "whole images" else "outline of the lungs",
        "lungs_alone": "lungs alone",
        "without_corners": "corners flattened",
        "without_border": "border flattened",
    }
    views = [
        [
            names[view],
            cell(found["macro_auroc"], found["interval"]),
            cell(found["accuracy"]),
            percent(found["changed"], 1) if "changed" in found else "",
            cell(found["difference"], found["difference_interval"]) if "difference" in found else "",
        ]
        for view, found in audit["views"].items()
    ]
    origins = []
    for column, found in audit["origins"].items():
        probed = found["network"] or dict.fromkeys(("macro_auroc", "interval", "balanced_accuracy"))
        origins.append(
            [
                column,
                len(found["values"]),
                cell(probed["macro_auroc"], probed["interval"]),
                cell(probed["balanced_accuracy"]),
                cell(found["label"]["balanced_accuracy"]),
                cell(found["label"]["chance"]),
            ]
        )
    return {"audit_views": views, "audit_origins": origins}
