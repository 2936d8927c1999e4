"""The protocol of cards: images on which something was chosen are never shown as a test.

`check_protocol` derives from the recipe and the calibration what must have been chosen on which split, and
compares it with what the metadata says and with where its metrics are listed.
"""

import dataclasses
import json

from semenet.errors import SemenetError
from semenet.evaluation.drawing.pages import number
from semenet.evaluation.measure.choices import OPERATING_POINTS, TEMPERATURE, chosen_by_training
from semenet.training.recipe import Recipe

_PROSE = ("summary", "intended_use", "not_for")


class ProtocolError(SemenetError):
    """A card that shows images on which something was chosen as if they were a test."""


def check_protocol(metadata, path):
    """Checks that metadata lists its metrics under the right kind of evidence.

    Args:
        metadata: dict, the content of metadata.json, valid by its schema.
        path: its path, for the message.

    Raises:
        ProtocolError: what was chosen on a split is not said, a split on which something was chosen is listed
            as a test or as another hospital, a cross-validation is of another recipe or has no inner split,
            or the prose quotes a value of validation.
    """
    for split, names in _certainly_chosen(metadata).items():
        missing = [name for name in names if name not in metadata["chosen_on"].get(split, [])]
        if missing:
            raise ProtocolError(
                f"`chosen_on` must list everything that was chosen on a split. Received: {path}, where "
                f"{', '.join(missing)} of {split} is missing. Publish again with tools/zoo/publish.py."
            )
    validation = metadata["metrics"]["validation"]
    if not metadata["chosen_on"].get(validation["split"]):
        raise ProtocolError(
            "Validation is a split on which something was chosen, as `chosen_on` says. Received: "
            f"{path}, where nothing was chosen on {validation['split']}. List it in `held_out`."
        )
    of_choices = (metadata["training"], metadata["calibration"] or validation)
    chosen_with = {part["manifest_sha256"] for part in of_choices}
    for found in metadata["metrics"]["held_out"]:
        if found["kind"] == "test":
            _check_test(found, metadata, chosen_with, path)
        else:
            _check_cross_validation(found, metadata, path)
    for found in metadata["metrics"]["other_hospitals"]:
        if found["manifest_sha256"] in chosen_with:
            raise ProtocolError(
                "Another hospital is one that the network was neither trained nor chosen on. Received: "
                f"{path}, where {found['name']} is the manifest of the training. Remove it."
            )
    _check_prose(metadata, path)


def _certainly_chosen(metadata):
    """Returns what the recipe and the calibration chose on each split, whatever `chosen_on` says."""
    recipe = Recipe.from_json(json.dumps(metadata["training"]["recipe"]))
    found = {split: list(names) for split, names in chosen_by_training(recipe).items()}
    calibration = metadata["calibration"]
    if calibration is not None and calibration["manifest_sha256"] == metadata["training"]["manifest_sha256"]:
        found.setdefault(calibration["split"], []).extend([TEMPERATURE, OPERATING_POINTS])
    return found


def _check_test(found, metadata, chosen_with, path):
    chosen = metadata["chosen_on"].get(found["split"])
    if found["manifest_sha256"] in chosen_with and chosen != []:
        raise ProtocolError(
            "A test is a split on which nothing was chosen. Received: "
            f"{path}, which lists the split {found['split']} as a test; chosen on it: "
            f"{', '.join(chosen or ['not stated'])}. List it as validation."
        )
    if found["figures"] == metadata["metrics"]["validation"]["figures"]:
        raise ProtocolError(
            "A test is of other images than validation. Received: "
            f"{path}, where all values of the test equal those of validation. Evaluate the test's images."
        )


def _check_cross_validation(found, metadata, path):
    trained, repeated = (
        Recipe.from_json(json.dumps(recipe)) for recipe in (metadata["training"]["recipe"], found["recipe"])
    )
    manifests = {found["manifest_sha256"], metadata["training"]["manifest_sha256"]}
    if dataclasses.replace(repeated, seed=trained.seed) != trained or len(manifests) > 1:
        raise ProtocolError(
            "A cross-validation must be of the recipe and the manifest of the network. "
            f"Received: {path}, whose cross-validation has others. Repeat it with those of the network."
        )


def _check_prose(metadata, path):
    """Refuses prose that quotes a value of validation, because there it has no label."""
    figures = metadata["metrics"]["validation"]["figures"]
    quoted = {number(figure["value"]) for figure in figures.values() if figure["value"] not in (None, 0, 1)}
    for key in _PROSE:
        found = sorted(value for value in quoted if value in metadata[key])
        if found:
            raise ProtocolError(
                "Values of validation stand only in their labelled table. Received: "
                f"{path}, whose `{key}` quotes {found[0]}. Remove it."
            )
