"""The console command `semenet`.

A sub-command parses its arguments and calls a function. Heavy packages are imported only then.
"""

import contextlib
import sys
from collections.abc import Callable

import tyro

from semenet.cli.cross_validation import cross_validate_by_name, cross_validation_command
from semenet.cli.data.combine import COMBINE_COMMANDS
from semenet.cli.data.finding_sources import FINDING_COMMANDS
from semenet.cli.data.manifest import MANIFEST_COMMANDS
from semenet.cli.data.phantom import phantom
from semenet.cli.data.sources import SOURCE_COMMANDS
from semenet.cli.evaluation import EVALUATION_COMMANDS
from semenet.cli.heat_maps import HEAT_MAP_COMMANDS
from semenet.cli.help.argument_types import Positional
from semenet.cli.help.pages import asks_for_help, print_help
from semenet.cli.prediction.embeddings import EMBEDDING_COMMANDS
from semenet.cli.prediction.predict import masks, predict
from semenet.cli.recipe import check_command, report_errors, run_recipe, suggested_options, training_command
from semenet.cli.serving import cascade, export, look, serve
from semenet.cli.tensorflow_import import import_tensorflow
from semenet.cli.weights import WEIGHTS_COMMANDS, print_sets
from semenet.errors import SemenetError


def list_entries(pattern: Positional[str] = "*") -> None:
    """Lists the networks: parameters, input size, place in the paper; and their published weights.

    Args:
        pattern: Shell pattern of entry names, such as "seme_*".
    """
    import rich.console
    import rich.table

    from semenet.models.entries import CATALOG, list_models
    from semenet.models.weights.published import all_sets, published_names

    names = list_models(pattern)
    if not names:
        raise SemenetError(
            f"The pattern must match at least one entry. Received: {pattern!r}. "
            f"The entries are {', '.join(CATALOG)}."
        )
    table = rich.table.Table("name", "parameters", "input", "in the paper", "weights", box=None)
    for name in names:
        entry = CATALOG[name]
        weights = ", ".join(published_names(name)) or "-"
        table.add_row(name, f"{entry.parameters:,}", str(entry.input_size), entry.paper, weights)
    rich.console.Console(soft_wrap=True).print(table)
    if sets := [one for one in all_sets() if one.entry in names]:
        print("\nPublished weights:")
        print_sets(sets)


def doctor() -> None:
    """Prints versions, devices, installed extras, and the published weights that were found."""
    import_tensorflow()
    from semenet.cli.doctor import print_installation

    print_installation()


def train() -> None:
    """Trains a network by a recipe: semenet train RECIPE --manifest CSV --out RUN."""
    train_by_name(["--help"])


def train_by_name(arguments: list[str]) -> None:
    """Runs `semenet train RECIPE ...`, which does the same as `python recipes/RECIPE.py ...`."""
    from semenet.training.recipe import find_recipe, list_recipes

    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: semenet train RECIPE --manifest PATH --out PATH [OPTIONS]\n\nRecipes:")
        print("\n".join(f"  {name}" for name in list_recipes()))
        print("\n`semenet train RECIPE --help` shows a recipe's options.")
        return
    recipe = find_recipe(arguments[0])
    run_recipe(recipe, f"The recipe {arguments[0]}.", arguments[1:], program=f"semenet train {arguments[0]}")


def cross_validate() -> None:
    """Trains a recipe once for each fold: semenet cross-validate RECIPE --manifest CSV --out FOLDER."""
    cross_validate_by_name(["--help"])


def weights() -> None:
    """Lists, fetches, verifies and copies published weights: semenet weights list|get|verify|push."""
    call(WEIGHTS_COMMANDS, ["--help"], prog="semenet weights")


def data() -> None:
    """Creates manifests of downloaded data sets; combines, splits, checks, draws, searches and packs them."""
    call(DATA_COMMANDS, ["--help"], prog="semenet data")


DATA_COMMANDS = SOURCE_COMMANDS | FINDING_COMMANDS | COMBINE_COMMANDS | MANIFEST_COMMANDS
COMMANDS = {
    "list": list_entries,
    "doctor": doctor,
    "phantom": phantom,
    "data": data,
    "weights": weights,
    "train": train,
    "cross-validate": cross_validate,
    **EVALUATION_COMMANDS,
    **HEAT_MAP_COMMANDS,
    **EMBEDDING_COMMANDS,
    "masks": masks,
    "cascade": cascade,
    "look": look,
    "predict": predict,
    "export": export,
    "serve": serve,
}


def call(commands: dict[str, Callable[..., None]], arguments: list[str], prog: str) -> None:
    """Calls the command that the first argument names with the remaining arguments."""
    check_command(arguments, tuple(commands), prog)
    named = commands.get(arguments[0]) if arguments else None
    if named and asks_for_help(arguments[1:]):
        print_help(named, f"{prog} {arguments[0]}")
        raise SystemExit(0)
    with suggested_options(named, arguments[1:]) if named else contextlib.nullcontext():
        tyro.extras.subcommand_cli_from_dict(
            commands,
            prog=prog,
            description="A Keras model zoo for chest radiographs. Research use only.",
            args=arguments,
        )


def _completion(arguments: list[str]) -> str:
    """Returns the script of `semenet --print-completion SHELL`."""
    from semenet.cli.help.completion import SHELLS, completion_script
    from semenet.training.recipe import find_recipe, list_recipes

    if len(arguments) != 1:
        raise SemenetError(
            f"--print-completion takes one shell, {' or '.join(SHELLS)}. Received: "
            f"{' '.join(arguments) or 'none'}. Run: semenet --print-completion bash"
        )
    # All recipes have the same options.
    recipe = find_recipe("seme_resnet50")
    training, validation = training_command(recipe, "paper"), cross_validation_command(recipe, "paper")
    nested = {
        "data": DATA_COMMANDS,
        "weights": WEIGHTS_COMMANDS,
        "train": dict.fromkeys(list_recipes(), training),
        "cross-validate": dict.fromkeys(list_recipes(), validation),
    }
    commands = {name: function for name, function in COMMANDS.items() if name not in nested}
    return completion_script(arguments[0], commands, nested)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command. Wrong input is reported as one message with exit status 1.

    Args:
        arguments: the command's words; None for those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    with report_errors():
        if arguments[:1] == ["--print-completion"]:
            print(_completion(arguments[1:]), end="")
        elif arguments[:1] == ["train"]:
            train_by_name(arguments[1:])
        elif arguments[:1] == ["cross-validate"]:
            cross_validate_by_name(arguments[1:])
        elif arguments[:1] == ["data"]:
            call(DATA_COMMANDS, arguments[1:], prog="semenet data")
        elif arguments[:1] == ["weights"]:
            call(WEIGHTS_COMMANDS, arguments[1:], prog="semenet weights")
        else:
            call(COMMANDS, arguments, prog="semenet")
