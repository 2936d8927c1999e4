"""The console command `semenet`. A sub-command parses and calls; heavy imports wait until then."""

import os
import pathlib
import sys
from typing import Annotated, Literal

import tyro

from semenet.cli.data import SOURCE_COMMANDS
from semenet.cli.evaluation import EVALUATION_COMMANDS, Images, RunPath
from semenet.cli.manifest import MANIFEST_COMMANDS
from semenet.cli.recipe import report_errors, run_recipe
from semenet.cli.serving import cascade, export, serve
from semenet.errors import SemenetError
from semenet.training.recipe import Names

Positional = tyro.conf.Positional


def list_entries(pattern: Positional[str] = "*") -> None:
    """Prints the catalogue: parameters, input size, where the paper has it, published weights.

    Args:
        pattern: Shell pattern of names, such as "seme_*".
    """
    import rich.console
    import rich.table

    from semenet.models.entries import CATALOG, list_models
    from semenet.models.weights.published import published_names

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
    from semenet.cli.doctor import examine

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

    from semenet.data.phantom.dataset import write_phantoms

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
    from semenet.serving.cascade.cascade import is_cascade
    from semenet.serving.prediction.cascade_predictions import predict_cascade
    from semenet.serving.prediction.network_predictions import predict as score
    from semenet.storage.file_names import shown_name

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
    from semenet.serving.prediction.mask_files import fill_masks

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
