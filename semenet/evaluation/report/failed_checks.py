"""Lists which checks an evaluation fails, for the report's summary and a command's last lines."""

from collections.abc import Iterator, Mapping
from typing import Any

from semenet.evaluation.drawing.pages import number, with_interval
from semenet.evaluation.report.evidence_table import headline_names
from semenet.evaluation.report.metric_names import MEANINGS
from semenet.evaluation.shortcut_audit.verdict import SHORTCUT


def failed_checks(result: Mapping[str, Any]) -> list[str]:
    """Returns a sentence for each check that an evaluation fails: heat maps, calibration, audit.

    Args:
        result: the content of metrics.json, from `semenet.evaluate`.

    Returns:
        The sentences; none where nothing fails. A check that was not made, or whose interval includes its
        limit, does not fail.
    """
    return [*_failed_maps(result), *_failed_calibration(result), *_failed_audit(result)]


def failed_hospitals(result: Mapping[str, Any]) -> list[str]:
    """Returns a sentence for each hospital in which a headline metric falls.

    Args:
        result: the content of metrics.json, from `semenet.evaluate_hospitals`.

    Returns:
        The sentences. A metric falls where the interval of its difference to the internal manifest lies
        below 0.
    """
    sentences = []
    for row in result["hospitals"]:
        if row["column"] is not None or row["difference"] is None:
            continue
        falls = [
            f"the {MEANINGS[name][0]} is lower by "
            + with_interval(-found["value"], [-limit for limit in reversed(found["interval"])])
            for name in headline_names(row["figures"])
            if (found := row["difference"].get(name)) and _lies_below(found["interval"], 0)
        ]
        if falls:
            sentences.append(
                f"External drop: in {row['hospital']} {' and '.join(falls)} than in the internal manifest."
            )
    return sentences


def _failed_maps(result: Mapping[str, Any]) -> Iterator[str]:
    sanity = (result.get("where") or {}).get("sanity")
    if sanity is not None and sanity["passes"] is False:
        yield (
            "Heat maps: they remain similar when the network's weights are randomised (rank correlation up "
            f"to {number(sanity['groups'][-1]['high'])}), so they do not show what the network has learnt."
        )


def _failed_calibration(result: Mapping[str, Any]) -> Iterator[str]:
    calibration = result.get("calibration")
    if calibration is None or calibration["chosen_on"] is None:
        return
    without = calibration["uncalibrated"]["ece"]
    if result["ece"] > without:
        yield (
            "Calibration: the temperature makes the probabilities of these images worse: the expected "
            f"calibration error is {number(result['ece'])} with it and {number(without)} without it."
        )
    abstain = result["abstain"]
    if abstain is not None and _lies_below(abstain["intervals"]["accuracy"], abstain["target_accuracy"]):
        right = with_interval(abstain["accuracy"], abstain["intervals"]["accuracy"])
        yield (
            f"Calibration: the share of right answers is {right}; the target was "
            f"{abstain['target_accuracy']:g}."
        )
    missed = [
        f"{goal} of {name}"
        for name, goals in (result["operating_points"] or {}).items()
        for goal, found in goals.items()
        if found is not None and _lies_below(found["intervals"][goal], found["target"])
    ]
    if missed:
        yield f"Calibration: operating points do not reach their targets: {', '.join(missed)}."


def _failed_audit(result: Mapping[str, Any]) -> Iterator[str]:
    audit = result.get("audit")
    if audit is not None and audit["verdict"] == SHORTCUT:
        yield f"Audit: {SHORTCUT}. {audit['words'][0]}"


def _lies_below(interval: tuple[float, float] | None, limit: float) -> bool:
    return interval is not None and interval[1] < limit
