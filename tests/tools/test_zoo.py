"""Publishing weights and proving them: what tools/zoo/publish.py writes, tools/zoo/verify.py holds it to."""

import importlib
import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
from jax_process import jax_environment

import semenet
from semenet.evaluation.split_evaluation import evaluate
from semenet.models.entries import CATALOG
from semenet.models.weights import fetching
from semenet.models.weights.compact import halve_kernels
from semenet.models.weights.published import published_names
from semenet.storage.hashing import file_sha256
from semenet.training.run_folder.run import Run

ROOT = pathlib.Path(__file__).parents[2]
ABOUT = {
    "version": "1.0.0",
    "change": "First.",
    "summary": "A trial.",
    "intended_use": "Tests.",
    "not_for": "Anything else.",
    "cautions": ["It learnt nothing."],
    "license": "CC BY 4.0",
    "sources": [{"name": "phantoms", "url": "https://example.org", "license": "none"}],
    "cut": "Nearly all.",
    "also_chosen": [],
}


@pytest.fixture
def tools(tool):
    return tool("zoo/publish"), tool("zoo/verify")


def committed(run, folder):
    """A copy of a run that says it was trained at a commit, as nothing else is published."""
    copy = shutil.copytree(run, folder)
    record = json.loads((copy / "run.json").read_text())
    record["starts"][0]["commit"] = "a" * 40
    (copy / "run.json").write_text(json.dumps(record))
    return copy


@pytest.fixture
def publication(tools, phantoms, tmp_path, monkeypatch):
    """Function that publishes a run into a zoo of its own, with an index of its own."""
    (tmp_path / "about.json").write_text(json.dumps(ABOUT))
    index = tmp_path / "index.json"
    index.write_text("{}")
    monkeypatch.setattr(fetching, "INDEX", index)
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path / "zoo"))

    def publish(run, name, as_it_is=False, **more):
        arguments = {
            "run": run if as_it_is else committed(run, tmp_path / f"run_{name}"),
            "name": name,
            "manifest": phantoms,
            "about": tmp_path / "about.json",
            "out": tmp_path / "zoo",
            "index": index,
            **more,
        }
        return tools[0].publish(tools[0].Publication(**arguments))

    return publish


@pytest.mark.slow
def test_a_published_classifier_is_the_run_s_rounded_and_comes_with_its_figures(
    publication, tools, classifier_run, phantoms, tmp_path
):
    folder = publication(classifier_run, "trial")
    metadata = json.loads((folder / "metadata.json").read_text())
    expected = semenet.load_model(classifier_run)
    halve_kernels(expected)
    model = semenet.build("seme_resnet50", weights="trial")
    for mine, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert model.class_names == ("normal", "bacteria", "virus")
    # What the command line makes of the published weights is what the card says.
    figures = evaluate("seme_resnet50:trial", phantoms, "val", out=tmp_path / "again", resamples=200)
    card = (folder / "card.md").read_text()
    assert metadata["metrics"]["validation"]["figures"]["macro_auroc"]["value"] == pytest.approx(
        figures["macro_auroc"]
    )
    assert f"| Macro AUROC | {figures['macro_auroc']:.3f} (95 % interval" in card
    assert f"{metadata['audit']['verdict']}" in ("shortcut", "clean", "undecided")
    assert Run.open("seme_resnet50:trial").temperature == metadata["calibration"]["temperature"]
    assert 0 < metadata["metrics"]["validation"]["rounding"] < 0.01
    # No path of the machine that it was made on.
    assert str(tmp_path) not in (folder / "metadata.json").read_text()
    index = tmp_path / "index.json"
    assert json.loads(index.read_text()) == {"seme_resnet50/trial": file_sha256(folder / "metadata.json")}
    # On JAX test_the_zoo_of_this_checkout_holds verifies sets like this one.
    tools[1].verify_zoo(tmp_path / "zoo", ("tensorflow",), index)


def with_seed(run, folder, seed):
    """A copy of a run that says it had another seed."""
    copy = committed(run, folder)
    recipe = json.loads((copy / "recipe.json").read_text())
    (copy / "recipe.json").write_text(json.dumps(recipe | {"seed": seed}))
    return copy


@pytest.mark.slow
def test_figures_alone_are_published_with_those_of_other_seeds(publication, tools, classifier_run, tmp_path):
    repeat = with_seed(classifier_run, tmp_path / "repeat", 7)
    given = {"figures_only": True, "repeats": (repeat,), "answer_accuracy": 0.01}
    folder = publication(classifier_run, "figures", **given)
    assert sorted(path.name for path in folder.iterdir()) == ["card.md", "metadata.json"]
    metadata = json.loads((folder / "metadata.json").read_text())
    abstain = metadata["calibration"]["abstain"]
    assert (abstain["target_accuracy"], abstain["coverage"]) == (0.01, 1.0)
    accuracy = metadata["metrics"]["validation"]["figures"]["accuracy"]["value"]
    # The two are one network here, so that their figures are equal.
    seed = str(metadata["training"]["recipe"]["seed"])
    assert metadata["metrics"]["validation"]["by_seed"]["accuracy"] == {seed: accuracy, "7": accuracy}
    tools[1].verify_zoo(tmp_path / "zoo", index=tmp_path / "index.json")
    # Nothing is offered that cannot be had, and who asks for it is told what there is.
    assert json.loads((tmp_path / "index.json").read_text()) == {}
    assert "figures" not in published_names("seme_resnet50")
    with pytest.raises(ValueError, match=r"resnet50:figures, for which the zoo has only a card .*card\.md"):
        semenet.build("seme_resnet50", weights="figures")
    with pytest.raises(ValueError, match="only a card with metrics"):
        Run.open("seme_resnet50:figures")
    # A card with weights is none with figures alone.
    (folder / "model.weights.h5").write_bytes(b"")
    with pytest.raises(ValueError, match="list every file"):
        tools[1].verify_zoo(tmp_path / "zoo", index=tmp_path / "index.json")


@pytest.mark.slow
def test_a_repeat_differs_in_its_seed_alone(publication, classifier_run, unet_run, tmp_path):
    with pytest.raises(ValueError, match=r"A repeat must be finished .* Received: .*unet"):
        publication(classifier_run, "a", figures_only=True, repeats=(committed(unet_run, tmp_path / "unet"),))
    twice = committed(classifier_run, tmp_path / "twice")
    with pytest.raises(ValueError, match="another seed"):
        publication(classifier_run, "b", figures_only=True, repeats=(twice,))
    assert not (tmp_path / "zoo" / "seme_resnet50" / "b").exists()


def test_the_card_has_mean_and_deviation_over_the_seeds(tools):
    """By hand: the mean of 0.8, 0.9 and 0.7 is 0.8, their deviation with n - 1 is 0.1."""
    path = ROOT / "zoo" / "seme_resnet50" / "dataset1" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["metrics"]["validation"]["by_seed"] = {
        "accuracy": {"0": 0.8, "1": 0.9, "2": 0.7},
        "macro_auroc": {"0": 0.9, "1": None, "2": 0.9},
    }
    card = tools[1].render_zoo_card(metadata)
    assert (
        "| metric | mean ± sd (n - 1) | seed 0 | seed 1 | seed 2 |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| Accuracy | 0.800 ± 0.100 | 0.800 | 0.900 | 0.700 |\n"
        "| Macro AUROC | undefined | 0.900 | undefined | 0.900 |\n" in card
    )


def published_metadata():
    path = ROOT / "zoo" / "seme_resnet50" / "dataset1" / "metadata.json"
    return json.loads(path.read_text(encoding="utf-8"))


def as_test(metadata, **changes):
    """The metadata, which also lists the values of validation as those of a test."""
    keys = ("split", "count", "patients", "manifest_sha256", "method", "figures")
    own = {key: metadata["metrics"]["validation"][key] for key in keys}
    metadata["metrics"]["held_out"] = [{"kind": "test"} | own | changes]


def as_hospital(metadata):
    as_test(metadata)
    (found,) = metadata["metrics"].pop("held_out")
    found.pop("kind")
    metadata["metrics"] |= {"held_out": [], "other_hospitals": [{"name": "elsewhere"} | found]}


def as_cross_validation(metadata, **changes):
    as_test(metadata)
    (found,) = metadata["metrics"]["held_out"]
    found.pop("split")
    recipe = metadata["training"]["recipe"] | changes
    settings = {"kind": "cross-validation", "by": "patient", "folds": 5, "recipe": recipe, "val_share": 0.15}
    metadata["metrics"]["held_out"] = [found | settings]


LIES = {
    "val as a test": ("lists the split val as a test; chosen on it: best epoch, temperature", as_test),
    "a test split that is not stated": (
        "chosen on it: not stated",
        lambda metadata: as_test(metadata, split="test"),
    ),
    "val as a test of another manifest": (
        "all values of the test equal those of validation",
        lambda metadata: as_test(metadata, manifest_sha256="0" * 64),
    ),
    "the temperature is concealed": (
        "where temperature of val is missing",
        lambda metadata: metadata["chosen_on"]["val"].remove("temperature"),
    ),
    "the epoch is concealed": (
        "where best epoch of val is missing",
        lambda metadata: metadata["chosen_on"]["val"].remove("best epoch"),
    ),
    "the training's manifest as another hospital": ("elsewhere is the manifest of the training", as_hospital),
    "the cross-validation of another recipe": (
        "whose cross-validation has others",
        lambda metadata: as_cross_validation(metadata, learning_rate=0.5),
    ),
    "validation quoted without its label": (
        "whose `summary` quotes 0.871",
        lambda metadata: metadata.update(summary="Classifies with an accuracy of 0.871."),
    ),
}


@pytest.mark.parametrize("what", LIES)
def test_a_card_that_shows_validation_as_a_test_is_refused(tools, tmp_path, what):
    """The hashes and the card are made to fit, so that the lie alone is found."""
    message, lie = LIES[what]
    folder = shutil.copytree(ROOT / "zoo" / "seme_resnet50" / "dataset1", tmp_path / "seme_resnet50" / "lie")
    metadata = published_metadata()
    lie(metadata)
    (folder / "metadata.json").write_text(json.dumps(metadata))
    (folder / "card.md").write_text(tools[1].render_zoo_card(metadata))
    with pytest.raises(ValueError, match=message):
        tools[1].verify_entry(folder, None)


def test_an_honest_test_and_an_honest_cross_validation_are_shown_beside_validation(tools):
    metadata = published_metadata()
    as_cross_validation(metadata, seed=7)
    figures = metadata["metrics"]["validation"]["figures"]
    metadata["chosen_on"]["test"] = []
    lower = {name: figure | {"value": 0.5, "interval": [0.4, 0.6]} for name, figure in figures.items()}
    (cross_validation,) = metadata["metrics"]["held_out"]
    as_test(metadata, split="test", count=99, figures=lower)
    metadata["metrics"]["held_out"].append(cross_validation)
    tools[1].check_protocol(metadata, "metadata.json")
    card = tools[1].render_zoo_card(metadata)
    assert "nothing was chosen on it: split test | 99 | 245 | 0.500 (95 % interval 0.400 to 0.600)" in card
    assert "cross-validation by patient, 5 folds | 363 |" in card
    assert "| Other hospitals | not measured |" in card
    assert "Validation, not a test; chosen on it: best epoch, temperature, operating points, preset" in card


@pytest.mark.parametrize("path", sorted(ROOT.glob("zoo/*/*/metadata.json")), ids=lambda path: path.parts[-3])
def test_every_published_card_keeps_the_protocol(tools, path):
    metadata = json.loads(path.read_text(encoding="utf-8"))
    tools[1].check_protocol(metadata, path)
    card = path.with_name("card.md").read_text(encoding="utf-8")
    assert card == tools[1].render_zoo_card(metadata)
    assert "### Validation (not a test)" in card
    measured = bool(metadata["metrics"]["held_out"])
    assert ("nothing was chosen on it | not measured" in card) != measured


@pytest.fixture(scope="module")
def published_unet(unet_run, phantoms, tmp_path_factory):
    """A zoo with one U-Net that has been verified, and its index."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools" / "zoo")
        tool = importlib.import_module("publish")
        folder = tmp_path_factory.mktemp("published")
        (folder / "about.json").write_text(json.dumps(ABOUT))
        (folder / "index.json").write_text("{}")
        keras.config.set_dtype_policy("float32")
        tool.publish(
            tool.Publication(
                run=committed(unet_run, folder / "run"),
                name="lung",
                manifest=phantoms,
                about=folder / "about.json",
                out=folder / "zoo",
                index=folder / "index.json",
            )
        )
        importlib.import_module("verify").verify_zoo(folder / "zoo", ("tensorflow",), folder / "index.json")
        return folder


@pytest.mark.slow
def test_a_later_version_keeps_the_earlier_changes(publication, published_unet, unet_run, tmp_path):
    shutil.copytree(published_unet / "zoo", tmp_path / "zoo")
    (tmp_path / "about.json").write_text(json.dumps(ABOUT | {"version": "1.1.0", "change": "Better."}))
    folder = publication(unet_run, "lung")
    assert folder == tmp_path / "zoo" / "unet" / "lung"
    changelog = json.loads((folder / "metadata.json").read_text())["changelog"]
    assert changelog == {"1.0.0": "First.", "1.1.0": "Better."}


BREAKS = {
    "another byte of weights": (
        "hash of their metadata",
        lambda unet: flip(unet, "model_00000.weights.h5"),
    ),
    "another golden output": ("hash of their metadata", lambda unet: flip(unet, "golden.npz")),
    "a card edited by hand": ("equal the rendered metadata", lambda unet: append(unet / "card.md", "Fine.")),
    "metadata edited by hand": (
        "match the package's index",
        lambda unet: append(unet / "metadata.json", " "),
    ),
    "an unlisted file": ("list every file", lambda unet: append(unet / "notes.txt", "x")),
    "no set": ("index must list the sets", shutil.rmtree),
}


def flip(folder, name):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))


def append(path, text):
    path.write_text((path.read_text() if path.exists() else "") + text)


@pytest.mark.slow
@pytest.mark.parametrize("what", BREAKS)
def test_what_does_not_hold_is_named(published_unet, tools, tmp_path, what):
    message, spoil = BREAKS[what]
    zoo = shutil.copytree(published_unet / "zoo", tmp_path / "zoo")
    spoil(zoo / "unet" / "lung")
    with pytest.raises(ValueError, match=message):
        tools[1].verify_zoo(zoo, ("tensorflow",), published_unet / "index.json")


@pytest.mark.slow
def test_another_network_s_weights_do_not_give_the_golden_output(published_unet, tools, tmp_path):
    """Hashes that were made to fit do not hide that the network is another."""
    folder = shutil.copytree(published_unet / "zoo" / "unet" / "lung", tmp_path / "unet" / "lung")
    with np.load(folder / "golden.npz") as golden:
        np.savez_compressed(folder / "golden.npz", output=golden["output"] + 0.1)
    metadata = json.loads((folder / "metadata.json").read_text())
    size = (folder / "golden.npz").stat().st_size
    metadata["files"]["golden.npz"] = {"sha256": file_sha256(folder / "golden.npz"), "bytes": size}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    (folder / "card.md").write_text(tools[1].render_zoo_card(metadata))
    with pytest.raises(ValueError, match="differ from the reference"):
        tools[1].verify_entry(folder, None)


def test_a_command_is_given_as_on_another_machine(tool):
    command = "src/recipes/unet.py --manifest /data/lung/manifest.csv --out /root/a/b --cache 'x y'"
    expected = "python recipes/unet.py --manifest lung/manifest.csv --out b --cache 'x y'"
    assert tool("zoo/metadata").portable(command) == expected


@pytest.mark.slow
def test_a_run_of_no_commit_is_not_published(publication, unet_run, phantoms, tools, tmp_path):
    (tmp_path / "about.json").write_text(json.dumps({"version": "1.0.0"}))
    with pytest.raises(ValueError, match="about.json must .* without change"):
        publication(unet_run, "a")
    (tmp_path / "about.json").write_text(json.dumps(ABOUT))
    loose = committed(unet_run, tmp_path / "loose")
    record = json.loads((loose / "run.json").read_text())
    record["starts"][0]["commit"] = "a" * 40 + "+"
    (loose / "run.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="only if their code is committed"):
        publication(loose, "b", as_it_is=True)
    assert not (tmp_path / "zoo" / "unet" / "b").exists()


def test_every_entry_has_a_card_and_every_card_is_listed():
    cards = {path.relative_to(ROOT / "zoo") for path in ROOT.glob("zoo/*/*/card.md")}
    assert {path.parts[0] for path in cards} == set(CATALOG)
    page = (ROOT / "zoo" / "README.md").read_text(encoding="utf-8")
    assert [str(path) for path in sorted(cards) if f"]({path})" not in page] == []


@pytest.mark.slow
def test_the_zoo_of_this_checkout_holds(tools, monkeypatch):
    """Every published set, on TensorFlow and on JAX."""
    monkeypatch.setenv("XLA_FLAGS", jax_environment()["XLA_FLAGS"])
    tools[1].verify_zoo(ROOT / "zoo")
