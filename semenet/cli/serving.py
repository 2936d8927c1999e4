"""The commands `look`, `export`, `cascade` and `serve`. Heavy modules are imported inside the functions."""

import contextlib
import pathlib
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from semenet.cli.help.argument_types import Images, LungsRun, MapLayer, OptionalMapMethod, Positional, RunPath
from semenet.cli.progress import progress_bars
from semenet.cli.tensorflow_import import import_tensorflow
from semenet.errors import SemenetError
from semenet.serving.server.options import ServerOptions

if TYPE_CHECKING:
    import rich.table

    from semenet.serving.image_reports.report_list import ImageReports

# More rows would only scroll away; the page has them all.
MOST_ROWS = 40


def look(
    images: Images,
    out: pathlib.Path = pathlib.Path("findings.html"),
    network: Annotated[
        pathlib.Path | None, tyro.conf.arg(name="with", metavar="CASCADE|RUN|ENTRY:NAME")
    ] = None,
    assets: bool = False,
    lungs: LungsRun = None,
    batch_size: int = 16,
    map_method: OptionalMapMethod = None,
    map_layer: MapLayer = "features",
    gate: bool = True,
) -> None:
    """Says what the published cascade finds in radiographs, and why: prints a table and writes a page.

    A file that cannot be read is listed with the reason, and the others go on.

    Args:
        images: Radiographs (PNG, JPEG, TIFF, BMP, DICOM), or folders of radiographs.
        out: Page to write, .html; it needs no other file and no network.
        network: Cascade's folder, run folder, .keras file, or ENTRY:NAME of published weights. None: the
            published cascade.
        assets: Write the pictures beside the page, into a folder; for hundreds of images.
        lungs: For a single classifier: the U-Net that finds the lungs. None: the published one.
        batch_size: Images per step.
        map_method: Method of the heat maps, as in `semenet explain`. None: cam, or grad-cam where it is not
            possible.
        map_layer: Layer of the heat maps, by name or stride.
        gate: Reject images that are not upright frontal radiographs; --no-gate answers and only flags them.
            Not for a cascade, which is made with a gate or without.
    """
    import_tensorflow()
    import rich.console

    from semenet.inference.heat_maps.map_choice import MapChoice
    from semenet.serving.image_reports.look_at_images import look as look_at
    from semenet.serving.image_reports.page import RESEARCH_USE
    from semenet.storage.file_names import shown_name

    reports = look_at(
        images,
        network,
        out,
        assets=assets,
        lungs=lungs,
        batch_size=batch_size,
        map_choice=MapChoice(map_method, map_layer),
        gated=gate,
    )
    rich.console.Console().print(printed_table(reports))
    if len(reports) > MOST_ROWS:
        print(f"... and {len(reports) - MOST_ROWS} more images on the page.")
    print(RESEARCH_USE)
    print(f"{summary(reports)} Open {shown_name(out)}")


def printed_table(reports: "ImageReports") -> "rich.table.Table":
    """Returns the table for the terminal: file, result and reason of the first `MOST_ROWS` images."""
    import rich.table
    import rich.text

    from semenet.serving.image_reports.page import OUTCOMES
    from semenet.serving.image_reports.sentences import shown_class

    styles = {"answer": "bold cyan", "abstain": "bold yellow", "rejected": "magenta", "error": "red"}
    table = rich.table.Table("image", "result", "why", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for report in reports[:MOST_ROWS]:
        is_class = report.outcome == "answer" and report.probabilities
        result = shown_class(report.predicted) if is_class else OUTCOMES[report.outcome][0].lower()
        if report.outcome == "answer" and not report.probabilities:
            result = shown_class(report.predicted)
        why = report.sentences[-1] if report.outcome == "error" else " ".join(report.sentences)
        # Text, so that square brackets in a file's name are no markup.
        table.add_row(
            rich.text.Text(pathlib.PurePath(report.file).name, overflow="fold"),
            rich.text.Text(result, style=styles[report.outcome]),
            rich.text.Text(why),
        )
    return table


def summary(reports: "ImageReports") -> str:
    """Counts the outcomes in words, such as "3 images: 2 answered, 1 no answer."."""
    from semenet.serving.image_reports.page import OUTCOMES

    counts = reports.counts()
    words = [f"{counts[name]} {OUTCOMES[name][0].lower()}" for name in OUTCOMES if name in counts]
    return f"{len(reports)} image{'' if len(reports) == 1 else 's'}: {', '.join(words)}."


def export(
    run: RunPath,
    folder: Positional[pathlib.Path],
    format: Literal["savedmodel", "onnx", "openvino", "litert"] = "savedmodel",
    tf_serving: str | None = None,
    int8: bool = False,
    calibration: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="CSV_OR_FOLDER")] = None,
    lungs: LungsRun = None,
    map_method: OptionalMapMethod = None,
    map_layer: MapLayer = "features",
) -> None:
    """Exports a network as a SavedModel that takes the bytes of image files, or in another format.

    The other formats take prepared images. They are compared with Keras when they are written.

    Args:
        run: Run folder, .keras file, or ENTRY:NAME of published weights; a cascade's folder for a SavedModel.
        folder: New or empty folder.
        format: A SavedModel; or a file for ONNX Runtime, OpenVINO or LiteRT.
        tf_serving: Model name for TensorFlow Serving. FOLDER gets NAME/VERSION, with the next free version,
            and the server's configuration.
        int8: Write an int8 network too; not for a SavedModel.
        calibration: For int8: manifest, whose split train is used, or folder of images to calibrate on.
        lungs: For a SavedModel of a network that needs the lungs: a U-Net, such as unet:lung, which
            the SavedModel then includes.
        map_method: Method of a SavedModel's heat maps, as in `semenet explain`. None: cam, or grad-cam where
            it is not possible.
        map_layer: Layer of a SavedModel's heat maps, by name or stride.
    """
    import_tensorflow()
    from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
    from semenet.serving.exports.runtime_formats import export_format
    from semenet.serving.exports.saved_model import export as export_saved_model
    from semenet.serving.exports.tf_serving import export_for_tf_serving

    maps = MapChoice(map_method, map_layer)
    if format != "savedmodel" and maps != DEFAULT_MAPS:
        raise SemenetError(
            f"Only a SavedModel has heat maps. Received: --map-method or --map-layer with --format {format}. "
            "Leave them out, or export a SavedModel."
        )
    if format == "savedmodel":
        if int8 or calibration is not None:
            raise SemenetError(
                "A SavedModel computes in float32. Received: --int8 or --calibration without another "
                "--format. Add --format openvino, onnx or litert."
            )
        with progress_bars() as progress:
            if tf_serving is None:
                saved = export_saved_model(run, folder, progress, lungs, maps)
            else:
                saved = export_for_tf_serving(run, folder, tf_serving, progress, lungs, maps)
    elif lungs is not None:
        raise SemenetError(
            "Only a SavedModel includes the U-Net that finds the lungs; the other formats take prepared "
            f"images. Received: --lungs with --format {format}. Leave one of them out."
        )
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
    stage1: Annotated[pathlib.Path, tyro.conf.arg(metavar="STAGE1"), Positional],
    lungs: Annotated[pathlib.Path, tyro.conf.arg(metavar="LUNGS"), Positional],
    stage2: Annotated[pathlib.Path, tyro.conf.arg(metavar="STAGE2"), Positional],
    out: pathlib.Path,
    refines: str = "virus",
    gate: bool = True,
) -> None:
    """Combines a classifier, a U-Net and a classifier of lungs into a cascade, written to one folder.

    Args:
        stage1: Classifier: run folder, .keras file, or ENTRY:NAME of published weights, such as
            seme_resnet50:hospitals.
        lungs: U-Net that segments the lungs, given in the same way.
        stage2: Classifier of lungs, alone or cut to their box, given in the same way. Its classes replace one
            class of stage 1.
        out: New or empty folder.
        refines: The class of stage 1 that stage 2 divides.
        gate: Reject images that are not upright frontal radiographs; --no-gate accepts all.
    """
    import_tensorflow()
    from semenet.progress import step
    from semenet.serving.cascade.cascade import Cascade
    from semenet.storage.atomic import check_new_folder

    check_new_folder(out)
    with progress_bars() as progress:
        with step(progress, "loading"):
            composed = Cascade(stage1, lungs, stage2, refines=refines, gated=gate)
        with step(progress, "writing"):
            folder = composed.save(out)
    for stage, run in composed.runs.items():
        print(f"{stage}: {run.name}: {', '.join(run.class_names)}")
    if not composed.stage2.needs_lungs:
        print(
            "warning: stage 2 receives images in which everything but the lungs is black. "
            f"{composed.stage2.name} does not record that it was trained on such images. If it was not, its "
            "probabilities are unreliable.",
            file=sys.stderr,
        )
    print(f"{folder}: {', '.join(composed.class_names)}")


def serve(
    folder: Annotated[pathlib.Path, tyro.conf.arg(metavar="DIR"), Positional],
    name: str | None = None,
    options: Annotated[ServerOptions, tyro.conf.arg(name="")] = ServerOptions(),
) -> None:
    """Serves a SavedModel with TF Serving's REST interface, until SIGTERM or an interrupt.

    Args:
        folder: SavedModel, or folder of versions, such as DIR/1: the highest is served.
        name: The model's name in addresses. None: the folder's name.
        options: Address and limits.
    """
    from semenet.serving.server.startup import serve as run

    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(progress_bars())

        def show(step: str, done: int, total: int | None) -> None:
            progress(step, done, total)
            # Not before the first step: a port that is in use is reported at once.
            import_tensorflow()

        def started(line: str) -> None:
            stack.close()
            # Programs that start the server wait for this line.
            print(line, flush=True)

        run(folder, options, name, started, show)
