"""What was chosen on which split, as told by the recipe and the calibration of a run."""

import dataclasses
import types

import pandas as pd
import pytest

from semenet.evaluation.measure.choices import choices, chosen_by_training, describe_evidence, evidence_kind
from semenet.training.recipe import find_recipe

RECIPE = find_recipe("seme_resnet50")
MANIFEST = types.SimpleNamespace(sha256="own", rows=pd.DataFrame({"split": ["train", "val", "test"]}))
OTHER = types.SimpleNamespace(sha256="other", rows=pd.DataFrame({"split": ["val"]}))


def run(calibrated_on=None, recipe=RECIPE, record=None, published=None):
    return types.SimpleNamespace(
        recipe=recipe,
        record={"manifest_sha256": "own"} if record is None else record,
        published=published,
        calibration=calibrated_on and {"split": calibrated_on, "manifest_sha256": "own"},
    )


def test_the_epoch_is_chosen_on_val_and_the_temperature_where_it_was_calibrated():
    assert choices(run(), MANIFEST) == {"test": [], "train": ["weights"], "val": ["best epoch"]}
    assert choices(run("val"), MANIFEST)["val"] == ["best epoch", "temperature", "operating points"]
    assert choices(run("test"), MANIFEST)["test"] == ["temperature", "operating points"]


def test_an_epoch_that_is_chosen_by_the_loss_of_training_is_not_chosen_on_val():
    recipe = dataclasses.replace(RECIPE, monitor="loss")
    assert chosen_by_training(recipe) == {"train": ["weights", "best epoch"], "val": []}
    assert evidence_kind(run(recipe=recipe), MANIFEST, "val") == "held-out"


def test_published_weights_say_what_else_was_chosen():
    metadata = {"chosen_on": {"train": ["weights"], "val": ["best epoch", "preset"]}}
    published = types.SimpleNamespace(metadata=metadata)
    assert choices(run(published=published), MANIFEST)["val"] == ["best epoch", "preset"]
    assert metadata["chosen_on"]["val"] == ["best epoch", "preset"]


KINDS = {
    ("train", "training"): (run(), MANIFEST),
    ("val", "validation"): (run(), MANIFEST),
    ("test", "held-out"): (run(), MANIFEST),
    ("test", "validation"): (run("test"), MANIFEST),
    ("val", "other manifest"): (run("val"), OTHER),
    ("val", "unknown"): (run(record={}), MANIFEST),
}


@pytest.mark.parametrize(("split", "kind"), KINDS)
def test_the_kind_of_evidence_follows_from_what_was_chosen(split, kind):
    assert evidence_kind(*KINDS[split, kind], split) == kind


def test_validation_is_described_with_what_was_chosen():
    words = describe_evidence("validation", ["best epoch", "temperature", "operating points"])
    expected = "best epoch, temperature and operating points were chosen on this split."
    assert words == f"Validation, not a test: {expected}"
    assert describe_evidence("validation", ["best epoch"]).endswith("best epoch was chosen on this split.")
