"""Runs everything on synthetic radiographs: from a folder of images to a served prediction.

Usage: python tools/demo.py [--out FOLDER]

Generates phantoms, trains a small SEME-ResNet50, evaluates it on held-out patients, explains and exports it,
predicts with the export, and writes a page on held-back phantoms for a person to open. Metrics on phantoms
show that the software works; they say nothing about patients.
"""

import contextlib
import pathlib
import shutil
import sys
import time

import tyro

import semenet
from semenet.cli.tensorflow_import import import_tensorflow, without_startup_messages

MINE = {"phantoms", "run", "audit", "evaluation", "maps", "savedmodel", "findings.html"}
# Images of held-out patients on the page.
SHOWN = 12


def main(
    out: pathlib.Path = pathlib.Path("demo"),
    count: int = 480,
    size: int = 96,
    epochs: int = 10,
    seed: int = 5,
) -> None:
    """Runs the demo.

    Args:
        out: Folder to write into; the files of an earlier demo are replaced.
        count: Number of synthetic radiographs.
        size: Height and width in pixels.
        epochs: Training epochs.
        seed: Seed of the images and the training.
    """
    clear(out)
    with step("Generating synthetic radiographs"):
        from semenet.data.phantom.dataset import write_phantoms

        manifest = write_phantoms(out / "phantoms", count=count, size=size, seed=seed)
    with step("Training a small seme_resnet50"):
        import dataclasses

        import_tensorflow(training=True)

        from semenet.training.loop.fit import train
        from semenet.training.recipe import find_recipe

        recipe = dataclasses.replace(
            find_recipe("seme_resnet50"),
            input_size=size,
            width=0.25,
            depth=0.34,
            epochs=epochs,
            learning_rate=0.03,
            schedule="cosine",
            seed=seed,
        )
        train(recipe, manifest, out / "run")
    with step("Calibrating it on the validation patients"):
        from semenet.evaluation.measure.calibration import calibrate

        calibrate(out / "run", manifest, "val")
    with step("Auditing it: can it predict without the lungs?"):
        from semenet.evaluation.shortcut_audit.classifier_audit import audit

        audited = audit(out / "run", manifest, "test", out=out / "audit")
    with step("Evaluating it on the test patients"):
        from semenet.evaluation.report.result_lines import evaluation_lines
        from semenet.evaluation.split_evaluation import evaluate

        figures = evaluate(out / "run", manifest, "test", out=out / "evaluation", audit=out / "audit")
    with step("Explaining its predictions"):
        from semenet.evaluation.explanation.explanations import explain

        files = semenet.read_manifest(manifest).split("test")["file"]
        held_out = [out / "phantoms" / file for file in files]
        images = held_out[:6]
        explain(out / "run", images, out=out / "maps")
    with step("Exporting a SavedModel"):
        from semenet.serving.exports.saved_model import export

        export(out / "run", out / "savedmodel")
    with step("Predicting with the export and TensorFlow alone"), without_startup_messages():
        import tensorflow as tf

        served = tf.saved_model.load(str(out / "savedmodel")).signatures["serving_default"]
        answer = served(image_bytes=tf.constant([image.read_bytes() for image in images]))
    for image, names, values in zip(
        images, answer["class_names"].numpy(), answer["probabilities"].numpy(), strict=True
    ):
        shares = "  ".join(f"{name.decode()} {value:.3f}" for name, value in zip(names, values, strict=True))
        print(f"  {image.name}  {shares}")
    with step("Looking at held-back phantoms"):
        page = out / "findings.html"
        shown = semenet.look(held_out[:SHOWN], out / "run", page)
    print(
        f"\nAudit: {audited['verdict']}. Report: {(out / 'evaluation' / 'report.html').resolve()}\n"
        f"Heat maps: {(out / 'maps').resolve()}  SavedModel: {(out / 'savedmodel').resolve()}"
    )
    print("\n".join(evaluation_lines(figures)))
    print(f"Open this page, which shows {len(shown)} held-back phantoms: {page.resolve()}")


@contextlib.contextmanager
def step(title):
    """Prints the title of a step, and its duration when it is done."""
    began = time.monotonic()
    print(f"{title} ...", file=sys.stderr, flush=True)
    yield
    print(f"{title}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def clear(out):
    """Removes the files of an earlier demo, and nothing else."""
    if out.exists() and (not out.is_dir() or {item.name for item in out.iterdir()} - MINE):
        sys.exit(f"The demo replaces only its own folder. Received: {out}, which contains other files.")
    if out.exists():
        shutil.rmtree(out)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
