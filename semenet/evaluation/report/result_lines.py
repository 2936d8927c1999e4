"""Says in a few lines what a command found, for the end of its output."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from semenet.data.phantom.synthetic_rows import synthetic_sentence
from semenet.evaluation.drawing.pages import number, percent, with_interval
from semenet.evaluation.report.evidence_table import headline_names
from semenet.evaluation.report.failed_checks import failed_checks, failed_hospitals
from semenet.evaluation.report.metric_names import MEANINGS

_NAMES = {name: meaning[0] for name, meaning in MEANINGS.items()} | {
    "macro_average_precision": "macro average precision"
}
_EVIDENCE = {
    "training": "training images, no evidence",
    "validation": "validation, not a test",
    "held-out": "held-out",
    "other manifest": "another manifest than the training's",
    "unknown": "training not recorded",
}


def evaluation_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Yields the main result of `semenet.evaluate`, whether images are synthetic, and the checks that fail.

    Args:
        result: the content of metrics.json.
    """
    values = "; ".join(
        f"{_NAMES[name]} {with_interval(result[name], result['intervals'][name])}"
        for name in headline_names(result)
    )
    yield f"{values}."
    yield (
        f"{result['count']} images of {result['patients']} patients, split {result['split']}: "
        f"{_EVIDENCE[result['evidence']]}.{_audit_words(result)}"
    )
    if sentence := synthetic_sentence(result.get("synthetic_images", 0), result["count"]):
        yield sentence
    yield from _failure_lines(failed_checks(result))


def hospital_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Yields the main result of `semenet.evaluate_hospitals` for each hospital, cautions, and external drops.

    Args:
        result: the content of metrics.json.
    """
    for row in result["hospitals"]:
        if row["column"] is None:
            name = headline_names(row["figures"])[1]
            value = with_interval(row["figures"][name], row["intervals"][name])
            kind = "internal" if row["internal"] else "external"
            yield f"{row['hospital']} ({kind}): {_NAMES[name]} {value}, {row['count']} images."
    yield from (f"caution: {warning}" for warning in result["warnings"])
    yield from _failure_lines(failed_hospitals(result))


def cascade_lines(shares: pd.DataFrame) -> Iterator[str]:
    """Yields how many images a cascade answers, and how many of its answers are right.

    Args:
        shares: the table of `semenet.serving.evaluate_cascade`, with the columns name, share, low and high.
    """
    of = {row.name: row for row in shares.itertuples(index=False)}
    words = {
        "answered": "Answered",
        "right, of the answered images": "right, of the answered images",
        "most probable class is right": "most probable class right, of all images",
    }
    found = (
        f"{text} {with_interval(row.share, None if np.isnan(row.low) else (row.low, row.high))}"
        for name, text in words.items()
        if (row := of.get(name)) is not None
    )
    yield f"{'; '.join(found)}."


def calibration_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yields what `semenet.calibrate` chose on a split, and its warnings.

    Args:
        found: the content of calibration.json.
    """
    if found.get("labels") == "several":
        for name, points in found["operating_points"].items():
            chosen = points["youden"]
            yield f"{name}: threshold {0.5 if chosen is None else chosen['threshold']:.3f}"
    else:
        yield (
            f"temperature {found['temperature']:.3f}; expected calibration error "
            f"{found['before']['ece']:.3f} before, {found['after']['ece']:.3f} after"
        )
        abstain = found["abstain"]
        if abstain is not None:
            yield (
                f"The network answers if its highest probability is {abstain['confidence']:.3f} or more: "
                f"{percent(abstain['coverage'])} of these {found['count']} images, of which "
                f"{percent(abstain['accuracy'])} are right."
            )
    yield from (f"caution: {warning}" for warning in found["warnings"])


def audit_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yields the verdict of `semenet.audit` and the evidence for it.

    Args:
        found: the content of audit.json.
    """
    opening, *evidence = found["words"]
    yield f"{found['verdict']}: {opening}"
    if evidence:
        yield " ".join(evidence)


def explanation_lines(table: pd.DataFrame) -> Iterator[str]:
    """Yields how many images `semenet.explain` explained, and what the network predicts for them.

    Args:
        table: the content of explanations.csv.
    """
    if table.empty:
        yield "No image was explained: none of the split is of the chosen kind."
        return
    predicted = ", ".join(f"{count} {name}" for name, count in table["predicted"].value_counts().items())
    methods = ", ".join(sorted(set(table["method"]) - {""})) or "no method: no image has a map"
    images = "1 image" if len(table) == 1 else f"{len(table)} images"
    line = f"{images} explained by {methods}; predicted: {predicted}"
    if "probability" in table:
        line += f"; mean probability {number(float(table['probability'].mean()))}"
    yield f"{line}."
    yield (
        "A map shows where the network looked, not why. `semenet evaluate` tests whether its maps depend on "
        "what it has learnt."
    )


def _audit_words(result: Mapping[str, Any]) -> str:
    """Returns the verdict of an audit that was passed or is undecided, or that there was none."""
    if "per_class" not in result or result.get("labels") == "several":
        return ""
    audit = result["audit"]
    if audit is None:
        return " Not audited: `semenet audit` tests whether the label can be predicted without the lungs."
    return f" Audit: {audit['verdict']}."


def _failure_lines(sentences: list[str]) -> Iterator[str]:
    for sentence in sentences:
        yield f"failed check: {sentence}"
