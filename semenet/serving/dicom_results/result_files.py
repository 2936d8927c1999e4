"""Writes the DICOM objects about a cascade's answers to a folder."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import io
import json
import os
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from semenet.data.images.formats.dicom import HEAD_BYTES, is_dicom
from semenet.data.images.reading import read_image
from semenet.data.transforms.host import resize_mask
from semenet.data.transforms.lung_view_on_host import Box
from semenet.errors import SemenetError
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.inference.heat_maps.overlays import cell_geometry, overlay_heat_map
from semenet.serving.dicom_results.finding import DicomResultError, ImageFinding, read_header
from semenet.storage.atomic import output_folder, write_bytes

if TYPE_CHECKING:
    from pydicom import Dataset

    from semenet.serving.cascade.cascade import Cascade
    from semenet.serving.cascade.results import CascadeResult

STAGES = ("stage1", "stage2")
REPORT = "report"


class DicomResults:
    """Results of a cascade as DICOM objects, beside which the radiographs remain as they are.

    For each DICOM image: `<stem>_report.dcm`, a Structured Report (TID 1500); unless the input gate rejected
    the image, `<stem>_lungs.dcm`, a Segmentation, and `<stem>_stage1.dcm` and `<stem>_stage2.dcm`, Secondary
    Captures of the heat maps. All belong to the study and the patient of the image, refer to it, and have
    UIDs that are always the same for the same image and networks.

    Args:
        folder: the folder to write to; created if missing.
        cascade: the cascade.
        maps: the method and the layer of the heat maps.

    Attributes:
        left_out: the images for which nothing was written, each with the reason.

    Raises:
        OutputError: the folder cannot be written.
        SemenetError: highdicom is not installed; or unknown method or layer.
    """

    def __init__(self, folder: str | os.PathLike, cascade: Cascade, maps: MapChoice = DEFAULT_MAPS) -> None:
        if importlib.util.find_spec("highdicom") is None:
            raise SemenetError(
                "DICOM results need highdicom, which is not installed. Received: --dicom-out "
                f"{os.fspath(folder)}. Run: pip install 'semenet[dicom]'"
            )
        self.folder = output_folder(folder)
        self.left_out: list[tuple[pathlib.Path, str]] = []
        self._cascade = cascade
        runs = {stage: cascade.runs[stage] for stage in STAGES}
        self._geometry = {stage: cell_geometry(run, maps.of(run.model).layer) for stage, run in runs.items()}
        self._networks = {place: (run.name, run.sha256) for place, run in cascade.runs.items()}
        chosen = [dataclasses.asdict(maps.of(run.model)) for run in runs.values()]
        calibrations = [run.calibration for run in cascade.runs.values()]
        self._settings = json.dumps([calibrations, cascade.gated, chosen], sort_keys=True)
        self._version = importlib.metadata.version("semenet")

    def has(self, stem: str) -> bool:
        """Returns whether the report of an image, which is written last, is there."""
        return self._path(stem, REPORT).exists()

    def write(self, file: pathlib.Path, stem: str, result: CascadeResult, index: int) -> list[Dataset]:
        """Writes the objects about one image.

        Args:
            file: the image's file. One that is not DICOM, or that lacks an identifier that objects could
                refer to, is only added to `left_out`.
            stem: beginning of the names of its objects.
            result: a result of the cascade, with heat maps.
            index: the image's place in it.

        Returns:
            The objects that were written.

        Raises:
            OutputError: a file cannot be written.
        """
        contents = file.read_bytes()
        if not is_dicom(contents[:HEAD_BYTES]):
            self.left_out.append((file, "not a DICOM file"))
            return []
        from semenet.serving.dicom_results.captures import heat_map_captures
        from semenet.serving.dicom_results.lung_segmentation import lung_segmentation
        from semenet.serving.dicom_results.structured_report import structured_report

        try:
            source = read_header(str(file), contents)
        except DicomResultError as error:
            self.left_out.append((file, str(error)))
            return []
        finding = self._finding(file, source, result, index)
        objects = {}
        if finding.lungs is not None:
            objects["lungs"] = lung_segmentation(finding)
            objects |= zip(finding.pictures, heat_map_captures(finding), strict=True)
        objects[REPORT] = structured_report(finding)
        for name, written in objects.items():
            stream = io.BytesIO()
            written.save_as(stream)
            write_bytes(self._path(stem, name), stream.getvalue())
        return list(objects.values())

    def _path(self, stem: str, name: str) -> pathlib.Path:
        return self.folder / f"{stem}_{name}.dcm"

    def _finding(
        self, file: pathlib.Path, source: Dataset, result: CascadeResult, index: int
    ) -> ImageFinding:
        rejected = bool(result.input_flags[index])
        stages, pictures = {}, {}
        if not rejected:
            image = read_image(file)
            for stage in STAGES:
                values = getattr(result, f"{stage}_probabilities")[index].tolist()
                stages[stage] = dict(zip(self._cascade.runs[stage].class_names, values, strict=True))
                boxes = getattr(result, f"{stage}_boxes")
                box = None if boxes is None else Box(*boxes[index].tolist())
                heat = getattr(result, f"{stage}_heat_maps")[index]
                drawn = overlay_heat_map(image, heat, geometry=self._geometry[stage], box=box)
                pictures[stage] = np.ascontiguousarray(drawn)
        size = (int(source.Rows), int(source.Columns))
        lungs = resize_mask(result.lung_masks[index].astype(np.uint8), size) > 0
        joint = dict(zip(result.class_names, result.probabilities[index].tolist(), strict=True))
        return ImageFinding(
            source=source,
            lungs=None if rejected else lungs,
            probabilities={} if rejected else joint,
            stages=stages,
            predicted=result.predicted[index],
            reason=result.reasons[index],
            input_flags=result.input_flags[index],
            lung_flags=result.lung_flags[index],
            pictures=pictures,
            version=self._version,
            networks=self._networks,
            settings=self._settings,
        )
