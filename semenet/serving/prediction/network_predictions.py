"""Scores radiographs, on disk or in memory, with one network."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from semenet.data.images.errors import ImageError
from semenet.data.images.listing import list_images
from semenet.data.images.timed_reading import read_with_colour
from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.inference.array_images import as_images, grey_levels
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.inference.lung_masks import LungMasks, keep_only_lungs
from semenet.inference.network_inputs import NetworkInputs, prepare_views, stack_views
from semenet.inference.reading_ahead import read_ahead
from semenet.inference.scoring import scoring_function
from semenet.metrics.probabilities import check_probabilities
from semenet.progress import track
from semenet.serving.prediction.map_files import MapFiles
from semenet.serving.prediction.network_gate import GateInput, NetworkGate
from semenet.serving.prediction.network_rows import NamedFile, table_row
from semenet.storage.atomic import output_file, unique_stems, write_text
from semenet.storage.csv_cells import csv_text
from semenet.storage.file_names import as_paths, shown_name
from semenet.training.run_folder.run import Run

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 16

# An image as the network takes it, unless this depends on its lungs, and the original if these must be found.
ReadImage = tuple[np.ndarray | None, np.ndarray | None]


def predict_network(
    network: Run | keras.Model | str | os.PathLike,
    images: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike | None = None,
    *,
    on_error: Literal["raise", "skip"] = "raise",
    batch_size: int = BATCH_SIZE,
    tta: int = 1,
    lungs: Run | keras.Model | str | os.PathLike | None = None,
    maps: str | os.PathLike | None = None,
    map_choice: MapChoice = DEFAULT_MAPS,
    gated: bool = True,
) -> pd.DataFrame:
    """Scores image files with one network, with its calibration if it has one.

    Args:
        network: a built model, a `Run`, the path of a run folder or `.keras` file, or `ENTRY:NAME` of
            published weights.
        images: one path or several, files or folders (searched recursively), of PNG, JPEG, TIFF, BMP or
            DICOM.
        out: CSV to write, or None. The masks of a segmentation network are written to the folder
            `<stem of out>_masks`, as 8-bit PNG in the size of each image: 255 inside, 0 outside.
        on_error: "raise" stops at the first file that cannot be read, and writes no CSV; "skip" omits such
            files and lists them with reasons, on stderr and in `<stem of out>_errors.csv`.
        batch_size: images per step.
        tta: test-time augmentation: the number of views to average, as for
            `semenet.inference.scoring.scoring_function`.
        lungs: a segmentation network that finds the lungs, given like `network`. Used only if `network` needs
            them: to set the rest of each image to black, to cut the image to their box, or to standardise its
            grey levels.
        maps: folder for the heat maps of the predicted classes, see
            `semenet.serving.prediction.map_files.MapFiles`; or None. They show the original view.
        map_choice: their method and layer.
        gated: whether to reject images that are not upright frontal radiographs, see
            `semenet.inference.input_gate`. If not, they are answered, and flagged all the same.

    Returns:
        One row per image: `file` (by `semenet.storage.file_names.shown_name`), one column of probabilities
        per class, and `predicted` (of a network with sigmoid outputs, the findings that reach their
        thresholds, joined by `|`, or "no finding"); for a segmentation network the share of the image that
        belongs to the class, and `mask`, the file of the mask or "". Then `input_flags`, the codes of the
        input gate that apply: a rejected image has 0 for every class, "rejected" and no mask. For a network
        with a lung view also `lung_flags`, the checks of `semenet.inference.failed_lung_checks` that the lung
        mask failed (if it failed any, the network saw the whole image). Flags are separated by spaces.

    Raises:
        ImageError: a file cannot be read, a path does not exist, or a folder has no image.
        WeightsError: the network cannot be loaded.
        RunFolderError: the calibration is invalid, or belongs to another network.
        SemenetError: `on_error` or `tta` is invalid; `lungs` is missing or does not segment; `maps` of a
            segmentation network; unknown method or layer; or the network returns NaN.
    """
    if on_error not in ("raise", "skip"):
        raise SemenetError(
            f"`on_error` must be 'raise' or 'skip'. Received: {on_error!r}. "
            "Use 'skip' to continue after unreadable files."
        )
    if batch_size < 1:
        raise SemenetError(f"`batch_size` must be 1 or more. Received: {batch_size}. The default is 16.")
    files = list_images(as_paths(images))
    out = None if out is None else output_file(out)
    run = Run.open(network)
    if run.segments and len(run.class_names) > 1:
        raise SemenetError(
            "Masks can be written for a network with one class. "
            f"Received: {run.name} with {', '.join(run.class_names)}. Use its model from Python."
        )
    finder = lung_finder(run, lungs)
    score = scoring_function(run, tta)
    map_files = None if maps is None else _map_files(run, maps, map_choice)
    items = list(zip(files, unique_stems(files), strict=True))
    gate = NetworkGate(run.input_size)
    rows, errors = [], []
    for batch in track(_batches(items, run, finder, gate, batch_size, on_error), len(files), "Predicting"):
        unreadable = [(file, image) for (file, _), image in batch if isinstance(image, ImageError)]
        errors += [(shown_name(file), str(error)) for file, error in unreadable]
        read = [(item, image) for item, image in batch if not isinstance(image, ImageError)]
        if read:
            inputs = network_inputs([image for _, (image, _) in read], run, finder)
            outputs = score(inputs.images).numpy()
            check_probabilities(outputs)
            input_flags = gate.flags([for_gate for _, (_, for_gate) in read])
            accepted = [number for number, codes in enumerate(input_flags) if not (gated and codes)]
            if map_files is not None and accepted:
                _explain(map_files, [item for item, _ in read], inputs, outputs, accepted)
            for number, (item, _) in enumerate(read):
                row = table_row(item, outputs[number], run, out, number in accepted)
                lung_flags = [] if inputs.flags is None else [inputs.flags[number]]
                rows.append([*row, input_flags[number], *lung_flags])
    last = ["mask" if run.segments else "predicted", "input_flags"]
    last += ["lung_flags"] if run.lung_view.needs_mask else []
    frame = pd.DataFrame(rows, columns=["file", *run.class_names, *last])
    if not run.segments:
        # In float32, so that the CSV has exactly the digits that `semenet evaluate` writes.
        frame = frame.astype(dict.fromkeys(run.class_names, np.float32))
    if map_files is not None:
        map_files.finish()
    if out is not None:
        write_text(out, csv_text(frame))
    _report_errors(errors, out)
    return frame


def predict_arrays(
    network: Run | keras.Model | str | os.PathLike,
    images: np.ndarray | Iterable[np.ndarray],
    *,
    lungs: Run | keras.Model | str | os.PathLike | None = None,
) -> np.ndarray:
    """Scores images in memory with one network, with its calibration if it has one.

    For a cascade, use `semenet.Cascade.predict`, which also returns reasons and lung masks.

    Args:
        network: a built model, a `Run`, the path of a run folder or `.keras` file, or `ENTRY:NAME` of
            published weights.
        images: N arrays `(H, W)` or `(H, W, 1)` of any sizes, uint8 or float in [0, 255]; or a single one.
        lungs: as for `semenet.predict`.

    Returns:
        The probabilities, float32 `(N, K)`, or `(N, h, w, K)` for a segmentation network.

    Raises:
        WeightsError: the network cannot be loaded.
        RunFolderError: as for `semenet.predict`.
        SemenetError: there is no image, or one is not a finite array with two axes; `lungs` is missing or
            does not segment; or the network returns NaN.

    Example:
        >>> images = np.random.default_rng(0).integers(0, 256, (3, 100, 90))
        >>> probabilities = semenet.predict_arrays("run", images)
        >>> probabilities.shape
        (3, 3)
    """
    run = Run.open(network)
    finder = lung_finder(run, lungs)
    read = [
        prepared_for(grey_levels(image, f"image {number}"), run, finder)
        for number, image in enumerate(as_images(images))
    ]
    if not read:
        raise SemenetError("There must be one image or more. Received: none. Give a sequence of arrays.")
    score = scoring_function(run)
    batches = (read[start : start + BATCH_SIZE] for start in range(0, len(read), BATCH_SIZE))
    probabilities = np.concatenate(
        [score(network_inputs(batch, run, finder).images).numpy() for batch in batches]
    )
    check_probabilities(probabilities)
    return probabilities


def _explain(
    map_files: MapFiles,
    items: Sequence[NamedFile],
    inputs: NetworkInputs,
    outputs: np.ndarray,
    accepted: Sequence[int],
) -> None:
    boxes = None if inputs.boxes is None else [inputs.boxes[number] for number in accepted]
    shown = outputs[accepted].argmax(axis=1)
    map_files.explain([items[number] for number in accepted], inputs.images[accepted], shown, boxes)


def _map_files(run: Run, folder: str | os.PathLike, maps: MapChoice) -> MapFiles:
    if run.segments:
        raise SemenetError(
            f"Heat maps explain a classifier. Received: --maps for {run.name}, a segmentation network, whose "
            "output is a map already. Leave --maps out."
        )
    return MapFiles(folder, run, maps)


def lung_finder(run: Run, lungs: Run | keras.Model | str | os.PathLike | None) -> LungMasks | None:
    """Returns the source of lung masks for a network that needs them, and None for others."""
    if not run.needs_lungs:
        return None
    if lungs is None:
        raise SemenetError(
            "A network that takes lungs alone, cut to their box or standardised inside them, needs lung "
            f"masks. Received: {run.name} and images without masks; its probabilities for whole images are "
            "meaningless. Give a U-Net's run with --lungs, such as unet:lung."
        )
    return LungMasks.open(lungs)


def prepared_for(image: np.ndarray, run: Run, finder: LungMasks | None) -> ReadImage:
    """Prepares one image for a network.

    Args:
        image: uint8 `(H, W)` in [0, 255].
        run: the network.
        finder: the source of lung masks; None for a network that needs none.

    Returns:
        The image as the network takes it, None if this depends on its lungs; and the original if its lungs
        must be found, else None.
    """
    if run.lung_view.needs_mask:
        # Prepared once the lungs are known.
        return None, image
    prepared = prepare_image(image, run.input_size, run.channels, run.inference_clahe)
    return prepared, None if finder is None else image


def network_inputs(read: Sequence[ReadImage], run: Run, finder: LungMasks | None) -> NetworkInputs:
    """Stacks a batch, and finds the lungs if there is a finder.

    Args:
        read: results of `prepared_for`.
        run: the network.
        finder: as for `prepared_for`; only its `segment` and `segment_in_full` are called.
    """
    prepared, originals = zip(*read, strict=True)
    if run.lung_view.needs_mask:
        return stack_views(prepare_views(originals, finder.segment_in_full(originals), run), run)
    inputs = np.stack(prepared)
    if finder is not None:
        inputs = keep_only_lungs(inputs, finder.segment(originals, run.input_size))
    return NetworkInputs(inputs)


def _batches(
    items: Sequence[NamedFile],
    run: Run,
    finder: LungMasks | None,
    gate: NetworkGate,
    batch_size: int,
    on_error: str,
) -> Iterator[list[tuple[NamedFile, tuple[ReadImage, GateInput] | ImageError]]]:
    """Yields batches of files with their images, prepared for network and gate, or the errors of others."""

    def read(item: NamedFile) -> tuple[NamedFile, tuple[ReadImage, GateInput] | ImageError]:
        try:
            image, coloured = read_with_colour(item[0])
            return item, (prepared_for(image, run, finder), gate.prepare(image, coloured))
        except ImageError as error:
            if on_error == "raise":
                raise
            return item, error

    return read_ahead(items, read, batch_size)


def _report_errors(errors: list[tuple[str, str]], out: pathlib.Path | None) -> None:
    for _, reason in errors:
        print(f"skipped: {reason}", file=sys.stderr)
    if errors and out is not None:
        listing = out.with_name(f"{out.stem}_errors.csv")
        write_text(listing, csv_text(pd.DataFrame(errors, columns=["file", "reason"])))
        print(f"{len(errors)} files were skipped: {shown_name(listing)}", file=sys.stderr)
