"""What was found for an image, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from semenet.inference.input_gate import MIN_SIDE
from semenet.serving.cascade.decisions import ABSTAIN

if TYPE_CHECKING:
    from semenet.serving.cascade.decisions import ChainRule
    from semenet.serving.image_reports.described_networks import DescribedNetwork
    from semenet.training.run_folder.run import Run

# Why the input gate rejects an image, by `semenet.inference.input_gate.CODES`.
GATE_REASONS = {
    "too_small": f"its shorter side has fewer than {MIN_SIDE} pixels",
    "wrong_range": "it has almost no range of grey levels, like a blank image or 12 bits stored in 16",
    "colour_photograph": "it is in colour, like a photograph or a screenshot",
    "inverted": "its grey levels look inverted: bones are dark and lungs are light",
    "turned": "it looks turned by 90, 180 or 270 degrees",
    "lateral": "it looks like a view from the side",
    "not_a_radiograph": "it does not look like a frontal chest radiograph",
}
# What is wrong with a lung mask, by `semenet.inference.lung_plausibility.CHECKS`.
LUNG_REASONS = {
    "area": "too large or too small",
    "count": "not in two parts",
    "position": "not where lungs lie",
}

NOT_READ = "Not read: this file is not an image that can be used."
LUNGS_UNKNOWN = "Not looked for: no network that finds them is at hand."


def shown_class(name: str) -> str:
    """Returns a class name as words: "other_viral" is "other viral"."""
    return name.replace("_", " ")


def ranked(probabilities: Mapping[str, float], most: int = 2) -> str:
    """Writes the most probable classes in order, such as "normal 0.42, virus 0.37"."""
    order = sorted(probabilities.items(), key=lambda pair: -pair[1])[:most]
    return ", ".join(f"{shown_class(name)} {value:.2f}" for name, value in order)


def listed(names: Sequence[str], last: str = "or") -> str:
    """Writes names as a list in words, such as "normal, bacteria or virus"."""
    words = [shown_class(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def rejected_sentences(flags: Sequence[str]) -> tuple[str, str]:
    """Says why the input gate rejects an image, by the codes that apply, in their order."""
    reasons = ", and ".join(GATE_REASONS[flag] for flag in flags)
    return (
        f"Not accepted: {reasons}.",
        "The networks know upright frontal chest radiographs only; what they return for anything else has no "
        "meaning and is not shown.",
    )


def gate_fact(flags: Sequence[str]) -> str:
    """Says what the input gate found in an image that was answered."""
    if not flags:
        return "Accepted: an upright frontal chest radiograph."
    return f"Not used. It would not accept the image: {', and '.join(GATE_REASONS[flag] for flag in flags)}."


def cascade_sentences(
    reason: str,
    rule: ChainRule,
    first: Mapping[str, float],
    second: Mapping[str, float],
    joint: Mapping[str, float],
) -> tuple[str, str]:
    """Says what a cascade answers for an accepted image, and why.

    Args:
        reason: one of `semenet.serving.cascade.decisions.REASONS`.
        rule: the decision rule.
        first: the probabilities of stage 1.
        second: those of stage 2.
        joint: the joint distribution.
    """
    number = 0 if reason.endswith("1") else 1
    stage, own = f"Stage {number + 1}", (first, second)[number]
    confidence = rule.confidences[number]
    if reason.startswith(ABSTAIN):
        return (
            f"{stage} is not sure enough: {ranked(own)}. No answer.",
            f"It answers from a probability of {confidence:.2f} on.",
        )
    answer = _answer(joint)
    divided = shown_class(rule.refines)
    if number == 1:
        return (
            answer,
            f"Stage 1 says {divided} ({first[rule.refines]:.2f}), and stage 2 divides {divided}: "
            f"{ranked(second)}.",
        )
    if max(first, key=first.get) == rule.refines:
        return (
            answer,
            f"Stage 1 says {divided} ({first[rule.refines]:.2f}), but stage 2 divides it ({ranked(second)}), "
            "and each part is less probable.",
        )
    if confidence is None:
        return answer, "Stage 1 was not calibrated: it answers always."
    return (
        answer,
        f"Stage 1 is sure enough: it answers from a probability of {confidence:.2f} on.",
    )


def classifier_sentences(
    probabilities: Mapping[str, float], predicted: str, run: Run | DescribedNetwork
) -> tuple[str, str]:
    """Says what a single classifier returns for an image, and how far it can be believed.

    Args:
        probabilities: the probability of each class.
        predicted: as in the table of `semenet.predict`.
        run: the network.
    """
    if run.thresholds is not None:
        reported = predicted.split("|")
        found = {name: value for name, value in probabilities.items() if name in reported}
        chosen = (
            "0.50, without calibration"
            if run.calibration is None
            else "its own threshold, chosen by calibration"
        )
        return (
            f"Reported: {ranked(found, len(found))}." if found else "No finding is reported.",
            f"A finding is reported from {chosen}.",
        )
    answer = _answer(probabilities)
    confidence = network_confidence(run)
    if confidence is None:
        return (
            answer,
            "It was not calibrated: it answers always, also where it should not be believed.",
        )
    if max(probabilities.values()) < confidence:
        return answer, f"This is below {confidence:.2f}, the confidence from which on it should be believed."
    return answer, f"This reaches {confidence:.2f}, the confidence that calibration chose."


def segmentation_sentences(share: float, class_name: str, flags: Sequence[str]) -> tuple[str, str]:
    """Says what a segmentation network found: its share of the image, and whether that can be lungs."""
    found = f"{shown_class(class_name)}: {percent(share)} of the image."
    if not flags:
        return found[0].upper() + found[1:], "The mask has two parts, with the area and position of lungs."
    return found[0].upper() + found[1:], f"This cannot be two lungs: the mask is {lung_faults(flags)}."


def lung_fact(flags: Sequence[str], share: float) -> str:
    """Says whether the lungs were found, and where not, what follows."""
    if flags:
        return f"Not found: the mask is {lung_faults(flags)}."
    return f"Found: {percent(share)} of the image, two parts in their usual place."


def lung_faults(flags: Sequence[str]) -> str:
    """Says what is wrong with a lung mask, by the checks that it failed."""
    return " and ".join(LUNG_REASONS[flag] for flag in flags)


def heat_caution(title: str, in_lungs: float, lung_area: float) -> str:
    """Warns of a heat map that lies in the lungs less than a uniform one would; "" for any other."""
    if in_lungs >= lung_area:
        return ""
    return (
        f"{title} looked away from the lungs: {percent(in_lungs)} of its heat map lies inside them, which is "
        f"less than the {percent(lung_area)} of a map without any preference."
    )


def describe_input(run: Run | DescribedNetwork, alone: bool, found: bool) -> str:
    """Describes what a network received of an image.

    Args:
        run: the network.
        alone: whether all but the lungs is black.
        found: whether the lungs were found; if not, networks that need them receive the whole image.
    """
    view = run.lung_view
    if (alone or view.needs_mask) and not found:
        words = "the whole image, because the lungs were not found"
    else:
        words = "the box around the lungs" if view.box else "the whole image"
        if alone:
            words = "the lungs alone" + (", cut to their box," if view.box else "") + " with all else black"
        if view.standardize:
            words += ", grey levels stretched by those of the lungs"
    height, width = run.input_size
    return f"{words}, {width} x {height} pixels{', with CLAHE' if run.inference_clahe else ''}"


def network_confidence(run: Run | DescribedNetwork) -> float | None:
    """Returns the confidence from which on a network answers, as its calibration chose it, or None."""
    abstain = (run.calibration or {}).get("abstain")
    return None if abstain is None else float(abstain["confidence"])


def percent(share: float) -> str:
    """Writes a share in [0, 1] as per cent."""
    return f"{100 * share:.0f} %"


def _answer(probabilities: Mapping[str, float]) -> str:
    order = sorted(probabilities.items(), key=lambda pair: -pair[1])
    first, *others = (f"{shown_class(name)} ({value:.2f})" for name, value in order)
    return f"The most probable class is {first}{f', then {others[0]}' if others else ''}."
