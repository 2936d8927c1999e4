"""The commands that evaluate, calibrate, compare, explain and audit networks."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from semenet.cli.help.argument_types import (
    LungsRun,
    Manifests,
    MapLayer,
    OptionalMapMethod,
    OwnRunPath,
    RunPath,
)
from semenet.cli.tensorflow_import import import_tensorflow
from semenet.errors import SemenetError
from semenet.training.recipe import Names


def evaluate(
    run: RunPath,
    manifest: Manifests,
    out: pathlib.Path,
    split: str = "val",
    root: pathlib.Path | None = None,
    batch_size: int = 16,
    on_error: Literal["raise", "skip"] = "raise",
    skip_at_most: float = 0.05,
    tta: int = 1,
    by: Names | None = None,
    lungs: LungsRun = None,
    audit: pathlib.Path | None = None,
    resamples: int = 2000,
    map_method: OptionalMapMethod = None,
    map_layer: MapLayer = "features",
    refined: str | None = None,
) -> None:
    """Evaluates a network: writes metrics.json, report.html, card.md and predictions.csv.

    For a cascade's folder it writes predictions.csv, confusion.csv and results.md.

    Args:
        run: Run folder, .keras file, ENTRY:NAME of published weights, or a folder written by
            `semenet cascade`.
        manifest: CSV with the columns file, label, patient, split (mask for a segmentation network). Repeat
            the option for a table of several hospitals, with the manifest of the training among them.
        out: Folder to write to.
        split: The split to evaluate.
        root: Folder that the manifest's paths are relative to. None: the manifest's own.
        batch_size: Images per step.
        on_error: Stop at an unreadable file (raise), or check all files first, skip unreadable ones and list
            them (skip).
        skip_at_most: With --on-error skip: the largest share of the rows that may be skipped.
        tta: Test-time augmentation: average over the first N of nine fixed views (the image, rotated by
            5 and 10 degrees, scaled by 1.05 and 1.1). 1: the image alone. A SavedModel does not support it.
        by: Manifest columns to evaluate subgroups by, comma-separated. None: source, view, sex and age, where
            they have several values.
        lungs: U-Net that segments the lungs, such as unet:lung. None: the manifest's masks, if it has any.
        audit: Folder of an earlier `semenet audit` of this network, for the report.
        resamples: Bootstrap resamples of the patients, for the intervals.
        map_method: Method of the heat maps, as in `semenet explain`. None: cam, or grad-cam where it is not
            possible.
        map_layer: Layer of the heat maps, by name or stride.
        refined: For a cascade: the class of stage 2 that the label divided by it counts as. None: its first
            class.
    """
    if not manifest:
        raise SemenetError("An evaluation needs a manifest. Received: none. Pass --manifest PATH.")
    import_tensorflow()
    from semenet.serving.cascade.saved_cascade import is_cascade

    if is_cascade(run):
        from semenet.evaluation.report.result_lines import cascade_lines

        options = {
            "--on-error skip": (on_error, "raise"),
            "--tta": (tta, 1),
            "--by": (by, None),
            "--lungs": (lungs, None),
            "--audit": (audit, None),
            "--map-method": (map_method, None),
            "--map-layer": (map_layer, "features"),
        }
        refuse(options, run)
        from semenet.serving.cascade_evaluation.evaluation import RESULTS, evaluate_cascade

        shared = {"refined": refined, "root": root, "batch_size": batch_size, "resamples": resamples}
        found = evaluate_cascade(run, manifest, split, out=out, **shared)
        print(found.text, end="\n\n")
        print_lines(cascade_lines(found.shares), out / RESULTS)
        return
    if refined is not None:
        raise SemenetError(
            f"--refined belongs to a cascade, whose stage 2 divides a class. Received: {run}. Leave it out."
        )
    if len(manifest) > 1:
        _evaluate_hospitals(
            run,
            manifest,
            split,
            out,
            {"root": root, "audit": audit},
            by,
            batch_size=batch_size,
            on_error=on_error,
            skip_at_most=skip_at_most,
            tta=tta,
            lungs=lungs,
            resamples=resamples,
            map_method=map_method,
            map_layer=map_layer,
        )
        return
    from semenet.evaluation.report.result_lines import evaluation_lines
    from semenet.evaluation.split_evaluation import evaluate as evaluate_split

    found = evaluate_split(
        run,
        manifest[0],
        split,
        out=out,
        root=root,
        batch_size=batch_size,
        on_error=on_error,
        skip_at_most=skip_at_most,
        tta=tta,
        by=by,
        lungs=lungs,
        audit=audit,
        resamples=resamples,
        map_method=map_method,
        map_layer=map_layer,
    )
    print_lines(evaluation_lines(found), out / "report.html")


def print_lines(lines: Iterable[str], path: pathlib.Path | str) -> None:
    """Prints a command's main result, and then the file that has all of it."""
    print("\n".join(lines))
    print(path)


def refuse(options: Mapping[str, tuple[Any, Any]], folder: pathlib.Path) -> None:
    """Refuses options that a cascade does not have: a dict of an option to its value and its default."""
    if given := [name for name, (value, default) in options.items() if value != default]:
        raise SemenetError(
            "A cascade has its own segmentation network and decides on each image once. "
            f"Received: {folder} with {', '.join(given)}. Leave these options out, or give one of its "
            "networks, the .keras files in this folder."
        )


def _evaluate_hospitals(
    run: pathlib.Path,
    manifests: Sequence[pathlib.Path],
    split: str,
    out: pathlib.Path,
    of_one_manifest: dict[str, pathlib.Path | None],
    by: Sequence[str] | None,
    **options: Any,
) -> None:
    """Evaluates several manifests; refuses options that belong to one."""
    given = [f"--{name}" for name, value in of_one_manifest.items() if value is not None]
    given += [f"--by {','.join(by)}"] if len(by or ()) > 1 else []
    if given:
        raise SemenetError(
            "Several manifests take one column --by, and neither --root nor --audit, which belong to one "
            f"manifest. Received: {', '.join(given)}. Leave it out, or evaluate one manifest."
        )
    from semenet.evaluation.hospitals.hospital_evaluation import evaluate_hospitals
    from semenet.evaluation.report.result_lines import hospital_lines

    found = evaluate_hospitals(run, manifests, split, out=out, by=by[0] if by else None, **options)
    print_lines(hospital_lines(found), out / "report.html")


def calibrate(
    run: OwnRunPath,
    manifest: pathlib.Path,
    split: str = "val",
    root: pathlib.Path | None = None,
    batch_size: int = 16,
    sensitivity: float = 0.9,
    specificity: float = 0.9,
    accuracy: float = 0.95,
    lungs: LungsRun = None,
    even_if_worse: bool = False,
) -> None:
    """Chooses temperature, thresholds and abstention on validation images: writes RUN/calibration.json.

    Args:
        run: Run folder or .keras file.
        manifest: CSV with the columns file, label, patient, split.
        split: The split to choose on; neither train nor test.
        root: Folder that the manifest's paths are relative to. None: the manifest's own.
        batch_size: Images per step.
        sensitivity: Target for each class against the rest.
        specificity: Target for each class against the rest, with a second threshold.
        accuracy: Target among the answered images; the network abstains from the others.
        lungs: For a network that needs lung masks: a U-Net, such as unet:lung. None: the manifest's
            masks.
        even_if_worse: Apply the temperature even if it raises the expected calibration error of these images.
    """
    import_tensorflow()
    from semenet.evaluation.measure.calibration import calibrate as calibrate_run
    from semenet.evaluation.report.result_lines import calibration_lines
    from semenet.training.run_folder.file_names import calibration_file

    targets = {"sensitivity": sensitivity, "specificity": specificity, "accuracy": accuracy}
    found = calibrate_run(
        run,
        manifest,
        split,
        root=root,
        batch_size=batch_size,
        lungs=lungs,
        even_if_worse=even_if_worse,
        **targets,
    )
    print_lines(calibration_lines(found), calibration_file(run))


def compare(
    first: RunPath,
    second: RunPath,
    manifest: pathlib.Path,
    split: str = "val",
    out: pathlib.Path | None = None,
    root: pathlib.Path | None = None,
    batch_size: int = 16,
    resamples: int = 2000,
    lungs: LungsRun = None,
) -> None:
    """Compares two networks on the same images: differences with intervals and p-values, and DeLong's test.

    Args:
        first: Run folder, .keras file, or ENTRY:NAME of published weights.
        second: Another one, with the same classes.
        manifest: CSV with the columns file, label, patient, split.
        split: The split to evaluate.
        out: Folder to write comparison.json to. None: only print.
        root: Folder that the manifest's paths are relative to. None: the manifest's own.
        batch_size: Images per step.
        resamples: Bootstrap resamples of the patients.
        lungs: For networks that need lung masks: a U-Net, such as unet:lung. None: the manifest's
            masks.
    """
    import_tensorflow()
    from semenet.evaluation.measure.comparison import compare as compare_runs
    from semenet.evaluation.measure.comparison import comparison_lines

    found = compare_runs(
        first,
        second,
        manifest,
        split,
        out=out,
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
    lungs: LungsRun = None,
) -> None:
    """Tests whether the label can be predicted without the lungs: audit.json, audit.html, and a verdict.

    Args:
        run: Run folder, .keras file, or ENTRY:NAME of published weights.
        manifest: CSV with the columns file, label, patient, split, and mask unless --lungs is given.
        out: Folder to write to.
        split: The split to evaluate.
        root: Folder that the manifest's paths are relative to. None: the manifest's own.
        batch_size: Images per step.
        lungs: U-Net that segments the lungs, such as unet:lung. None: the manifest's masks.
    """
    import_tensorflow()
    from semenet.evaluation.report.result_lines import audit_lines
    from semenet.evaluation.shortcut_audit.classifier_audit import audit as audit_run

    found = audit_run(run, manifest, split, out=out, root=root, batch_size=batch_size, lungs=lungs)
    print_lines(audit_lines(found), out / "audit.json")


EVALUATION_COMMANDS = {
    "evaluate": evaluate,
    "calibrate": calibrate,
    "compare": compare,
    "audit": audit,
}
