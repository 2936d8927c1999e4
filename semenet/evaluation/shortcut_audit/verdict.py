"""The verdict of an audit: whether the label can be predicted without the lungs."""

from collections.abc import Mapping, Sequence
from typing import Any

from semenet.evaluation.drawing.pages import percent

SHORTCUT, CLEAN, UNDECIDED = "shortcut", "clean", "undecided"
# Macro AUROC, and AUROC of one class against the rest, above which the label counts as predictable. One class
# that is predicted perfectly among others that are not leaves the mean low.
LIMIT, CLASS_LIMIT = 0.7, 0.75
# Upper limit of one class's interval in a clean set; that interval is wider than the mean's.
CLASS_CLEAN = 0.8
# What a network must exceed on unmodified images.
LEARNT = 0.65
# With fewer patients, the intervals of a bootstrap over patients are unreliable.
MIN_PATIENTS = 10
# The largest share of images whose lung mask may be implausible, see `semenet.inference.lung_plausibility`.
MAX_IMPLAUSIBLE = 0.1

RULE = (
    "Each piece of evidence measures how well the label can be predicted without the lungs, as AUROCs with "
    "95 % intervals over patients. 'shortcut': for at least one of them, the interval of the mean over the "
    f"classes lies above {LIMIT}, or that of one class against the rest above {CLASS_LIMIT}; intervals "
    "equally far below 0.5 count the same, because the label can then be predicted too. 'clean': all "
    f"intervals of the mean end below {LIMIT} and those of the classes below {CLASS_CLEAN}, and none reaches "
    "equally far below 0.5. 'undecided': neither of the two; or the network has not learnt enough, that is, "
    f"the interval of its own mean AUROC starts at {LEARNT} or below; or a class has fewer than "
    f"{MIN_PATIENTS} patients; or more than {percent(MAX_IMPLAUSIBLE)} of the lung masks are implausible."
)

MEANINGS = {
    "marks": "bright marks outside the lungs, such as burnt-in letters, read by a linear classifier",
    "decisions_without_lungs": "the network's own decisions on images without lungs",
    "features_without_lungs": "a linear classifier on the network's features of images without lungs",
    "decisions_on_outlines": "the network's own decisions on the outline of the lungs alone",
    "features_of_outlines": "a linear classifier on the network's features of the outline of the lungs alone",
}

Interval = Sequence[float] | None


def decide(
    learnt: Mapping[str, Any],
    evidence: Mapping[str, Mapping[str, Any]],
    *,
    fewest_patients: int,
    implausible: float,
) -> tuple[str, list[str]]:
    """Applies `RULE`.

    Args:
        learnt: dict with `macro_auroc`, float or None, `interval`, [low, high] or None, and `classes`, a
            dict from class to [low, high] or None, on the network's usual input.
        evidence: dict from names of `MEANINGS` to dicts of the same form.
        fewest_patients: number of patients of the class that has the fewest.
        implausible: share of the images whose lung mask is implausible.

    Returns:
        (verdict, words): "shortcut", "clean" or "undecided", and a list of sentences with the metrics.
    """
    if reason := _reason_not_to_judge(learnt, fewest_patients, implausible):
        return UNDECIDED, [reason]
    words = [
        f"{MEANINGS[name][0].upper()}{MEANINGS[name][1:]}: {_text(found)}."
        for name, found in evidence.items()
    ]
    predictive = [name for name, found in evidence.items() if _is_predictive(found)]
    if predictive == ["marks"]:
        opening = (
            "The label can be read from the images without the lungs: metrics on them do not distinguish a "
            "network that has learnt the disease from one that reads the marks."
        )
        return SHORTCUT, [opening, *words]
    if predictive:
        opening = (
            "The label can be predicted without the lungs: metrics on these images do not show that the "
            "network has learnt the disease."
        )
        return SHORTCUT, [opening, *words]
    if all(_is_clean(found) for found in evidence.values()):
        return CLEAN, ["No way was found to predict the label without the lungs.", *words]
    opening = (
        "It is undecided whether the label can be predicted without the lungs: an interval includes the "
        "limit or is undefined. More patients would narrow it."
    )
    return UNDECIDED, [opening, *words]


def _reason_not_to_judge(learnt: Mapping[str, Any], fewest_patients: int, implausible: float) -> str | None:
    """Returns why these images and this network cannot be judged, or None."""
    if fewest_patients < MIN_PATIENTS:
        return (
            f"These images cannot be judged: a class has only {fewest_patients} patients, and a verdict "
            f"needs at least {MIN_PATIENTS} of each class."
        )
    if implausible > MAX_IMPLAUSIBLE:
        return (
            f"These images cannot be judged: {percent(implausible)} of the lung masks are implausible: "
            "their area, number of pieces or position cannot be those of two lungs, so that something other "
            "than the lungs was removed. Fix the masks, or use a U-Net that segments lungs."
        )
    if learnt["macro_auroc"] is None:
        return (
            "These images cannot be judged: the network's macro AUROC is undefined on them, for example "
            "because all are of one class."
        )
    if learnt["interval"] is None or learnt["interval"][0] <= LEARNT:
        return (
            "The network has not learnt enough to be judged: on unmodified images it has a "
            f"{_text(learnt)}, and the interval of the mean must lie above {LEARNT}."
        )
    return None


def _is_predictive(found: Mapping[str, Any]) -> bool:
    of_classes = [interval for interval in found["classes"].values() if interval is not None]
    return _is_beyond(found["interval"], LIMIT) or any(
        _is_beyond(interval, CLASS_LIMIT) for interval in of_classes
    )


def _is_beyond(interval: Interval, limit: float) -> bool:
    return interval is not None and (interval[0] > limit or interval[1] < 1 - limit)


def _is_clean(found: Mapping[str, Any]) -> bool:
    limits = {LIMIT: [found["interval"]], CLASS_CLEAN: found["classes"].values()}
    return all(
        interval is not None and 1 - limit < interval[0] and interval[1] < limit
        for limit, intervals in limits.items()
        for interval in intervals
    )


def describe_corner_dependence(own: Mapping[str, Any], without_corners: Mapping[str, Any]) -> str:
    """Describes how much the network depends on the corners of the image.

    Args:
        own: dict with `macro_auroc` on unmodified images.
        without_corners: dict of `changed`, the share of predictions that change when the corners are
            flattened, and `difference` and `difference_interval` of the macro AUROC.

    Returns:
        str, a sentence.
    """
    difference, interval = without_corners["difference"], without_corners["difference_interval"]
    if difference is None or interval is None:
        return "The effect of the corners on the network's decisions is undefined on these images."
    return (
        f"Flattening the corners changes {percent(without_corners['changed'], 1)} of the network's decisions "
        f"and its macro AUROC from {own['macro_auroc']:.3f} by {difference:+.3f} (95 % interval "
        f"{interval[0]:+.3f} to {interval[1]:+.3f})."
    )


def _text(found: Mapping[str, Any]) -> str:
    if found["macro_auroc"] is None:
        return "macro AUROC undefined"
    if found["interval"] is None:
        return f"macro AUROC {found['macro_auroc']:.3f}, without an interval"
    text = f"macro AUROC {found['macro_auroc']:.3f} ({_interval_text(found['interval'])})"
    beyond = [
        f"{name} {_interval_text(interval)}"
        for name, interval in found["classes"].items()
        if _is_beyond(interval, CLASS_LIMIT)
    ]
    return f"{text}; by class {', '.join(beyond)}" if beyond else text


def _interval_text(pair: Sequence[float]) -> str:
    return f"95 % interval {pair[0]:.3f} to {pair[1]:.3f}"
