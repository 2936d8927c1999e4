"""The command line of a recipe, and the errors of all command lines."""

import argparse
import contextlib
import difflib
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal

import tyro

from semenet.cli.help.options import command_options
from semenet.cli.help.pages import asks_for_help, print_help
from semenet.cli.tensorflow_import import import_tensorflow
from semenet.errors import SemenetError
from semenet.training.options import DataOptions, RunOptions
from semenet.training.presets import PRESETS, with_preset
from semenet.training.recipe import Recipe


def run_recipe(
    recipe: Recipe, description: str, arguments: Sequence[str] | None = None, program: str | None = None
) -> None:
    """Trains a recipe from the command line, where every value of the recipe can be changed.

    Args:
        recipe: the default values.
        description: the text of `--help`.
        arguments: the command-line arguments; None for those of the process.
        program: the command's name in `--help`; None for that of the process.

    Raises:
        SystemExit: with status 1 after an error of the user, which is printed as one message.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    preset = find_preset(arguments)
    with report_errors():
        check_sizes(arguments)
        recipe = with_preset(recipe, preset)
    train_recipe = training_command(recipe, preset)
    if asks_for_help(arguments):
        print_help(train_recipe, program or pathlib.Path(sys.argv[0]).name, description)
        raise SystemExit(0)
    with report_errors(), suggested_options(train_recipe, arguments):
        tyro.cli(train_recipe, args=arguments, prog=program)


def training_command(recipe: Recipe, preset: str) -> Callable[..., None]:
    """Returns the function whose parameters are the options of a training.

    Args:
        recipe: the default values of a recipe's options.
        preset: the default of --preset.
    """

    def train_recipe(
        manifest: pathlib.Path,
        out: pathlib.Path,
        recipe: Annotated[Recipe, tyro.conf.arg(name="")] = recipe,
        root: pathlib.Path | None = None,
        preset: Literal[*PRESETS] = preset,
        data: Annotated[DataOptions, tyro.conf.arg(name="")] = DataOptions(),
        options: Annotated[RunOptions, tyro.conf.arg(name="")] = RunOptions(),
    ) -> None:
        """Trains the recipe.

        Args:
            manifest: CSV with the columns file, label, patient, split (mask for a segmentation network).
            out: Run folder: a new or empty folder, or that of the same run, which is then resumed.
            recipe: The recipe.
            root: Folder that the manifest's relative paths start from. None: the manifest's own folder.
            preset: Source of the default values of the other options: the paper, today's practice with the
                same networks, or what helps in hospitals that the network never saw. Options on the command
                line take precedence.
            data: How the run reads its data.
            options: How the run is carried out.
        """
        import_tensorflow(training=True)
        from semenet.training.loop.fit import train

        run = train(recipe, manifest, out, root=root, data=data, options=options)
        best = f"epoch {run.record['best_epoch']}, {recipe.monitor} {run.record['best']:.4f}"
        print(f"Trained {recipe.entry}. Best: {best}. Run folder: {run.path}", file=sys.stderr)

    return train_recipe


def check_sizes(arguments: Sequence[str]) -> None:
    """Refuses --input-size beside --input-sizes, whose last size it is."""
    given = {argument.split("=")[0].replace("_", "-") for argument in arguments}
    if {"--input-size", "--input-sizes"} <= given:
        raise SemenetError(
            "The last of --input-sizes is the network's input size. Received: --input-size too. Leave one of "
            "the two out."
        )


def find_preset(arguments: Sequence[str]) -> str:
    """Returns the preset of a command line, which sets the defaults of all other options, also in --help."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", choices=PRESETS, default=PRESETS[0])
    known, _ = parser.parse_known_args([argument for argument in arguments if argument != "--"])
    return known.preset


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Ends the process with one message and no traceback for an error that the user can correct.

    These are semenet's own errors, and the operating system's errors about a file. All others are defects
    and keep their traceback.

    Raises:
        SystemExit: status 1 for such an error, 130 for an interrupt, 143 for SIGTERM during a training.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        print(f"semenet: {str(error) or 'interrupted'}", file=sys.stderr)
        sys.exit(getattr(error, "exit_status", 130))
    except SemenetError as error:
        message = str(error)
    except OSError as error:
        if error.filename is None:
            raise
        message = f"A file must be readable or writable. Received: {error}. Check the file and its disk."
    else:
        return
    print(f"semenet: {message}", file=sys.stderr)
    sys.exit(1)


def check_command(arguments: Sequence[str], commands: Sequence[str], prog: str) -> None:
    """Ends the process with the nearest command if the first argument is none.

    Args:
        arguments: the words after `prog`.
        commands: the names of the commands.
        prog: the program, such as "semenet data".

    Raises:
        SystemExit: with status 2, as for every wrong command line.
    """
    if not arguments or arguments[0].startswith("-") or arguments[0] in commands:
        return
    close = difflib.get_close_matches(arguments[0], commands, n=1, cutoff=0.5)
    remedy = f"Did you mean {prog} {close[0]}?" if close else f"The commands are {', '.join(commands)}."
    print(
        f"semenet: {prog} needs one of its commands. Received: {arguments[0]}. {remedy} "
        f"{prog} --help describes them.",
        file=sys.stderr,
    )
    raise SystemExit(2)


@contextlib.contextmanager
def suggested_options(function: Callable[..., Any], arguments: Sequence[str]) -> Iterator[None]:
    """Adds the nearest options to the message about a wrong command line.

    Args:
        function: the function whose parameters are the options.
        arguments: the words after the command.
    """
    try:
        yield
    except SystemExit as error:
        if error.code == 2:
            for given, close in _misspelt(function, arguments):
                print(f"semenet: there is no option {given}. Did you mean {close}?", file=sys.stderr)
        raise


def _misspelt(function: Callable[..., Any], arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Returns the options that do not exist, each with the nearest one that does."""
    known = [name for option in command_options(function) for name in option.names if name.startswith("--")]
    given = [word.split("=")[0].replace("_", "-") for word in arguments if word.startswith("--")]
    close = {
        word: difflib.get_close_matches(word, known, n=1, cutoff=0.6) for word in given if word not in known
    }
    return [(word, matches[0]) for word, matches in close.items() if matches and word != "--"]
