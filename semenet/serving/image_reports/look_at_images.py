"""Looks at radiographs with a cascade or a network, and reports on each for a person."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from semenet.data.images.listing import list_images
from semenet.errors import SemenetError
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.inference.lung_masks import LungMasks
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.cascade.published_cascade import PUBLISHED_CASCADE, open_published_cascade
from semenet.serving.cascade.saved_cascade import is_cascade
from semenet.serving.image_reports.cascade_reports import cascade_reports
from semenet.serving.image_reports.reader_description import describe_cascade, describe_network
from semenet.serving.image_reports.report_list import ImageReports, page_file
from semenet.serving.image_reports.single_network_reports import single_network_reports, table_columns
from semenet.serving.prediction.cascade_predictions import DECISION_COLUMNS
from semenet.storage.file_names import as_paths
from semenet.training.run_folder.run import Run

if TYPE_CHECKING:
    import keras


def look(
    images: str | os.PathLike | Iterable[str | os.PathLike],
    network: Cascade | Run | keras.Model | str | os.PathLike | None = None,
    out: str | os.PathLike | None = None,
    *,
    assets: bool = False,
    lungs: Run | keras.Model | str | os.PathLike | None = None,
    batch_size: int = 16,
    map_choice: MapChoice = DEFAULT_MAPS,
    gated: bool = True,
) -> ImageReports:
    """Reads radiographs with a cascade or a network and reports on each, with pictures and in plain words.

    The numbers are those of `semenet.predict`. A file that cannot be read gets a report with the reason, and
    the others go on.

    Args:
        images: one path or several, files or folders (searched recursively), of PNG, JPEG, TIFF, BMP or
            DICOM.
        network: a cascade, or the folder of a saved one; or a network: a built model, a `Run`, the path of a
            run folder or `.keras` file, or `ENTRY:NAME` of published weights. None for the cascade of
            published networks, `semenet.serving.cascade.published_cascade.PUBLISHED_CASCADE`.
        out: page to write, .html; or None.
        assets: whether the pictures are written beside the page, see `ImageReports.save`.
        lungs: for a single classifier only: a segmentation network that finds the lungs, for the pictures
            and for a classifier that needs them. None for the one of the published cascade.
        batch_size: images per step.
        map_choice: the method and the layer of the heat maps.
        gated: for a single network only: whether images that are not upright frontal radiographs are
            rejected. If not, they are answered, and flagged all the same.

    Returns:
        A report for each image. A notebook shows them.

    Raises:
        ImageError: a path does not exist, or a folder has no image.
        WeightsError: the network cannot be loaded.
        CascadeError: the cascade is not complete.
        OutputError: the page cannot be written.
        SemenetError: an argument is invalid, or a network returns NaN.

    Example:
        >>> reports = semenet.look("images/000000.png", "cascade", "findings.html")
        >>> reports[0].file
        'images/000000.png'
        >>> len(reports[0].sentences)
        2
    """
    if batch_size < 1:
        raise SemenetError(f"`batch_size` must be 1 or more. Received: {batch_size}. The default is 16.")
    if assets and out is None:
        raise SemenetError(
            "Pictures are written beside a page. Received: assets without a page. Give the page with `out`."
        )
    out = None if out is None else page_file(out)
    files = list_images(as_paths(images))
    is_path = isinstance(network, str | os.PathLike)
    if network is None or isinstance(network, Cascade) or (is_path and is_cascade(network)):
        if lungs is not None or not gated:
            raise SemenetError(
                "A cascade has its own segmentation network, and is made with a gate or without. "
                f"Received: {'the published cascade' if network is None else network} with --lungs or "
                "--no-gate. Remove these options, or name a single network."
            )
        if network is None:
            cascade = open_published_cascade()
        else:
            cascade = Cascade.open(network) if is_path else network
        reports = ImageReports(
            tuple(cascade_reports(cascade, files, batch_size, map_choice)),
            describe_cascade(cascade, network if is_path else None),
            ("file", *cascade.class_names, *DECISION_COLUMNS),
            cascade.class_names,
        )
    else:
        run = Run.open(network)
        finder = LungMasks(run) if run.segments else LungMasks.open(lungs or PUBLISHED_CASCADE.lungs)
        reports = ImageReports(
            tuple(single_network_reports(run, files, finder, batch_size, map_choice, gated)),
            describe_network(run, None if run.segments else finder.run),
            tuple(table_columns(run)),
            # The shares of masks stay in double precision, as in the table of `semenet.predict`.
            () if run.segments else run.class_names,
        )
    if out is not None:
        reports.save(out, assets)
    return reports
