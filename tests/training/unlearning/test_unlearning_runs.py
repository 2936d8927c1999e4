"""Whole runs that unlearn: what they write, what the saved network is, and how they resume."""

import json

import numpy as np
import pandas as pd
import pytest

import semenet
from semenet.data.manifest.table import ManifestError, read_manifest, write_manifest
from semenet.errors import SemenetError
from semenet.training.loop.checkpoint_callback import CheckpointCallback
from semenet.training.loop.fit import train
from semenet.training.options import RunOptions
from semenet.training.recipe import Recipe, RecipeError
from semenet.training.run_folder.record import RunFolderError

EVERYTHING = {
    "group_by": ("label", "marker"),
    "dro_step": 0.1,
    "dro_adjustment": 1.0,
    "unlearn": "marker",
    "unlearn_within": "label",
    "lung_attention_weight": 0.5,
}
OPTIONS = RunOptions(deterministic=True, checkpoint_every=2)


@pytest.fixture(scope="module")
def unlearning_run(phantoms, tiny_recipe, tmp_path_factory):
    recipe = tiny_recipe("vgg19_gap", input_size=64, ema=0.9, **EVERYTHING)
    return train(recipe, phantoms, tmp_path_factory.mktemp("unlearning") / "run", options=OPTIONS)


def test_a_run_records_its_groups(unlearning_run, phantoms):
    rows = read_manifest(phantoms).split("train")
    groups = unlearning_run.record["groups"]
    expected = (rows["label"] + "/" + rows["marker"]).value_counts().to_dict()
    assert {name: group["images"] for name, group in groups.items()} == expected
    weights = {name: group["weight"] for name, group in groups.items()}
    assert sum(weights.values()) == pytest.approx(1, abs=1e-5)
    last = unlearning_run.history.iloc[-1]
    for name, weight in weights.items():
        assert last[f"group_weight {name}"] == pytest.approx(weight)
        assert last[f"group_loss {name}"] > 0
    assert 0 <= last["source_accuracy"] <= 1
    assert 0 < last["attention_outside_lungs"] < 1
    assert max(weights, key=weights.get) != min(weights, key=weights.get)


def test_the_saved_network_is_the_plain_one(unlearning_run, tiny_recipe):
    network = semenet.load_model(unlearning_run.path)
    plain = semenet.build(
        "vgg19_gap", classes=network.class_names, input_shape=(64, 64, 1), width=0.125, depth=0.01
    )
    assert type(network) is type(plain)
    assert [layer.name for layer in network.layers] == [layer.name for layer in plain.layers]
    assert [weight.path for weight in network.weights] == [weight.path for weight in plain.weights]
    mine, theirs = ([json.dumps(layer.get_config()) for layer in net.layers[1:]] for net in (network, plain))
    assert mine == theirs


class KilledError(Exception):
    pass


def test_a_killed_run_ends_with_the_same_bits(unlearning_run, phantoms, tmp_path, monkeypatch):
    out = tmp_path / "killed"
    original = CheckpointCallback.on_train_batch_end

    def die(self, batch, logs=None):
        original(self, batch, logs)
        if (self.epoch, self.step) == (1, 3):
            raise KilledError

    monkeypatch.setattr(CheckpointCallback, "on_train_batch_end", die)
    with pytest.raises(KilledError):
        train(unlearning_run.recipe, phantoms, out, options=OPTIONS)
    monkeypatch.setattr(CheckpointCallback, "on_train_batch_end", original)
    resumed = train(unlearning_run.recipe, phantoms, out, options=OPTIONS)
    assert (out / "history.csv").read_text() == (unlearning_run.path / "history.csv").read_text()
    assert resumed.record["groups"] == unlearning_run.record["groups"]
    files = [folder / "checkpoints" / "last.npz" for folder in (out, unlearning_run.path)]
    with np.load(files[0]) as mine, np.load(files[1]) as theirs:
        assert set(mine.files) == set(theirs.files)
        for name in set(theirs.files) - {"progress"}:
            np.testing.assert_array_equal(mine[name], theirs[name])


def test_resuming_with_another_source_of_an_image_raises(unlearning_run, phantoms, tmp_path):
    rows = read_manifest(phantoms).rows
    rows["file"], rows["mask"] = rows["path"], rows["mask_path"]
    train_rows = rows.index[rows["split"] == "train"]
    rows.loc[train_rows[0], "marker"] = "X"
    changed = tmp_path / "changed.csv"
    write_manifest(rows, changed)
    record = json.loads((unlearning_run.path / "run.json").read_text())
    assert len(record["columns_sha256"]) == 64
    with pytest.raises(RunFolderError, match="other values in the columns of --group-by"):
        train(unlearning_run.recipe, changed, unlearning_run.path)


def test_columns_and_masks_that_are_missing_raise_before_a_folder_is_made(phantoms, tiny_recipe, tmp_path):
    rows = pd.read_csv(phantoms, dtype=str, keep_default_na=False)
    rows["file"] = [str(phantoms.parent / file) for file in rows["file"]]
    bare = tmp_path / "bare.csv"
    write_manifest(rows.drop(columns=["mask", "lesion_mask", "marker"]), bare)
    recipe = tiny_recipe("resnet50_gap", group_by=("label", "marker"), dro_step=0.1)
    with pytest.raises(ManifestError, match="--group-by must name a column .* 'marker' for .*bare.csv"):
        train(recipe, bare, tmp_path / "run")
    with pytest.raises(SemenetError, match="attention to lungs.* need a lung mask for every row"):
        train(tiny_recipe("resnet50_gap", lung_attention_weight=1.0), bare, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("entry", "changes", "message"),
    [
        ("resnet50_gap", {"group_by": ("label",)}, "`dro_step` must be 0 or more, and positive exactly with"),
        ("resnet50_gap", {"dro_step": 0.1}, "`dro_step` must be 0 or more, and positive exactly with"),
        ("resnet50_gap", {"dro_step": -0.1, "group_by": ("label",)}, "`dro_step` must be 0 or more"),
        ("resnet50_gap", {"dro_adjustment": 1.0}, "`dro_adjustment` must be 0 or more, and needs --dro-step"),
        ("resnet50_gap", {"dro_step": 0.1, "group_by": ("a", "a")}, "`group_by` must be distinct"),
        (
            "resnet50_gap",
            {"dro_step": 0.1, "group_by": ("a",), "class_weights": "balanced"},
            "`class_weights` .*--dro-step and --balance",
        ),
        ("resnet50_gap", {"unlearn_weight": 2.0}, "`unlearn_weight` must be positive, and needs --unlearn"),
        ("resnet50_gap", {"unlearn": "a", "unlearn_weight": 0.0}, "`unlearn_weight` must be positive"),
        ("resnet50_gap", {"unlearn_within": "label"}, "`unlearn_within` must be .* needs"),
        ("resnet50_gap", {"unlearn": "a", "unlearn_within": "a"}, "`unlearn_within` must be .* another"),
        ("resnet50", {"lung_attention_weight": 1.0}, "only for networks with global average pooling"),
        ("unet", {"classes": ("lung",), "unlearn": "source"}, "`unlearn` must be .* networks that classify"),
    ],
)
def test_settings_that_do_not_fit_raise(entry, changes, message):
    with pytest.raises(RecipeError, match=message):
        Recipe(entry, **{"monitor": "val_loss"} | changes)


def test_recipes_of_earlier_versions_unlearn_nothing():
    text = Recipe("resnet50_gap").to_json()
    values = json.loads(text)
    for name in (*EVERYTHING, "unlearn_weight"):
        del values[name]
    earlier = Recipe.from_json(json.dumps(values))
    assert earlier == Recipe("resnet50_gap")
    assert not earlier.unlearns
    recipe = Recipe("resnet50_gap", **EVERYTHING)
    assert recipe.unlearns
    assert Recipe.from_json(recipe.to_json()) == recipe
