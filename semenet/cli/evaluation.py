"""The sub-commands that measure a network, compare two, and show what one looked at."""

import pathlib
from typing import Annotated, Literal

import tyro

from semenet.errors import SemenetError
from semenet.training.recipe import Names

Positional = tyro.conf.Positional
RunPath = Annotated[pathlib.Path, tyro.conf.arg(metavar="RUN"), Positional]
Images = Annotated[tuple[pathlib.Path, ...], tyro.conf.arg(metavar="PATH"), Positional]


def evaluate(
    run: RunPath,
    manifest: pathlib.Path,
    out: pathlib.Path,
    split: str = "val",
    root: pathlib.Path | None = None,
    batch_size: int = 16,
    on_error: Literal["raise", "skip"] = "raise",
    skip_at_most: float = 0.05,
    tta: int = 1,
    by: Names | None = None,
    lungs: pathlib.Path | None = None,
    audit: pathlib.Path | None = None,
    resamples: int = 2000,
) -> None:
    """Measures a network: writes metrics.json, report.html, card.md and predictions.csv.

    Args:
        run: Run folder or .keras file.
        manifest: CSV with the columns file, label, patient, split (mask for a segmentation network).
        out: Folder to write into.
        split: The split to measure on.
        root: Folder that the manifest's paths start from. None: the manifest's own.
        batch_size: Images a step.
        on_error: Stop at a file that cannot be read, or try all first, leave such out and list them.
        skip_at_most: With --on-error skip: the share of the rows that may be left out.
        tta: Test-time augmentation: average over the first so many of nine fixed views (the image, turned by
            5 and 10 degrees, scaled by 1.05 and 1.1). 1: the image alone. A SavedModel does not do it.
        by: Manifest columns to measure subgroups by, comma-separated. None: source, view, sex and age, where
            they tell the images apart.
        lungs: Run of a U-Net that finds the lungs. None: the manifest's masks, if it has any.
        audit: Folder of an earlier `semenet audit` of this network, for the report.
        resamples: Resamples of the patients, for the intervals.
    """
    from semenet.evaluation.split_evaluation import evaluate as measure

    measure(
        run,
        manifest,
        split,
        out,
        root=root,
        batch_size=batch_size,
        on_error=on_error,
        skip_at_most=skip_at_most,
        tta=tta,
        by=by,
        lungs=lungs,
        audit=audit,
        resamples=resamples,
    )
    print(out / "report.html")


def calibrate(
    run: RunPath,
    manifest: pathlib.Path,
    split: str = "val",
    root: pathlib.Path | None = None,
    batch_size: int = 16,
    sensitivity: float = 0.9,
    specificity: float = 0.9,
    accuracy: float = 0.95,
    lungs: pathlib.Path | None = None,
) -> None:
    """Chooses temperature, thresholds and when to abstain, on validation images: RUN/calibration.json.

    Args:
        run: Run folder or .keras file.
        manifest: CSV with the columns file, label, patient, split.
        split: The split to choose on; neither train nor test.
        root: Folder that the manifest's paths start from. None: the manifest's own.
        batch_size: Images a step.
        sensitivity: To reach for each class against the rest.
        specificity: To reach likewise, by another threshold.
        accuracy: To reach among the images answered, by abstaining from the others.
        lungs: For a network fed lungs alone: run of a U-Net that finds them. None: the manifest's masks.
    """
    from semenet.evaluation.measure.calibration import calibrate as choose
    from semenet.training.run_folder.run import calibration_file

    targets = {"sensitivity": sensitivity, "specificity": specificity, "accuracy": accuracy}
    found = choose(run, manifest, split, root, batch_size, lungs=lungs, **targets)
    for warning in found["warnings"]:
        print(f"caution: {warning}")
    print(
        f"temperature {found['temperature']:.3f}; expected calibration error {found['before']['ece']:.3f} "
        f"before, {found['after']['ece']:.3f} after; {calibration_file(run)}"
    )


def compare(
    first: Annotated[pathlib.Path, tyro.conf.arg(metavar="RUN"), Positional],
    second: Annotated[pathlib.Path, tyro.conf.arg(metavar="RUN"), Positional],
    manifest: pathlib.Path,
    split: str = "val",
    out: pathlib.Path | None = None,
    root: pathlib.Path | None = None,
    batch_size: int = 16,
    resamples: int = 2000,
    lungs: pathlib.Path | None = None,
) -> None:
    """Compares two networks on the same images: differences with intervals and p-values, and DeLong's test.

    Args:
        first: Run folder or .keras file.
        second: Another, with the same classes.
        manifest: CSV with the columns file, label, patient, split.
        split: The split to measure on.
        out: Folder to write comparison.json into. None: print alone.
        root: Folder that the manifest's paths start from. None: the manifest's own.
        batch_size: Images a step.
        resamples: Resamples of the patients.
        lungs: For networks fed lungs alone: run of a U-Net that finds them. None: the manifest's masks.
    """
    from semenet.evaluation.measure.comparison import compare as measure
    from semenet.evaluation.measure.comparison import comparison_lines

    found = measure(
        first,
        second,
        manifest,
        split,
        out,
        root=root,
        batch_size=batch_size,
        resamples=resamples,
        lungs=lungs,
    )
    print("\n".join(comparison_lines(found)))


def audit(
    run: RunPath,
    manifest: pathlib.Path,
    out: pathlib.Path,
    split: str = "val",
    root: pathlib.Path | None = None,
    batch_size: int = 16,
    lungs: pathlib.Path | None = None,
) -> None:
    """Asks whether the label can be told without the lungs: audit.json and audit.html, and a verdict.

    Args:
        run: Run folder or .keras file.
        manifest: CSV with the columns file, label, patient, split, and mask unless --lungs is given.
        out: Folder to write into.
        split: The split to measure on.
        root: Folder that the manifest's paths start from. None: the manifest's own.
        batch_size: Images a step.
        lungs: Run of a U-Net that finds the lungs. None: the manifest's masks.
    """
    from semenet.evaluation.shortcut_audit.run_audit import audit as ask

    found = ask(run, manifest, out, split, root=root, batch_size=batch_size, lungs=lungs)
    print(f"{found['verdict']}: {' '.join(found['words'])}")
    print(out / "audit.json")


def explain(
    run: RunPath,
    images: Images = (),
    *,
    out: pathlib.Path,
    manifest: pathlib.Path | None = None,
    split: str = "val",
    only: Literal["wrong", "right", "all"] = "wrong",
    root: pathlib.Path | None = None,
    method: Literal["grad-cam", "grad-cam++", "cam"] = "grad-cam",
    layer: str = "features",
    class_name: str | None = None,
    lungs: pathlib.Path | None = None,
    batch_size: int = 16,
) -> None:
    """Writes heat maps, overlays, and panels with probability and true label.

    Args:
        run: Run folder or .keras file.
        images: Radiographs, or folders of them; none with --manifest.
        out: Folder to write into.
        manifest: Explain images of this manifest in place of files, with their true labels.
        split: With --manifest: the split.
        only: With --manifest: the images classified wrongly, rightly, or all.
        root: With --manifest: folder that its paths start from. None: the manifest's own.
        method: grad-cam and grad-cam++ take gradients; cam needs a head of global average pooling, and none.
        layer: The layer whose feature map is weighted.
        class_name: The class to explain. None: the one predicted.
        lungs: For a network fed lungs alone: run of a U-Net that finds them. None: the manifest's masks.
        batch_size: Images a step.
    """
    from semenet.evaluation.explanation.explanations import explain_split, write_explanations
    from semenet.storage.file_names import shown_name
    from semenet.training.run_folder.run import Run

    if bool(images) == (manifest is not None):
        raise SemenetError(
            "Either files or a manifest are explained. "
            f"Received: {len(images)} paths and {'no manifest' if manifest is None else manifest}. "
            "Give paths of images, or --manifest with --split."
        )
    how = {
        "method": method,
        "layer": layer,
        "class_name": class_name,
        "lungs": lungs,
        "batch_size": batch_size,
    }
    if images:
        table = write_explanations(Run.open(run), images, out, **how)
    else:
        table = explain_split(Run.open(run), manifest, split, out, only, root=root, **how)
    print(shown_name(table))


EVALUATION_COMMANDS = {
    "evaluate": evaluate,
    "calibrate": calibrate,
    "compare": compare,
    "explain": explain,
    "audit": audit,
}
