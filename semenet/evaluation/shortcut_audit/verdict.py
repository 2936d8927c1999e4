"""The audit's verdict: whether the label can be told without the lungs."""

from semenet.evaluation.drawing.pages import percent

SHORTCUT, CLEAN, UNDECIDED = "shortcut", "clean", "undecided"
# Macro AUROC, and one class's against the rest, from which on the label is told: a class that is told
# perfectly among others that are not leaves the mean low.
LIMIT, CLASS_LIMIT = 0.7, 0.75
# Up to which one class's interval may reach in a clean set: it is wider than the mean's.
CLASS_CLEAN = 0.8
# What a network must reach with the images as they are.
LEARNT = 0.65
# Below which the intervals of a bootstrap over patients say too little.
LEAST_PATIENTS = 10
# The share of images whose lung mask may be implausible, see `semenet.inference.lung_plausibility`.
MOST_IMPLAUSIBLE = 0.1

RULE = (
    "Each piece of evidence says how well the label is told without the lungs, as AUROCs with 95 % intervals "
    "over patients. 'shortcut': for one of them the interval of the mean over the classes lies above "
    f"{LIMIT}, or that of one class against the rest above {CLASS_LIMIT}; as far below 0.5 counts the same, "
    f"for the label is told then too. 'clean': the mean's intervals all end below {LIMIT} and the classes' "
    f"below {CLASS_CLEAN}, and likewise from below. 'undecided': neither; or the network has not learnt, the "
    f"interval of its own mean AUROC reaching down to {LEARNT} or below; or a class has fewer than "
    f"{LEAST_PATIENTS} patients; or more than {percent(MOST_IMPLAUSIBLE)} of the lung masks are implausible."
)

MEANINGS = {
    "marks": "bright marks outside the lungs, such as burnt-in letters, read by a linear classifier",
    "decisions_without_lungs": "the network's own decisions on images without lungs",
    "features_without_lungs": "a linear classifier on the network's features of images without lungs",
    "decisions_on_outlines": "the network's own decisions on the lungs' outline alone",
    "features_of_outlines": "a linear classifier on the network's features of the lungs' outline alone",
}


def decide(learnt, evidence, *, fewest_patients, implausible):
    """Applies `RULE`.

    Args:
        learnt: dict with `macro_auroc`, float or None, `interval`, [low, high] or None, and `classes`, a
            dict of class to [low, high] or None, on the images as the network is fed them.
        evidence: dict of names of `MEANINGS` to the like.
        fewest_patients: int, patients of the class that has the fewest.
        implausible: float, the share of the images whose lung mask is implausible.

    Returns:
        (verdict, words): "shortcut", "clean" or "undecided", and a list of sentences with the figures.
    """
    if reason := _unfit(learnt, fewest_patients, implausible):
        return UNDECIDED, [reason]
    words = [
        f"{MEANINGS[name][0].upper()}{MEANINGS[name][1:]}: {_text(found)}."
        for name, found in evidence.items()
    ]
    told = [name for name, found in evidence.items() if _is_told(found)]
    if told == ["marks"]:
        opening = (
            "The label can be read off the images without the lungs: a figure on them does not tell a "
            "network that has learnt the disease from one that reads the marks."
        )
        return SHORTCUT, [opening, *words]
    if told:
        opening = (
            "The label can be told without the lungs: a figure on these images does not show that the "
            "network has learnt the disease."
        )
        return SHORTCUT, [opening, *words]
    if all(_is_clean(found) for found in evidence.values()):
        return CLEAN, ["No way was found to tell the label without the lungs.", *words]
    opening = (
        "Whether the label can be told without the lungs is open: an interval includes the limit or is "
        "undefined. More patients would narrow it."
    )
    return UNDECIDED, [opening, *words]


def _unfit(learnt, fewest_patients, implausible):
    """Why these images and this network cannot be judged, or None."""
    if fewest_patients < LEAST_PATIENTS:
        return (
            f"These images cannot be judged: a class has {fewest_patients} patients among them, and a "
            f"verdict needs {LEAST_PATIENTS} of each."
        )
    if implausible > MOST_IMPLAUSIBLE:
        return (
            f"These images cannot be judged: {percent(implausible)} of the lung masks are implausible: "
            "their area, their number of pieces or their position cannot be those of two lungs, so that "
            "something else was blacked out. Fix the masks, or name a U-Net that finds lungs."
        )
    if learnt["macro_auroc"] is None:
        return (
            "These images cannot be judged: the network's macro AUROC is undefined on them, as where all are "
            "of one class."
        )
    if learnt["interval"] is None or learnt["interval"][0] <= LEARNT:
        return (
            f"The network has not learnt enough to be judged: on the images as they are its {_text(learnt)}, "
            f"and the mean's interval must lie above {LEARNT}."
        )
    return None


def _is_told(found):
    of_classes = [interval for interval in found["classes"].values() if interval is not None]
    return _beyond(found["interval"], LIMIT) or any(_beyond(interval, CLASS_LIMIT) for interval in of_classes)


def _beyond(interval, limit):
    return interval is not None and (interval[0] > limit or interval[1] < 1 - limit)


def _is_clean(found):
    limits = {LIMIT: [found["interval"]], CLASS_CLEAN: found["classes"].values()}
    return all(
        interval is not None and 1 - limit < interval[0] and interval[1] < limit
        for limit, intervals in limits.items()
        for interval in intervals
    )


def dependence(own, without_corners):
    """Whether the network relies on what stands in the corners, in words.

    Args:
        own: dict `macro_auroc` of the images as they are.
        without_corners: dict of `changed`, the share of predictions that change when the corners are
            flattened, and `difference` and `difference_interval` of the macro AUROC.

    Returns:
        str, a sentence.
    """
    difference, interval = without_corners["difference"], without_corners["difference_interval"]
    if difference is None or interval is None:
        return "What the corners do to the network's decisions is undefined on these images."
    return (
        f"Flattening the corners changes {percent(without_corners['changed'], 1)} of the network's decisions "
        f"and its macro AUROC from {own['macro_auroc']:.3f} by {difference:+.3f} (95 % interval "
        f"{interval[0]:+.3f} to {interval[1]:+.3f})."
    )


def _text(found):
    if found["macro_auroc"] is None:
        return "macro AUROC undefined"
    if found["interval"] is None:
        return f"macro AUROC {found['macro_auroc']:.3f}, without an interval"
    text = f"macro AUROC {found['macro_auroc']:.3f} ({_interval(found['interval'])})"
    beyond = [
        f"{name} {_interval(interval)}"
        for name, interval in found["classes"].items()
        if _beyond(interval, CLASS_LIMIT)
    ]
    return f"{text}; by class {', '.join(beyond)}" if beyond else text


def _interval(pair):
    return f"95 % interval {pair[0]:.3f} to {pair[1]:.3f}"
