"""Reports on the images that a cascade classifies."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from semenet.data.images.errors import ImageError
from semenet.data.images.timed_reading import read_with_colour
from semenet.data.transforms.lung_view_on_host import Box
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.inference.heat_maps.overlays import cell_geometry
from semenet.inference.reading_ahead import read_ahead
from semenet.models.receptive_fields import ReceptiveField
from semenet.progress import track
from semenet.serving.cascade.cascade import Cascade, PreparedImage
from semenet.serving.cascade.decisions import ABSTAIN
from semenet.serving.cascade.results import CascadeResult
from semenet.serving.image_reports import sentences
from semenet.serving.image_reports.described_networks import DescribedCascade
from semenet.serving.image_reports.image_report import ImageReport, NetworkReport
from semenet.serving.image_reports.network_report import (
    explained_network,
    rejected_report,
    unreadable_report,
)
from semenet.serving.image_reports.pictures import Film, make_film, outline_path, shares_of_image
from semenet.serving.prediction.cascade_predictions import decision_row, unreadable_row

_STAGES = ("stage1", "stage2")


class ReadImage(NamedTuple):
    """An image, prepared for the cascade and for the screen."""

    prepared: PreparedImage
    film: Film


def cascade_reports(
    cascade: Cascade,
    files: Sequence[pathlib.Path],
    batch_size: int = 16,
    map_choice: MapChoice = DEFAULT_MAPS,
) -> Iterator[ImageReport]:
    """Classifies image files with a cascade and reports on each.

    The numbers are those of `semenet.serving.prediction.cascade_predictions.predict_cascade`. A file that
    cannot be read gets a report with the reason, and the others go on.

    Args:
        cascade: the cascade.
        files: the image files.
        batch_size: images per step.
        map_choice: method and layer of the heat maps.

    Yields:
        The reports, in the order of the files.

    Raises:
        SemenetError: unknown method or layer, or a network returns NaN.
    """
    geometries = {}
    for stage in _STAGES:
        run = cascade.runs[stage]
        geometries[stage] = cell_geometry(run, map_choice.of(run.model).layer)

    def read(file: pathlib.Path) -> ReadImage | ImageError:
        try:
            image, coloured = read_with_colour(file)
            return ReadImage(cascade.prepare(image, coloured), make_film(image))
        except ImageError as error:
            return error

    at = iter(files)
    for batch in track(read_ahead(files, read, batch_size), len(files), "Classifying"):
        prepared = [image.prepared for image in batch if not isinstance(image, ImageError)]
        result = cascade.decide(prepared, map_choice) if prepared else None
        index = 0
        for image in batch:
            file = next(at)
            if isinstance(image, ImageError):
                yield unreadable_report(file, image, unreadable_row(file, cascade))
                continue
            yield cascade_report(file, image.film, cascade, result, index, geometries)
            index += 1


def cascade_report(
    file: str | os.PathLike,
    film: Film,
    cascade: Cascade | DescribedCascade,
    result: CascadeResult,
    index: int,
    geometries: Mapping[str, ReceptiveField | None],
) -> ImageReport:
    """Makes the report on one image of a cascade's result.

    Args:
        file: the image's file, or its name.
        film: the image for the screen.
        cascade: the cascade, or its description.
        result: the result, with heat maps and inputs.
        index: the image's place in the result.
        geometries: for "stage1" and "stage2" where the cells of the heat map lie, see `cell_geometry`.
    """
    row = decision_row(file, result, index)
    flags, lung_flags = result.input_flags[index], result.lung_flags[index]
    if flags:
        return rejected_report(row, film, flags)
    first, second, joint = (
        dict(zip(names, values[index].tolist(), strict=True))
        for names, values in (
            (cascade.stage1.class_names, result.stage1_probabilities),
            (cascade.stage2.class_names, result.stage2_probabilities),
            (cascade.class_names, result.probabilities),
        )
    )
    mask = result.lung_masks[index]
    networks = tuple(
        _stage(stage, film, cascade, result, index, geometries[stage], None if lung_flags else mask)
        for stage in _STAGES
    )
    gate = "Accepted: an upright frontal chest radiograph." if cascade.gated else "Not used."
    lungs = sentences.lung_fact(lung_flags, float(mask.mean()))
    cautions = [
        sentences.heat_caution(network.title, network.in_lungs, network.lung_area)
        for network in networks
        if network.in_lungs is not None
    ]
    if lung_flags:
        cautions.append(
            "The lungs were not found: networks that need them received the whole image, which they were not "
            "trained on."
        )
    return ImageReport(
        row[0],
        "abstain" if result.reasons[index].startswith(ABSTAIN) else "answer",
        result.predicted[index],
        sentences.cascade_sentences(result.reasons[index], cascade.rule, first, second, joint),
        tuple(row),
        probabilities=joint,
        facts=(("Input gate", gate), ("Lungs", lungs)),
        cautions=tuple(filter(None, cautions)),
        lungs_outline="" if lung_flags else outline_path(mask),
        box=shares_of_image(_last_box(result, index), film.size),
        networks=networks,
        **film.fields,
    )


def _stage(
    stage: str,
    film: Film,
    cascade: Cascade | DescribedCascade,
    result: CascadeResult,
    index: int,
    geometry: ReceptiveField | None,
    lungs: np.ndarray | None,
) -> NetworkReport:
    run = cascade.runs[stage]
    is_second = stage == "stage2"
    # A second stage without a lung view receives lungs alone, whatever it was trained on.
    alone = run.lungs_alone or (is_second and not run.lung_view.needs_mask)
    return explained_network(
        run,
        film,
        title=f"Stage {1 + is_second}",
        question=_question(cascade, is_second),
        given=sentences.describe_input(run, alone, lungs is not None),
        received=getattr(result, f"{stage}_inputs")[index],
        probabilities=getattr(result, f"{stage}_probabilities")[index],
        heat=getattr(result, f"{stage}_heat_maps")[index],
        geometry=geometry,
        box=_box(result, stage, index),
        lungs=lungs,
    )


def _question(cascade: Cascade | DescribedCascade, is_second: bool) -> str:
    if is_second:
        divided = sentences.shown_class(cascade.rule.refines)
        return f"if {divided}: {sentences.listed(cascade.stage2.class_names)}?"
    return f"{sentences.listed(cascade.stage1.class_names)}?"


def _box(result: CascadeResult, stage: str, index: int) -> Box | None:
    boxes = getattr(result, f"{stage}_boxes")
    return None if boxes is None else Box(*boxes[index].tolist())


def _last_box(result: CascadeResult, index: int) -> Box | None:
    """Returns the box of the last stage that has one."""
    boxes = [box for stage in _STAGES if (box := _box(result, stage, index)) is not None]
    return boxes[-1] if boxes else None
