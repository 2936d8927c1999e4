"""The part of a report that shows one network, and the report on a file that cannot be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from semenet.data.images.errors import ImageError
from semenet.data.transforms.lung_view_on_host import Box
from semenet.serving.cascade.decisions import REJECTED
from semenet.serving.image_reports.image_report import ImageReport, NetworkReport
from semenet.serving.image_reports.pictures import Film, draw_map, draw_map_layer, encode_webp, locate_heat
from semenet.serving.image_reports.sentences import NOT_READ, network_confidence, rejected_sentences
from semenet.storage.file_names import shown_name

if TYPE_CHECKING:
    from semenet.models.receptive_fields import ReceptiveField
    from semenet.serving.image_reports.described_networks import DescribedNetwork
    from semenet.training.run_folder.run import Run


def explained_network(
    run: Run | DescribedNetwork,
    film: Film,
    *,
    title: str,
    question: str,
    given: str,
    received: np.ndarray,
    probabilities: np.ndarray,
    heat: np.ndarray,
    geometry: ReceptiveField | None,
    box: Box | None,
    lungs: np.ndarray | None,
) -> NetworkReport:
    """Makes the report on a classifier.

    Args:
        run: the network.
        film: the radiograph.
        title: its place.
        question: what it was asked.
        given: what it received, in words.
        received: uint8 `(H, W, C)`, what it received.
        probabilities: float32 `(K,)`.
        heat: float32 `(h, w)` in [0, 1], for its most probable class.
        geometry: as for `semenet.inference.heat_maps.overlays.resize_heat_map`.
        box: the rectangle of the original that it received; None for the whole image.
        lungs: bool mask of the whole image, in any size; None where they were not found.
    """
    located = None if lungs is None else locate_heat(heat, lungs, geometry, box, film.size)
    in_lungs, area = located or (None, None)
    return NetworkReport(
        title=title,
        question=question,
        name=run.name,
        given=given,
        input_size=received.shape[:2],
        # All channels are equal.
        input_picture=encode_webp(received[..., 0]),
        class_names=run.class_names,
        probabilities=tuple(probabilities.tolist()),
        confidence=None if run.thresholds is not None else network_confidence(run),
        thresholds=run.thresholds,
        explained=run.class_names[int(probabilities.argmax())],
        heat_map=heat,
        map_picture=draw_map(film, heat, geometry, box),
        map_layer=draw_map_layer(film, heat, geometry, box),
        in_lungs=in_lungs,
        lung_area=area,
    )


def rejected_report(row: list, film: Film, flags: Sequence[str]) -> ImageReport:
    """Makes the report on an image that the input gate rejects.

    Args:
        row: its row in the table, which begins with the file's name.
        film: the image.
        flags: the codes of `semenet.inference.input_gate.CODES` that apply.
    """
    words = rejected_sentences(flags)
    return ImageReport(row[0], "rejected", REJECTED, words, tuple(row), **film.fields)


def unreadable_report(file: str | os.PathLike, error: ImageError, row: list) -> ImageReport:
    """Makes the report on a file that cannot be read.

    Args:
        file: the file.
        error: what is wrong with it.
        row: its row in the table.
    """
    words = (NOT_READ, str(error))
    return ImageReport(shown_name(file), "error", "error", words, tuple(row))
