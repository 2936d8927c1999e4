"""The console command `semenet`. A sub-command parses and calls; heavy imports wait until then."""

import os
import pathlib
import sys
from typing import Annotated, Literal

import tyro

from semenet.cli_data import SOURCE_COMMANDS
from semenet.cli_evaluation import EVALUATION_COMMANDS, Images, RunPath
from semenet.cli_manifest import MANIFEST_COMMANDS
from semenet.cli_progress import progress_bars
from semenet.cli_serving import serve
from semenet.errors import SemenetError
from semenet.training.command import report_errors, run_recipe
from semenet.training.recipe import Names

Positional = tyro.conf.Positional


def list_entries(pattern: Positional[str] = "*") -> None:
    """Prints the catalogue: parameters, input size, where the paper has it, published weights.

    Args:
        pattern: Shell pattern of names, such as "seme_*".
    """
    import rich.console
    import rich.table

    from semenet.models.catalog import CATALOG, list_models
    from semenet.models.published import published_names

    names = list_models(pattern)
    if not names:
        raise SemenetError(
            f"A pattern must match an entry. Received: {pattern!r}. The entries: {', '.join(CATALOG)}."
        )
    table = rich.table.Table("name", "parameters", "input", "in the paper", "weights", box=None)
    for name in names:
        entry = CATALOG[name]
        weights = ", ".join(published_names(name)) or "-"
        table.add_row(name, f"{entry.parameters:,}", str(entry.input_size), entry.paper, weights)
    rich.console.Console(soft_wrap=True).print(table)


def doctor() -> None:
    """Prints versions, devices, which extras are installed, and the weights found."""
    from semenet.doctor import examine

    examine()


def phantom(
    folder: Positional[pathlib.Path],
    count: int = 240,
    size: int = 256,
    seed: int = 0,
    classes: Names = ("normal", "bacteria", "virus"),
    marker_correlation: float = 0.0,
) -> None:
    """Writes synthetic radiographs with their masks and a manifest.

    Args:
        folder: New or empty folder, or one of earlier phantoms, which are replaced; gets images, masks,
            lesions and manifest.csv.
        count: Images in total; 60/20/20 of the patients are train, val and test.
        size: Height and width in pixels.
        seed: Equal seeds give equal files.
        classes: Class names, comma-separated.
        marker_correlation: Probability that the burnt-in letter is the class's own: plants a shortcut.
    """
    import rich.console
    import rich.progress

    from semenet.data.phantom import write_phantoms

    with rich.progress.Progress(console=rich.console.Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Drawing radiographs")
        manifest = write_phantoms(
            folder,
            count=count,
            size=size,
            seed=seed,
            classes=classes,
            marker_correlation=marker_correlation,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(manifest)


def predict(
    run: RunPath,
    images: Images,
    out: pathlib.Path,
    on_error: Literal["raise", "skip"] | None = None,
    batch_size: int = 16,
    tta: int = 1,
    lungs: pathlib.Path | None = None,
) -> None:
    """Scores radiographs: a CSV with file, one column of probabilities a class, and predicted.

    Of a cascade the table, .csv or .parquet, has reason and lung_flags too, and the same command goes on
    after a process that was killed.

    Args:
        run: Run folder, .keras file, ENTRY:NAME of published weights, or a folder of `semenet cascade`.
        images: Radiographs, or folders of them.
        out: CSV to write; of a cascade also .parquet.
        on_error: Stop at a file that cannot be read, as by default, or leave it out and list it. Not for a
            cascade, which lists it and gives it a row without probabilities.
        batch_size: Images a step.
        tta: Test-time augmentation, as for `semenet evaluate`: how many fixed views to average over; not of
            a cascade. 1: the image alone. A SavedModel does not do it.
        lungs: For a network fed lungs alone: run of a U-Net that finds them.
    """
    from semenet.data.file_names import shown_name
    from semenet.serving.cascade import is_cascade
    from semenet.serving.predict import predict as score
    from semenet.serving.predict_cascade import predict_cascade

    if is_cascade(run):
        if (on_error, tta, lungs) != (None, 1, None):
            raise SemenetError(
                "A cascade has its own U-Net, takes each image once, and goes on past bad files. "
                f"Received: {run} with --on-error, --tta or --lungs. Leave them out."
            )
        predict_cascade(run, images, out, batch_size=batch_size)
    else:
        score(run, images, out, on_error=on_error or "raise", batch_size=batch_size, tta=tta, lungs=lungs)
    print(shown_name(out))


def export(
    run: RunPath,
    folder: Positional[pathlib.Path],
    format: Literal["savedmodel", "onnx", "openvino", "litert"] = "savedmodel",
    tf_serving: str | None = None,
    int8: bool = False,
    calibration: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="CSV_OR_FOLDER")] = None,
) -> None:
    """Writes a network for serving: a SavedModel that takes the bytes of image files, or another format.

    The other formats take prepared images, and are checked against Keras when they are written.

    Args:
        run: Run folder, .keras file, ENTRY:NAME of published weights, or, for a SavedModel, a folder of
            `semenet cascade`.
        folder: New or empty folder.
        format: A SavedModel; or a file for ONNX Runtime, OpenVINO or LiteRT.
        tf_serving: Make of FOLDER what TensorFlow Serving serves, with this name for the model: it gets
            NAME/VERSION, the next version each time, and the server's configuration.
        int8: Write an int8 network too; not of a SavedModel.
        calibration: For int8: manifest, whose split train is taken, or folder of images to calibrate on.
    """
    from semenet.serving.export import export as write
    from semenet.serving.export_format import export_format
    from semenet.serving.tf_serving import export_for_tf_serving

    if format == "savedmodel":
        if int8 or calibration is not None:
            raise SemenetError(
                "A SavedModel computes in float32. Received: --int8 or --calibration without another "
                "--format. Add --format openvino, onnx or litert."
            )
        with progress_bars() as progress:
            if tf_serving is None:
                saved = write(run, folder, progress)
            else:
                saved = export_for_tf_serving(run, folder, tf_serving, progress)
    elif tf_serving is not None:
        raise SemenetError(
            f"TensorFlow Serving serves a SavedModel. Received: --tf-serving with --format {format}. "
            "Leave one of them out."
        )
    else:
        with progress_bars() as progress:
            saved = export_format(run, folder, format, int8=int8, calibration=calibration, progress=progress)
    print(saved)


def cascade(
    stage1: RunPath,
    lungs: Annotated[pathlib.Path, tyro.conf.arg(metavar="LUNGS"), Positional],
    stage2: Annotated[pathlib.Path, tyro.conf.arg(metavar="STAGE2"), Positional],
    out: pathlib.Path,
    refines: str = "virus",
    gate: bool = True,
) -> None:
    """Composes a classifier, a U-Net and a classifier of lungs alone, and writes them into one folder.

    Args:
        stage1: Run folder, .keras file, or ENTRY:NAME of published weights, such as seme_resnet50:dataset1.
        lungs: U-Net, likewise.
        stage2: Classifier, likewise, whose classes take the place of one of stage 1's.
        out: New or empty folder.
        refines: The class of stage 1 that stage 2 divides.
        gate: Reject what is no upright frontal radiograph; --no-gate to let everything in.
    """
    from semenet.serving.cascade import Cascade
    from semenet.serving.export import step

    with progress_bars() as progress:
        with step(progress, "loading"):
            made = Cascade(stage1, lungs, stage2, refines=refines, gated=gate)
        with step(progress, "writing"):
            folder = made.save(out)
    for place, run in made.runs.items():
        print(f"{place}: {run.name}: {', '.join(run.class_names)}")
    if not made.stage2.lungs_alone:
        print(
            f"note: stage 2 is fed lungs alone, all else black. {made.stage2.name} was not trained with that "
            "said: unless its images were so on disk, what it says means little.",
            file=sys.stderr,
        )
    print(f"{folder}: {', '.join(made.class_names)}")


def masks(
    manifest: Annotated[pathlib.Path, tyro.conf.arg(metavar="CSV"), Positional],
    lungs: pathlib.Path,
    out: pathlib.Path,
    root: pathlib.Path | None = None,
    drop_implausible: bool = False,
) -> None:
    """Writes a manifest in which every row has a lung mask: what it lacks, a U-Net finds.

    Args:
        manifest: CSV with the columns file and patient.
        lungs: U-Net: run folder, .keras file, or ENTRY:NAME of published weights, such as unet:lung.
        out: CSV to write; the masks go into a folder beside it.
        root: Folder that the manifest's paths start from. None: the manifest's own.
        drop_implausible: Leave out rows whose mask was found and cannot be lungs, by area, number or place.
    """
    from semenet.serving.masks import fill_masks

    rows = fill_masks(manifest, lungs, out, root, drop_implausible=drop_implausible)
    doubtful = (rows["mask_check"] != "").sum()
    print(f"{out}: {len(rows)} rows; of {doubtful} of them the mask found cannot be lungs")


def train() -> None:
    """Trains by a committed recipe: semenet train RECIPE --manifest CSV --out RUN."""
    train_by_name(["--help"])


def train_by_name(arguments):
    """`semenet train RECIPE ...`, the same as `python recipes/RECIPE.py ...`."""
    from semenet.training.recipe import find_recipe, list_recipes

    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: semenet train RECIPE --manifest PATH --out PATH [OPTIONS]\n\nRecipes:")
        print("\n".join(f"  {name}" for name in list_recipes()))
        print("\n`semenet train RECIPE --help` shows a recipe's options.")
        return
    recipe = find_recipe(arguments[0])
    run_recipe(recipe, f"The recipe {arguments[0]}.", arguments[1:], program=f"semenet train {arguments[0]}")


def data() -> None:
    """Makes manifests of downloaded data sets, and splits, checks, searches and packs them."""
    call(DATA_COMMANDS, ["--help"], prog="semenet data")


DATA_COMMANDS = SOURCE_COMMANDS | MANIFEST_COMMANDS
COMMANDS = {
    "list": list_entries,
    "doctor": doctor,
    "phantom": phantom,
    "data": data,
    "train": train,
    **EVALUATION_COMMANDS,
    "masks": masks,
    "cascade": cascade,
    "predict": predict,
    "export": export,
    "serve": serve,
}


def call(commands, arguments, prog):
    """Calls the one of `commands` that the first argument names, with the others."""
    tyro.extras.subcommand_cli_from_dict(
        commands,
        prog=prog,
        description="A Keras model zoo for chest radiographs. Research use only.",
        args=arguments,
    )


def main(arguments=None):
    """Runs the command. An error of the user's is one message, and exit status 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # TensorFlow's start-up notices would drown what the command has to say.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with report_errors():
        if arguments[:1] == ["train"]:
            train_by_name(arguments[1:])
        elif arguments[:1] == ["data"]:
            call(DATA_COMMANDS, arguments[1:], prog="semenet data")
        else:
            call(COMMANDS, arguments, prog="semenet")
