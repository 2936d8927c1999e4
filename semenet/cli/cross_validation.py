"""The command `semenet cross-validate`, with every value of a recipe as an option."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import tyro

from semenet.cli.help.argument_types import LungsRun
from semenet.cli.help.pages import asks_for_help, print_help
from semenet.cli.recipe import check_sizes, find_preset, suggested_options
from semenet.cli.tensorflow_import import import_tensorflow
from semenet.training.options import DataOptions, RunOptions
from semenet.training.presets import PRESETS, with_preset
from semenet.training.recipe import Names, Recipe, find_recipe, list_recipes


def cross_validate_by_name(arguments: Sequence[str]) -> None:
    """Runs `semenet cross-validate RECIPE ...`."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            "usage: semenet cross-validate RECIPE --manifest PATH --out PATH [--by COLUMN] [--folds N] "
            "[OPTIONS]\n\nRecipes:"
        )
        print("\n".join(f"  {name}" for name in list_recipes()))
        print("\n`semenet cross-validate RECIPE --help` shows all options.")
        return
    name, *options = arguments
    preset = find_preset(options)
    check_sizes(options)
    cross_validate_recipe = cross_validation_command(with_preset(find_recipe(name), preset), preset)
    program, description = f"semenet cross-validate {name}", f"Cross-validates the recipe {name}."
    if asks_for_help(options):
        print_help(cross_validate_recipe, program, description)
        raise SystemExit(0)
    with suggested_options(cross_validate_recipe, options):
        tyro.cli(cross_validate_recipe, description=description, args=options, prog=program)


def cross_validation_command(recipe: Recipe, preset: str) -> Callable[..., None]:
    """Returns the function whose parameters are the options of a cross-validation.

    Args:
        recipe: the default values of a recipe's options.
        preset: the default of --preset.
    """

    def cross_validate_recipe(
        manifest: pathlib.Path,
        out: pathlib.Path,
        by: str = "patient",
        folds: int = 5,
        leave_out: Names | None = None,
        splits: Names = ("train", "val"),
        val_share: float = 0.15,
        fold_seed: int = 0,
        recipe: Annotated[Recipe, tyro.conf.arg(name="")] = recipe,
        root: pathlib.Path | None = None,
        preset: Literal[*PRESETS] = preset,
        data: Annotated[DataOptions, tyro.conf.arg(name="")] = DataOptions(),
        options: Annotated[RunOptions, tyro.conf.arg(name="")] = RunOptions(),
        lungs: LungsRun = None,
        resamples: int = 2000,
    ) -> None:
        """Trains the recipe once for each fold and reports the images that were held out.

        Args:
            manifest: CSV with the columns file, label, patient, and the column of --by.
            out: Folder to write to: a new or empty folder, or that of the same series, which is then resumed.
            by: "patient" for folds of whole patients; another column, such as source, to leave out each of
                its values in turn.
            folds: Number of folds by patient.
            leave_out: The values of --by to leave out, comma-separated. None: all.
            splits: Values of the column split whose rows are used, comma-separated.
            val_share: Share of the images that are not held out, on which epoch and temperature are chosen.
            fold_seed: Seed of the folds.
            recipe: The recipe.
            root: Folder that the manifest's relative paths start from. None: the manifest's own folder.
            preset: Source of the default values of the other options.
            data: How the runs read their data.
            options: How the runs are carried out.
            lungs: U-Net, such as unet:lung, for networks that are fed the lungs. None: the manifest's masks.
            resamples: Bootstrap resamples of the patients, for the intervals.
        """
        import_tensorflow(training=True)
        import tensorflow as tf

        from semenet.evaluation.cross_validation.cross_validation import cross_validate

        # It warns that functions are traced again, because every fold is another network.
        tf.get_logger().setLevel("ERROR")
        cross_validate(
            recipe,
            manifest,
            out,
            by=by,
            folds=folds,
            leave_out=leave_out,
            splits=splits,
            val_share=val_share,
            fold_seed=fold_seed,
            root=root,
            data=data,
            options=options,
            lungs=lungs,
            resamples=resamples,
        )
        print(out / "report.html")

    return cross_validate_recipe
