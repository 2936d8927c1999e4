"""Reports on the images that a single network scores: a classifier, or a segmentation network alone."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from semenet.data.images.errors import ImageError
from semenet.data.images.timed_reading import read_with_colour
from semenet.data.pipeline.datasets import prepare_image
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice, method_function
from semenet.inference.heat_maps.overlays import cell_geometry
from semenet.inference.lung_masks import LungMasks, resized_mask
from semenet.inference.reading_ahead import read_ahead
from semenet.inference.scoring import scoring_function
from semenet.metrics.probabilities import check_probabilities
from semenet.progress import track
from semenet.serving.image_reports.image_report import ImageReport
from semenet.serving.image_reports.network_report import unreadable_report
from semenet.serving.image_reports.pictures import Film, make_film
from semenet.serving.image_reports.single_network_result import (
    ClassifierResult,
    classifier_report,
    mask_report,
)
from semenet.serving.prediction.cascade_predictions import ERROR
from semenet.serving.prediction.network_gate import GateInput, NetworkGate
from semenet.serving.prediction.network_predictions import network_inputs, prepared_for
from semenet.serving.prediction.network_rows import table_row
from semenet.storage.file_names import shown_name
from semenet.training.run_folder.run import Run


class ReadImage(NamedTuple):
    """An image, prepared for a network, for the segmentation network, for the gate and for the screen."""

    prepared: tuple[np.ndarray | None, np.ndarray | None]
    for_lungs: np.ndarray
    for_gate: GateInput
    film: Film


class LungsOfBatch:
    """The lungs of a batch's images, found once: masks of any size, as `LungMasks` makes them.

    Args:
        probabilities: float `(n, h, w)`, those of the segmentation network.
    """

    def __init__(self, probabilities: np.ndarray) -> None:
        self.probabilities = probabilities

    def segment(self, images: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
        """Returns the masks of the batch in one size, bool `(n, H, W)`."""
        return np.stack([resized_mask(found, size) for found in self.probabilities])

    def segment_in_full(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the masks of the batch, each in the size of its image."""
        return [
            resized_mask(found, image.shape) for found, image in zip(self.probabilities, images, strict=True)
        ]


def single_network_reports(
    run: Run,
    files: Sequence[pathlib.Path],
    lungs: LungMasks,
    batch_size: int = 16,
    map_choice: MapChoice = DEFAULT_MAPS,
    gated: bool = True,
) -> Iterator[ImageReport]:
    """Scores image files with one network and reports on each.

    The numbers are those of `semenet.serving.prediction.network_predictions.predict_network`. A file that
    cannot be read gets a report with the reason, and the others go on.

    Args:
        run: a classifier, or a segmentation network with one class.
        files: the image files.
        lungs: finds the lungs for the pictures, and for a classifier that needs them; the network itself, if
            it segments.
        batch_size: images per step.
        map_choice: method and layer of the heat maps.
        gated: whether images that are not upright frontal radiographs are rejected, or only flagged.

    Yields:
        The reports, in the order of the files.

    Raises:
        SemenetError: unknown method or layer, or the network returns NaN.
    """
    needed = lungs if run.needs_lungs else None
    segment = scoring_function(run) if run.segments else lungs.probabilities
    report = _report_mask if run.segments else _ClassifierReports(run, map_choice)
    unet = lungs.run
    gate = NetworkGate(run.input_size)

    def read(file: pathlib.Path) -> ReadImage | ImageError:
        try:
            image, coloured = read_with_colour(file)
        except ImageError as error:
            return error
        for_lungs = prepare_image(image, unet.input_size, unet.channels, unet.inference_clahe)
        prepared = (None, None) if run.segments else prepared_for(image, run, needed)
        return ReadImage(prepared, for_lungs, gate.prepare(image, coloured), make_film(image))

    at = iter(files)
    for batch in track(read_ahead(files, read, batch_size), len(files), "Predicting"):
        read_images = [image for image in batch if not isinstance(image, ImageError)]
        found = []
        if read_images:
            found = np.asarray(segment(np.stack([image.for_lungs for image in read_images])))
            check_probabilities(found)
        batch_files = [next(at) for _ in batch]
        readable = [
            file for file, image in zip(batch_files, batch, strict=True) if not isinstance(image, ImageError)
        ]
        flags = gate.flags([image.for_gate for image in read_images]) if readable else []
        reports = iter(report(run, readable, read_images, found, flags, gated) if readable else ())
        for file, image in zip(batch_files, batch, strict=True):
            if isinstance(image, ImageError):
                yield unreadable_report(file, image, _unreadable_row(file, run))
            else:
                yield next(reports)


def table_columns(run: Run) -> list[str]:
    """Returns the columns of the table of `semenet.predict` for a single network."""
    last = ["mask" if run.segments else "predicted", "input_flags"]
    return ["file", *run.class_names, *last, *(["lung_flags"] if run.lung_view.needs_mask else [])]


def _unreadable_row(file: pathlib.Path, run: Run) -> list:
    values = {"file": shown_name(file), "predicted": ERROR, "mask": "", "input_flags": "", "lung_flags": ""}
    return [values.get(column) for column in table_columns(run)]


class _ClassifierReports:
    """Reports on batches for one classifier, whose graphs are traced once."""

    def __init__(self, run: Run, map_choice: MapChoice) -> None:
        maps = map_choice.of(run.model)
        self._score = scoring_function(run)
        self._explain = method_function(maps.method)(run.model, maps.layer)
        self._geometry = cell_geometry(run, maps.layer)

    def __call__(
        self,
        run: Run,
        files: Sequence[pathlib.Path],
        images: Sequence[ReadImage],
        lung_probabilities: np.ndarray,
        input_flags: Sequence[str],
        gated: bool,
    ) -> Iterator[ImageReport]:
        lungs = LungsOfBatch(lung_probabilities)
        inputs = network_inputs([image.prepared for image in images], run, lungs if run.needs_lungs else None)
        outputs = self._score(inputs.images).numpy()
        check_probabilities(outputs)
        heats, _ = self._explain(inputs.images, outputs.argmax(axis=1))
        for index, (file, image) in enumerate(zip(files, images, strict=True)):
            mask = lungs.probabilities[index]
            yield classifier_report(
                run,
                file,
                image.film,
                ClassifierResult(
                    outputs[index],
                    heats[index],
                    self._geometry,
                    inputs.images[index],
                    None if inputs.boxes is None else inputs.boxes[index],
                    resized_mask(mask, mask.shape),
                    None if inputs.flags is None else inputs.flags[index],
                ),
                input_flags[index],
                gated,
            )


def _report_mask(
    run: Run,
    files: Sequence[pathlib.Path],
    images: Sequence[ReadImage],
    probabilities: np.ndarray,
    input_flags: Sequence[str],
    gated: bool,
) -> Iterator[ImageReport]:
    """Reports on a batch for a segmentation network."""
    for file, image, found, codes in zip(files, images, probabilities, input_flags, strict=True):
        mask = resized_mask(found[..., 0], found.shape[:2])
        row = [*table_row((file, ""), found, run, None, not (gated and codes)), codes]
        yield mask_report(run, row, image.film, mask, image.for_lungs, codes, gated)
