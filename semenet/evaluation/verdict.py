"""The audit's verdict: whether the label can be told without the lungs."""

SHORTCUT, CLEAN, UNDECIDED = "shortcut", "clean", "undecided"
# Macro AUROC from which on a label counts as told, and what a network must reach with the image as it is.
LIMIT = 0.7
LEARNT = 0.65

RULE = (
    "Each piece of evidence says how well the label is told without the lungs, as a macro AUROC with a 95 % "
    f"interval over patients. 'shortcut': the interval of one of them lies above {LIMIT}. 'clean': the "
    f"intervals of all lie below {LIMIT}. 'undecided': neither, or the network has not learnt: the interval "
    f"of its own macro AUROC on the images as they are reaches down to {LEARNT} or below."
)

MEANINGS = {
    "marks": "bright marks outside the lungs, such as burnt-in letters, read by a linear classifier",
    "decisions_without_lungs": "the network's own decisions on images without lungs",
    "features_without_lungs": "a linear classifier on the network's features of images without lungs",
    "decisions_on_outlines": "the network's own decisions on the lungs' outline alone",
    "features_of_outlines": "a linear classifier on the network's features of the lungs' outline alone",
}


def decide(learnt, evidence):
    """Applies `RULE`.

    Args:
        learnt: dict with `macro_auroc`, float or None, and `interval`, [low, high] or None, on the images as
            the network is fed them.
        evidence: dict of names of `MEANINGS` to the like.

    Returns:
        (verdict, words): "shortcut", "clean" or "undecided", and a list of sentences with the figures.
    """
    if learnt["interval"] is None or learnt["interval"][0] <= LEARNT:
        return UNDECIDED, [
            f"The network has not learnt enough to be judged: its macro AUROC is {_text(learnt)}, and the "
            f"interval must lie above {LEARNT}."
        ]
    words = [
        f"{MEANINGS[name][0].upper()}{MEANINGS[name][1:]}: macro AUROC {_text(found)}."
        for name, found in evidence.items()
    ]
    intervals = [found["interval"] for found in evidence.values()]
    told = [
        name
        for name, found in evidence.items()
        if found["interval"] is not None and found["interval"][0] > LIMIT
    ]
    if told:
        opening = (
            "The label can be told without the lungs: a figure on these images does not show that the "
            "network has learnt the disease."
        )
        if told == ["marks"]:
            words.append(
                "It is the images that offer the way; that this network takes it, its decisions and features "
                "without the lungs do not show."
            )
        return SHORTCUT, [opening, *words]
    if all(interval is not None and interval[1] < LIMIT for interval in intervals):
        return CLEAN, ["No way was found to tell the label without the lungs.", *words]
    opening = (
        f"Whether the label can be told without the lungs is open: an interval includes {LIMIT} or is "
        "undefined. More patients would narrow it."
    )
    return UNDECIDED, [opening, *words]


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
        f"Flattening the corners changes {without_corners['changed']:.1%} of the network's decisions and its "
        f"macro AUROC from {own['macro_auroc']:.3f} by {difference:+.3f} (95 % interval {interval[0]:+.3f} "
        f"to {interval[1]:+.3f})."
    )


def _text(found):
    if found["macro_auroc"] is None:
        return "undefined"
    if found["interval"] is None:
        return f"{found['macro_auroc']:.3f}, without an interval"
    low, high = found["interval"]
    return f"{found['macro_auroc']:.3f} (95 % interval {low:.3f} to {high:.3f})"
