"""The command line of a recipe."""

import argparse
import contextlib
import os
import pathlib
import sys
from typing import Annotated, Literal

import tyro

from semenet.errors import SemenetError
from semenet.training.loop.data_options import DataOptions
from semenet.training.loop.run_options import RunOptions
from semenet.training.presets import PRESETS, with_preset
from semenet.training.recipe import Recipe


def run_recipe(recipe, description, arguments=None, program=None):
    """Reads a recipe's command line, every value of it overridable, and trains.

    Args:
        recipe: `Recipe`, the defaults.
        description: str, shown by `--help`.
        arguments: list of str; None for the process's own.
        program: str, the command's name in `--help`; None for the process's own.

    Raises:
        SystemExit: with status 1 for an error of the user's, after one message.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    preset = _preset(arguments)
    with report_errors():
        recipe = with_preset(recipe, preset)

    def train_recipe(
        manifest: pathlib.Path,
        out: pathlib.Path,
        recipe: Annotated[Recipe, tyro.conf.arg(name="")] = recipe,
        root: pathlib.Path | None = None,
        preset: Literal[*PRESETS] = preset,
        data: Annotated[DataOptions, tyro.conf.arg(name="")] = DataOptions(),
        options: Annotated[RunOptions, tyro.conf.arg(name="")] = RunOptions(),
    ) -> None:
        """Trains by the recipe.

        Args:
            manifest: CSV with the columns file, label, patient, split (mask for a segmentation network).
            out: Run folder: new, empty, or this run's own, which then goes on.
            recipe: The recipe.
            root: Folder that the manifest's paths start from. None: the manifest's own.
            preset: Where the other options' defaults come from: the paper, or today's practice within the
                same networks. Options that are given count more.
            data: How the run treats its data.
            options: How the run is carried out.
        """
        # TensorFlow's start-up notices would drown the progress.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from semenet.training.loop.fit import train

        run = train(recipe, manifest, out, root=root, data=data, options=options)
        best = f"epoch {run.record['best_epoch']}, {recipe.monitor} {run.record['best']:.4f}"
        print(f"Trained {recipe.entry}: the best is {best}. Run folder: {run.path}", file=sys.stderr)

    # A blank line between the header's lines keeps them apart in --help.
    description = "\n\n".join(line for line in description.splitlines() if line)
    with report_errors():
        tyro.cli(train_recipe, description=description, args=arguments, prog=program)


def _preset(arguments):
    """The preset that a command line names: it decides the defaults of the other options, also in --help."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", choices=PRESETS, default=PRESETS[0])
    known, _ = parser.parse_known_args([argument for argument in arguments if argument != "--"])
    return known.preset


@contextlib.contextmanager
def report_errors():
    """Ends the process with one message, without a traceback, for errors that answer the user.

    Those are semenet's own, and the operating system's about a file. All others are defects: they pass,
    traceback and all.

    Raises:
        SystemExit: status 1 for such an error, 130 for an interrupt.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("semenet: interrupted", file=sys.stderr)
        sys.exit(130)
    except SemenetError as error:
        message = str(error)
    except OSError as error:
        if error.filename is None:
            raise
        message = f"A file must be there to read, or writable. Received: {error}. Check it and its disk."
    else:
        return
    print(f"semenet: {message}", file=sys.stderr)
    sys.exit(1)
