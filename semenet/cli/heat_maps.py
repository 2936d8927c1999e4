"""The commands that draw heat maps and compare their methods."""

import pathlib
from typing import Annotated, Literal

import tyro

from semenet.cli.evaluation import print_lines, refuse
from semenet.cli.help.argument_types import Images, LungsRun, MapLayer, MapMethod, RunPath
from semenet.cli.tensorflow_import import import_tensorflow
from semenet.errors import SemenetError
from semenet.training.recipe import Names

_TABLE_WIDTH = 240


def explain(
    run: RunPath,
    images: Images = (),
    *,
    out: pathlib.Path,
    manifest: pathlib.Path | None = None,
    split: str = "val",
    only: Literal["wrong", "right", "all"] = "wrong",
    root: pathlib.Path | None = None,
    method: Annotated[MapMethod, tyro.conf.arg(name="map-method", aliases=["--method"])] = "grad-cam",
    layer: Annotated[MapLayer, tyro.conf.arg(name="map-layer", aliases=["--layer"])] = "features",
    class_name: str | None = None,
    lungs: LungsRun = None,
    batch_size: int = 16,
    refined: str | None = None,
) -> None:
    """Writes heat maps, overlays, and panels with probability and true label.

    For a cascade's folder it writes the heat maps and overlays of both stages, without panels.

    Args:
        run: Run folder, .keras file, ENTRY:NAME of published weights, or a folder written by
            `semenet cascade`.
        images: Radiographs, or folders of them; none with --manifest.
        out: Folder to write to.
        manifest: Explain images of this manifest instead of files, with their true labels.
        split: With --manifest: the split.
        only: With --manifest: the images classified wrongly, rightly, or all.
        root: With --manifest: folder that its paths are relative to. None: the manifest's own.
        method: cam needs global average pooling and uses no gradient, the others do. layer-cam and hires-cam
            weight each cell on its own, which suits early layers.
        layer: The layer whose feature map is weighted, by its name or by its stride: 8 is a layer with a cell
            for every 8 x 8 pixels of the input.
        class_name: The class to explain. None: the predicted one.
        lungs: For a network that needs lung masks: a U-Net, such as unet:lung. None: the manifest's
            masks.
        batch_size: Images per step.
        refined: For a cascade with --manifest: the class of stage 2 that the label divided by it counts as.
            None: its first class.
    """
    import_tensorflow()
    from semenet.evaluation.report.result_lines import explanation_lines
    from semenet.serving.cascade.saved_cascade import is_cascade
    from semenet.storage.file_names import shown_name

    if is_cascade(run):
        from semenet.inference.heat_maps.map_choice import MapChoice
        from semenet.serving.cascade_evaluation.explanations import TABLE as CASCADE_TABLE
        from semenet.serving.cascade_evaluation.explanations import explain_cascade

        refuse({"--class-name": (class_name, None), "--lungs": (lungs, None)}, run)
        found = explain_cascade(
            run,
            images or None,
            manifest=manifest,
            split=split,
            out=out,
            only=only,
            refined=refined,
            root=root,
            map_choice=MapChoice(method, layer),
            batch_size=batch_size,
        )
        print_lines(explanation_lines(found.drop_duplicates("file")), shown_name(out / CASCADE_TABLE))
        return
    if refined is not None:
        raise SemenetError(
            f"--refined belongs to a cascade, whose stage 2 divides a class. Received: {run}. Leave it out."
        )
    from semenet.evaluation.explanation.explanation_files import TABLE
    from semenet.evaluation.explanation.explanations import explain as explain_run

    found = explain_run(
        run,
        images,
        manifest=manifest,
        split=split,
        out=out,
        only=only,
        root=root,
        method=method,
        layer=layer,
        class_name=class_name,
        lungs=lungs,
        batch_size=batch_size,
    )
    print_lines(explanation_lines(found), shown_name(out / TABLE))


def compare_maps(
    run: RunPath,
    manifest: pathlib.Path,
    out: pathlib.Path,
    split: str = "val",
    root: pathlib.Path | None = None,
    methods: Names | None = None,
    layers: Names | None = None,
    lungs: LungsRun = None,
    batch_size: int = 16,
    seed: int = 0,
) -> None:
    """Compares methods and layers of heat maps: do maps lie on lesions, in the lungs, and depend on weights?

    Prints a table and writes map_methods.csv, with intervals over patients.

    Args:
        run: Run folder, .keras file, or ENTRY:NAME of published weights.
        manifest: CSV with the columns file, patient, split, and lesion_mask (as phantoms have) or mask.
        out: Folder to write to.
        split: The split to measure on. Choose a method on one split and report it on another.
        root: Folder that the manifest's paths are relative to. None: the manifest's own.
        methods: Comma-separated: cam, grad-cam, grad-cam++, layer-cam, hires-cam. None: all.
        layers: Comma-separated names or strides. None: the strides of 4 and more.
        lungs: U-Net that segments the lungs, such as unet:lung. None: the manifest's masks.
        batch_size: Images per step.
        seed: Seed of the random weights.
    """
    import_tensorflow()
    import rich.console

    from semenet.evaluation.explanation.map_comparison import TABLE, compare_map_methods, printed_table
    from semenet.storage.file_names import shown_name

    found = compare_map_methods(
        run,
        manifest,
        split,
        out=out,
        root=root,
        methods=methods,
        layers=layers,
        lungs=lungs,
        batch_size=batch_size,
        seed=seed,
    )
    # Wide enough for all columns; a terminal wraps or scrolls the lines.
    rich.console.Console(width=_TABLE_WIDTH).print(printed_table(found))
    print(shown_name(out / TABLE))


HEAT_MAP_COMMANDS = {"explain": explain, "compare-maps": compare_maps}
