"""The description of an exported model for the page of `semenet serve`."""

from __future__ import annotations

import os

from semenet.inference.heat_maps.overlays import cell_geometry
from semenet.serving.exports.lung_servable import LungServable
from semenet.serving.exports.servables import CascadeServable, NetworkServable
from semenet.serving.image_reports.described_networks import DescribedReader, describe_for_reports
from semenet.serving.image_reports.reader_description import describe_cascade, describe_network

# Its key in the description of a SavedModel.
REPORT = "report"

Servable = NetworkServable | LungServable | CascadeServable


def report_description(servable: Servable, path: str | os.PathLike) -> DescribedReader:
    """Describes an exported model for reports.

    Args:
        servable: the model.
        path: what it was made of; the folder of a cascade tells where its networks came from.
    """
    if isinstance(servable, CascadeServable):
        cascade = servable.cascade
        geometries = {
            stage: cell_geometry(cascade.runs[stage], servable.maps.of(cascade.runs[stage].model).layer)
            for stage in ("stage1", "stage2")
        }
        return describe_for_reports(describe_cascade(cascade, path), cascade.runs, geometries, cascade)
    run = servable.run
    lungs = servable.lungs if isinstance(servable, LungServable) else None
    geometry = None if run.segments else cell_geometry(run, servable.maps.layer)
    networks = {"network": run} | ({} if lungs is None else {"lungs": lungs})
    return describe_for_reports(describe_network(run, lungs), networks, {"network": geometry})
