"""Publishes a run's weights: zoo/<entry>/<name>/ with metadata.json, card.md, golden.npz and weights.

Usage: python tools/zoo/publish.py RUN --name lung --manifest CSV --about about.json [--lungs unet:lung]
           [--figures-only] [--repeats RUN ...]

The kernels are first rounded to float16. The rounded network, which is the published one, is calibrated,
evaluated and audited on --split. about.json holds the information that no other file has: version, change (in
this version), summary, intended_use, not_for, cautions, license, sources (name, url, license), cut (what was
reduced of the paper's size) and also_chosen (a list of what was chosen on --split beside the best epoch, the
temperature and the operating points, such as "preset"). The changelog of an earlier version in the same
folder is kept. A killed process leaves no incomplete entry.

The metrics of --split are published as validation. Held-out images (--test-split, --cross-validation) and
other hospitals (--hospitals) stand beside them in the card, which says "not measured" where they are missing.
verify.py refuses a card that shows a split on which something was chosen as a test.

--figures-only publishes metadata.json and card.md without weights; nothing is rounded then. --repeats takes
runs that differ only in their seed. They are evaluated too, and the card shows each, their mean and their
standard deviation.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
from typing import Annotated

import keras
import numpy as np
import tyro
from golden import LABELS, SEED, TOLERANCE, digest, golden_input, golden_output
from metadata import by_seed, copy_run, describe, largest_change, same_but_for_its_seed
from verify import verify_entry

from semenet.cli.recipe import report_errors
from semenet.errors import SemenetError
from semenet.evaluation.report.zoo_card import render_zoo_card
from semenet.models.weights.compact import write_compact
from semenet.models.weights.described_set import read_published
from semenet.models.weights.fetching import INDEX
from semenet.models.weights.places import METADATA
from semenet.storage.hashing import file_sha256
from semenet.training.run_folder.run import Run

GOLDEN = "golden.npz"
_ABOUT = (
    *("version", "change", "summary", "intended_use", "not_for", "cautions", "license", "sources", "cut"),
    "also_chosen",
)


@dataclasses.dataclass(frozen=True)
class Publication:
    """Publishes a run's weights."""

    run: Annotated[pathlib.Path, tyro.conf.Positional]
    """Run folder of a finished training."""
    name: str
    """Name of the weights, such as dataset1."""
    manifest: pathlib.Path
    """The manifest it was trained with."""
    about: pathlib.Path
    """JSON with the information that no other file has."""
    split: str = "val"
    """The split for calibration, validation and audit."""
    test_split: str | None = None
    """A split of the manifest on which nothing was chosen, published as a test."""
    cross_validation: pathlib.Path | None = None
    """Folder of `semenet cross-validate` with the same recipe and manifest."""
    hospitals: tuple[pathlib.Path, ...] = ()
    """Manifests of other hospitals."""
    hospital_split: str = "val"
    """The split of these manifests that is evaluated."""
    lungs: str | None = None
    """Run or published weights of a U-Net, for the audit and for a network that is fed the lungs alone. None:
    the manifest's masks; without masks the network is published without an audit."""
    batch_size: int = 16
    """Images per step."""
    answer_accuracy: float = 0.95
    """Accuracy among the answered images of --split that the confidence for an answer is chosen for."""
    figures_only: bool = False
    """Publish the card without weights."""
    repeats: tuple[pathlib.Path, ...] = ()
    """Run folders of the same recipe and manifest with other seeds."""
    out: pathlib.Path = pathlib.Path("zoo")
    """The zoo's folder."""
    index: pathlib.Path = INDEX
    """JSON file of the package with the hash of each metadata.json."""


def main(arguments=None):
    """Publishes the weights and verifies the written files."""
    with report_errors():
        publish(tyro.cli(Publication, args=arguments, description=__doc__))


def publish(publication):
    """Writes the entry's folder and its line in the index; returns the folder."""
    about = json.loads(publication.about.read_text(encoding="utf-8"))
    if missing := [key for key in _ABOUT if key not in about]:
        raise SemenetError(
            f"about.json must have the keys {', '.join(_ABOUT)}. "
            f"Received: {publication.about} without {', '.join(missing)}."
        )
    run = Run.open(publication.run)
    if run.record.get("status") != "finished":
        raise SemenetError(
            f"Weights are published only after training has finished. Received: {publication.run}."
        )
    commit = run.record["starts"][0]["commit"]
    if (commit or "").endswith("+"):
        raise SemenetError(
            "Weights are published only if their code is committed, so that the command on the card trains "
            f"them again. Received: {publication.run}, trained at commit {commit}, where + stands for "
            "changes that are not committed. Train from a clean clone."
        )
    repeats = [same_but_for_its_seed(Run.open(path), run) for path in publication.repeats]
    target = publication.out / run.recipe.entry / publication.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{publication.name}.", dir=target.parent) as temporary:
        work = pathlib.Path(temporary)
        copy = copy_run(run, work / "run", rounded=not publication.figures_only)
        metadata = describe(publication, about, run, copy, work)
        if repeats:
            metadata["metrics"]["validation"]["by_seed"] = by_seed(publication, metadata, run, repeats, work)
        folder = work / publication.name
        folder.mkdir()
        if publication.figures_only:
            write_metadata(metadata | {"weights": None, "files": {}, "golden": None}, folder)
        else:
            metadata["metrics"]["validation"]["rounding"] = largest_change(run, copy, publication)
            write_entry(metadata, copy.model, folder)
        verify_entry(folder, metadata_sha256=None)
        if target.exists():
            shutil.rmtree(target)
        os.replace(folder, target)
    index = json.loads(publication.index.read_text(encoding="utf-8"))
    # The index lists what can be downloaded, so sets without weights are not in it.
    index.pop(f"{run.recipe.entry}/{publication.name}", None)
    if not publication.figures_only:
        index[f"{run.recipe.entry}/{publication.name}"] = file_sha256(target / METADATA)
    publication.index.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(target)
    return target


def write_entry(metadata, model, folder):
    """Writes weights, golden output, metadata.json and card.md into a folder."""
    files = write_compact(model, folder)
    metadata |= {"weights": files[0].name, "files": {}, "golden": {}}
    _add_files(metadata, files)
    (folder / METADATA).write_text(json.dumps(metadata))
    images = golden_input(read_published(folder / METADATA))
    np.savez_compressed(folder / GOLDEN, output=golden_output(model, images))
    _add_files(metadata, [folder / GOLDEN])
    metadata["golden"] = {
        "input": {"labels": list(LABELS), "seed": SEED, "sha256": digest(images)},
        "file": GOLDEN,
        "tolerance": TOLERANCE,
    }
    write_metadata(metadata, folder)


def write_metadata(metadata, folder):
    """Writes metadata.json and the card, which is rendered from it."""
    (folder / METADATA).write_text(
        json.dumps(metadata, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "card.md").write_text(render_zoo_card(metadata), encoding="utf-8")


def _add_files(metadata, files):
    for file in files:
        metadata["files"][file.name] = {"sha256": file_sha256(file), "bytes": file.stat().st_size}


if __name__ == "__main__":
    keras.config.set_dtype_policy("float32")
    main()
