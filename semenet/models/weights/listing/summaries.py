"""What the lists of published weights say about a set, from its metadata.json alone."""

from collections.abc import Iterator
from typing import Any

NOT_MEASURED = "not measured"
# The metric that a list shows, the first that was measured.
_HEADLINES = {
    "macro_auroc": "AUROC",
    "dice": "Dice",
    "mean_iou": "mean IoU",
    "accuracy": "accuracy",
}


def input_size(metadata: dict[str, Any]) -> str:
    """Returns height, width and channels of the network's input, such as "256 x 256 x 1"."""
    return " x ".join("any" if side is None else str(side) for side in metadata["network"]["input_shape"])


def parameter_count(metadata: dict[str, Any]) -> str:
    """Returns the number of the network's parameters, such as "1,290,065"."""
    count = metadata["network"].get("parameters")
    return "not stated" if count is None else f"{count:,}"


def training_data(metadata: dict[str, Any]) -> str:
    """Returns how many images of how many patients the network was trained on, and from which data sets."""
    data = metadata.get("data")
    if data is None:
        return "not stated"
    train = data["splits"]["train"]
    sources = "; ".join(source["name"] for source in data["sources"])
    return f"{train['images']:,} images of {train['patients']:,} patients: {sources}"


def validation(metadata: dict[str, Any]) -> str:
    """Returns the main metric on validation, which is not a test."""
    measured = metadata.get("metrics", {}).get("validation")
    return NOT_MEASURED if measured is None else _headline(measured)


def other_hospitals(metadata: dict[str, Any]) -> str:
    """Returns the main metric in every hospital that took no part in the training, or "not measured"."""
    hospitals = metadata.get("metrics", {}).get("other_hospitals", [])
    return "; ".join(f"{one['name']}: {_headline(one)}" for one in hospitals) or NOT_MEASURED


def audit_verdict(metadata: dict[str, Any]) -> str:
    """Returns the verdict of the audit: whether the label can be predicted without the lungs."""
    audit = metadata.get("audit")
    return NOT_MEASURED if audit is None else audit["verdict"]


def description_lines(metadata: dict[str, Any]) -> Iterator[str]:
    """Yields the lines that a list shows below the name of a set."""
    network = f"input {input_size(metadata)}, {parameter_count(metadata)} parameters"
    yield f"{network}, classes {', '.join(metadata['network']['class_names'])}"
    yield f"trained on {training_data(metadata)}"
    yield f"validation (not a test): {validation(metadata)}; audit: {audit_verdict(metadata)}"
    yield f"other hospitals: {other_hospitals(metadata)}"


def _headline(measured: dict[str, Any]) -> str:
    figures = measured["figures"]
    name = next((name for name in _HEADLINES if name in figures), next(iter(figures)))
    title = _HEADLINES.get(name, name)
    value, interval = figures[name]["value"], figures[name]["interval"]
    text = "undefined" if value is None else f"{value:.3f}"
    if interval and None not in interval:
        text += f" ({interval[0]:.3f} to {interval[1]:.3f})"
    return f"{title} {text}, {measured['count']} images"
