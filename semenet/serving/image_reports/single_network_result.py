"""The report on one image that a single network scored: a classifier, or a segmentation network alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from semenet.data.transforms.lung_view_on_host import Box
from semenet.inference.lung_plausibility import CHECKS, failed_lung_checks
from semenet.serving.image_reports import sentences
from semenet.serving.image_reports.described_networks import DescribedNetwork
from semenet.serving.image_reports.image_report import ImageReport, NetworkReport
from semenet.serving.image_reports.network_report import explained_network, rejected_report
from semenet.serving.image_reports.pictures import Film, encode_webp, outline_path, shares_of_image
from semenet.serving.prediction.network_rows import table_row

if TYPE_CHECKING:
    from semenet.models.receptive_fields import ReceptiveField
    from semenet.training.run_folder.run import Run


class ClassifierResult(NamedTuple):
    """What a classifier received of an image and returned.

    Attributes:
        output: float32 `(K,)`, its probabilities.
        heat: float32 `(h, w)` in [0, 1], for its most probable class.
        geometry: where the cells of `heat` lie, see `semenet.inference.heat_maps.overlays.cell_geometry`.
        received: uint8 `(H, W, C)`.
        box: the rectangle of the original that it received; None for the whole image.
        mask: bool mask of the lungs in the whole image, of any size; None where nothing looked for them.
        view_flags: the checks that the mask failed, separated by spaces, of a network with a lung view; None
            of another one.
    """

    output: np.ndarray
    heat: np.ndarray
    geometry: ReceptiveField | None
    received: np.ndarray
    box: Box | None
    mask: np.ndarray | None
    view_flags: str | None


def classifier_report(
    run: Run | DescribedNetwork,
    file: str | os.PathLike,
    film: Film,
    result: ClassifierResult,
    codes: str,
    gated: bool,
) -> ImageReport:
    """Makes the report on an image that a classifier scored.

    Args:
        run: the network, or its description.
        file: the image's file, or its name.
        film: the image for the screen.
        result: what the network returned.
        codes: the `semenet.inference.input_gate.CODES` that apply, separated by spaces.
        gated: whether an image with a code is rejected, or only flagged.
    """
    row = [*table_row((file, ""), result.output, run, None, not (gated and codes)), codes]
    row += [] if result.view_flags is None else [result.view_flags]
    if gated and codes:
        return rejected_report(row, film, codes.split())
    mask, flags = result.mask, () if result.mask is None else failed_checks(result.mask)
    is_found = mask is not None and not flags
    network = explained_network(
        run,
        film,
        title="Network",
        question=f"{sentences.listed(run.class_names)}?",
        given=sentences.describe_input(
            run, run.lungs_alone, not (flags if result.view_flags is None else result.view_flags)
        ),
        received=result.received,
        probabilities=result.output,
        heat=result.heat,
        geometry=result.geometry,
        box=result.box,
        lungs=mask if is_found else None,
    )
    named = dict(zip(run.class_names, result.output.tolist(), strict=True))
    predicted = row[1 + len(run.class_names)]
    cautions = []
    if network.in_lungs is not None:
        cautions.append(sentences.heat_caution("The network", network.in_lungs, network.lung_area))
    lungs = sentences.LUNGS_UNKNOWN if mask is None else sentences.lung_fact(flags, float(mask.mean()))
    return ImageReport(
        row[0],
        "answer",
        predicted,
        sentences.classifier_sentences(named, predicted, run),
        tuple(row),
        probabilities=named,
        facts=(("Input gate", sentences.gate_fact(codes.split())), ("Lungs", lungs)),
        cautions=tuple(filter(None, cautions)),
        lungs_outline=outline_path(mask) if is_found else "",
        box=shares_of_image(result.box, film.size),
        networks=(network,),
        **film.fields,
    )


def mask_report(
    run: Run | DescribedNetwork,
    row: list,
    film: Film,
    mask: np.ndarray,
    received: np.ndarray,
    codes: str,
    gated: bool,
) -> ImageReport:
    """Makes the report on an image that a segmentation network with one class segmented.

    Args:
        run: the network, or its description.
        row: the image's row in the table: the file, the share of the image, the mask's file and the codes.
        film: the image for the screen.
        mask: bool `(h, w)`, of any size.
        received: uint8 `(H, W, C)`, what the network received.
        codes: as for `classifier_report`.
        gated: as for `classifier_report`.
    """
    if gated and codes:
        return rejected_report(row, film, codes.split())
    return ImageReport(
        row[0],
        "answer",
        run.class_names[0],
        sentences.segmentation_sentences(row[1], run.class_names[0], failed_checks(mask)),
        tuple(row),
        facts=(("Input gate", sentences.gate_fact(codes.split())),),
        # Also of a mask that cannot be lungs: here it is the result.
        lungs_outline=outline_path(mask),
        networks=(
            NetworkReport(
                title="Network",
                question=f"where is the {sentences.shown_class(run.class_names[0])}?",
                name=run.name,
                given=sentences.describe_input(run, alone=False, found=True),
                input_size=run.input_size,
                input_picture=encode_webp(received[..., 0]),
            ),
        ),
        **film.fields,
    )


def failed_checks(mask: np.ndarray) -> tuple[str, ...]:
    """Returns the `semenet.inference.lung_plausibility.CHECKS` that a mask, bool `(h, w)`, fails."""
    failed = failed_lung_checks(tf.constant(mask[np.newaxis])).numpy()[0]
    return tuple(name for name, fails in zip(CHECKS, failed, strict=True) if fails)
