"""The report's section on calibration, operating points and abstention."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from semenet.evaluation.drawing import plots
from semenet.evaluation.drawing.pages import cell, with_interval
from semenet.evaluation.drawing.pictures import picture


def calibration_section(values: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the calibration section of a classifier's report.

    Args:
        values: metrics with `ece` and `brier`.
        details: dict of `semenet.evaluation.measure.classification.measure_classification`.

    Returns:
        dict of template variables.
    """
    found, intervals = details["calibration"], details["intervals"]
    words = (
        f"The expected calibration error is {with_interval(values['ece'], intervals['ece'])}: the mean "
        "difference between the highest probability and the share of right answers. It is biased upwards for "
        "few images, and more so in resamples, so its interval is too high. The Brier score, the squared "
        "distance of the probabilities from the truth, is "
        f"{with_interval(values['brier'], intervals['brier'])}. For both, 0 is best. "
    )
    if found["chosen_on"] is None:
        words += (
            "The network is not calibrated: semenet calibrate chooses a temperature on validation images."
        )
        diagram = plots.reliability_diagram(_arrays(found["reliability"]))
    else:
        uncalibrated = found["uncalibrated"]
        words += (
            f"The network's logits are divided by a temperature of {found['temperature']:.3f}, chosen on "
            f"{found['chosen_on']['count']} images of the split {found['chosen_on']['split']}; without it "
            f"the two values would be {uncalibrated['ece']:.3f} and {uncalibrated['brier']:.3f}."
        )
        diagram = plots.reliability_diagram(
            _arrays(uncalibrated["reliability"]), _arrays(found["reliability"])
        )
    alt = "Reliability diagram: accuracy against the highest probability; the text above gives the values"
    note = (
        "On the diagonal the probability equals the accuracy; below it the network is overconfident. Larger "
        "dots represent more images."
    )
    return {
        "words": words,
        "pictures": [picture("Reliability diagram", diagram, alt, note)],
        **_operating_points(details["operating_points"], found["chosen_on"]),
        "abstain": _abstention(details["abstain"], found["chosen_on"]),
    }


def _operating_points(
    points: Mapping[str, Any] | None, chosen_on: Mapping[str, Any] | None
) -> dict[str, Any]:
    rows = []
    for name, goals in (points or {}).items():
        for goal, found in goals.items():
            if found is not None:
                rates = (
                    cell(found[rate], found["intervals"][rate])
                    for rate in ("sensitivity", "specificity", "ppv", "npv")
                )
                rows.append([f"{name}: {goal} of {found['target']:g}", cell(found["threshold"]), *rates])
    words = chosen_on and (
        f"Thresholds of the calibrated probability, chosen on the split {chosen_on['split']} to reach the "
        "target there; the metrics are those of the images evaluated here. Predictive values depend on the "
        "class's share of these images."
    )
    return {"points": rows, "points_words": words}


def _abstention(found: Mapping[str, Any] | None, chosen_on: Mapping[str, Any] | None) -> str | None:
    if found is None:
        return None
    return (
        f"The network answers only if the highest probability is {found['confidence']:.3f} or more, a "
        f"threshold chosen on the split {chosen_on['split']} for an accuracy of "
        f"{found['target_accuracy']:g} among the answers. Share of the images evaluated here that are "
        f"answered: {with_interval(found['coverage'], found['intervals']['coverage'])}. "
        "Accuracy of the answers: "
        f"{with_interval(found['accuracy'], found['intervals']['accuracy'])}."
    )


def _arrays(bins: Mapping[str, list[float | None]]) -> dict[str, np.ndarray]:
    return {
        name: np.array([np.nan if value is None else value for value in values])
        for name, values in bins.items()
    }
