"""Renders the README.md that makes a folder of published weights a repository of the Hugging Face Hub."""

from collections.abc import Iterator, Sequence
from typing import Any

from semenet.evaluation.drawing.pages import render_page
from semenet.models.entries import find_entry
from semenet.models.weights.errors import MetadataError
from semenet.models.weights.listing.summaries import (
    input_size,
    other_hospitals,
    parameter_count,
    training_data,
    validation,
)
from semenet.models.weights.transfer.pushing import WRITTEN_BY

# The Hub's identifiers of the licences that published weights have had; others are named by license_name.
_HUB_LICENCES = {
    "Apache-2.0": "apache-2.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
    "CC0 1.0": "cc0-1.0",
    "MIT": "mit",
}
_REQUIRED_KEYS = ("entry", "name", "summary", "license", "data", "metrics")


def render_hub_readme(sets: Sequence[dict[str, Any]]) -> str:
    """Renders README.md with the Hub's YAML header: licence, tags, data sets and metrics.

    Args:
        sets: the content of metadata.json of each set in the repository.

    Returns:
        str, Markdown; equal metadata yields equal text.

    Raises:
        MetadataError: metadata of a set do not state what the header needs.
    """
    sets = sorted(sets, key=lambda metadata: (metadata.get("entry", ""), metadata.get("name", "")))
    for metadata in sets:
        if missing := [key for key in _REQUIRED_KEYS if key not in metadata]:
            raise MetadataError(
                "A set of weights can be pushed if its metadata.json states licence, data and metrics. "
                f"Received: metadata with the classes {metadata['network']['class_names']} without "
                f"{', '.join(missing)}. Publish the set with tools/zoo/publish.py."
            )
    licences = sorted({metadata["license"] for metadata in sets})
    tasks = {_task(metadata)["type"] for metadata in sets}
    return render_page(
        "hub_readme.md.j2",
        marker=WRITTEN_BY,
        licences=licences,
        licence=_HUB_LICENCES.get(licences[0]) if len(licences) == 1 else None,
        tags=["keras", "tensorflow", "medical", "chest-x-ray", "radiology", *sorted(tasks)],
        task=next(iter(tasks)) if len(tasks) == 1 else None,
        models=[_model(metadata) for metadata in sets],
        rows=[
            _cells(
                f"[`{metadata['entry']}:{metadata['name']}`]({metadata['entry']}/{metadata['name']}/card.md)",
                metadata["summary"],
                input_size(metadata),
                parameter_count(metadata),
                training_data(metadata),
                validation(metadata),
                other_hospitals(metadata),
                metadata["license"],
            )
            for metadata in sets
        ],
    )


def _cells(*cells: str) -> list[str]:
    return [cell.replace("|", r"\|").replace("\n", " ") for cell in cells]


def _task(metadata: dict[str, Any]) -> dict[str, str]:
    if find_entry(metadata["entry"]).segments:
        return {"type": "image-segmentation", "name": "Lung segmentation"}
    return {"type": "image-classification", "name": "Chest radiograph classification"}


def _model(metadata: dict[str, Any]) -> dict[str, Any]:
    """Returns a set's element of the header's `model-index`.

    huggingface-hub reads the results of all sets into one list, so each result names its set.
    """
    label = f"{metadata['entry']}:{metadata['name']}"
    results = [
        {
            "task": _task(metadata),
            "dataset": {"name": f"{label}, {name}", "type": "chest-radiographs", "split": split},
            "metrics": [
                {"type": key, "name": key.replace("_", " "), "value": round(found["value"], 4)}
                for key, found in measured["figures"].items()
                if "." not in key and found["value"] is not None
            ],
        }
        for name, split, measured in _evidence(metadata["metrics"])
    ]
    return {"name": label, "results": results}


def _evidence(metrics: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields the name of the images, their split, and what was measured on them."""
    measured = metrics["validation"]
    yield "validation (not a test)", measured["split"], measured
    for measured in metrics["held_out"]:
        yield "held-out images", measured.get("split", measured["kind"]), measured
    for measured in metrics["other_hospitals"]:
        yield f"other hospital: {measured['name']}", measured["split"], measured
