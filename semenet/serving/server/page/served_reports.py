"""Reports on images, as `semenet look` makes them, from what a served SavedModel returns."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import cv2
import numpy as np

from semenet.data.images.colour import is_coloured
from semenet.data.images.errors import ImageError
from semenet.data.images.formats.dicom import HEAD_BYTES, is_dicom
from semenet.data.images.formats.jpeg import is_jpeg
from semenet.data.images.formats.png import is_png
from semenet.data.images.reading import read_image
from semenet.data.pipeline.prepared_images import prepare_image
from semenet.data.transforms.lung_view_on_host import Box
from semenet.errors import SemenetError
from semenet.inference.heat_maps.overlays import encode_image
from semenet.inference.lung_masks import resized_mask
from semenet.metrics.probabilities import check_probabilities
from semenet.serving.cascade.results import CascadeResult
from semenet.serving.exports.report_description import REPORT
from semenet.serving.exports.saved_model import DESCRIPTION
from semenet.serving.image_reports.cascade_reports import cascade_report
from semenet.serving.image_reports.described_networks import DescribedCascade, DescribedReader
from semenet.serving.image_reports.image_report import ImageReport
from semenet.serving.image_reports.network_report import unreadable_report
from semenet.serving.image_reports.pictures import Film, film_png, make_film
from semenet.serving.image_reports.single_network_result import (
    ClassifierResult,
    classifier_report,
    mask_report,
)
from semenet.serving.prediction.network_gate import NetworkGate
from semenet.serving.prediction.network_rows import table_row
from semenet.serving.server.request_checks.image_files import INPUT
from semenet.serving.server.request_errors import RequestError
from semenet.serving.server.served_model import DEFAULT_SIGNATURE, ServedModel

_EXPLAIN = "explain"
_STAGES = ("stage1", "stage2")


@dataclasses.dataclass(frozen=True)
class ReadFile:
    """A file that was sent, as the model takes it and as the screen needs it.

    Attributes:
        name: its name.
        contents: the bytes of a PNG or JPEG; of a DICOM file, its image as a PNG.
        image: uint8 `(H, W)`.
        coloured: whether it is in colour, see `semenet.data.images.colour`.
    """

    name: str
    contents: bytes
    image: np.ndarray
    coloured: bool

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """The inputs of the model's signature, of one item."""
        contents = np.empty(1, object)
        contents[0] = self.contents
        return {INPUT: contents}


class ServedReports:
    """Makes reports for a served model.

    Args:
        model: the model.

    Attributes:
        signature: the name of the signature whose outputs `report` takes.
        reader: the model in words, with what is known of its networks.

    Raises:
        RequestError: 404, the model was not written by `semenet export` of this version.
    """

    def __init__(self, model: ServedModel) -> None:
        try:
            described = json.loads((model.path / DESCRIPTION).read_text(encoding="utf-8"))
            read = DescribedReader.from_json(described[REPORT])
        except (OSError, ValueError, KeyError, TypeError, SemenetError) as error:
            raise RequestError(
                404,
                "The page shows models that `semenet export` of this version wrote. "
                f"Received: {model.name}, without the description that it needs. Export it again; the "
                "other addresses of the server answer as before.",
            ) from error
        self.reader = read.reader
        self._network = read.network
        self.signature = _EXPLAIN if _EXPLAIN in model.signatures else DEFAULT_SIGNATURE
        # A cascade has its own gate.
        is_cascade = isinstance(read.network, DescribedCascade)
        self._gate = None if is_cascade else NetworkGate(read.network.input_size)

    def read(self, contents: bytes, name: str) -> ReadFile:
        """Reads a file that was sent.

        Raises:
            ImageError: it cannot be read, or is neither PNG nor JPEG nor DICOM.
        """
        is_decoded_in_graph = is_png(contents) or is_jpeg(contents)
        if not (is_decoded_in_graph or is_dicom(contents[:HEAD_BYTES])):
            raise ImageError(
                "The page takes PNG, JPEG and DICOM. "
                f"Received: {name}, which is none of these. Save it as one of them, or run `semenet look`, "
                "which reads TIFF and BMP too."
            )
        image = read_image(contents, name=name)
        coloured = is_coloured(contents, name)
        return ReadFile(name, contents if is_decoded_in_graph else encode_image(image), image, coloured)

    def report(self, file: ReadFile, outputs: Mapping[str, np.ndarray]) -> ImageReport:
        """Makes the report on a file.

        Args:
            file: the file.
            outputs: what the signature returned for it, of one item.

        Returns:
            The report, whose film is a PNG of at most `PNG_SIDE` pixels.
        """
        if outputs["error_code"][0]:
            error = ImageError(
                "An image must be one that the model can decode. "
                f"Received: {file.name}, error_code {outputs['error_code'][0]}. Save it as PNG."
            )
            return self.unreadable(file.name, error)
        try:
            check_probabilities(outputs["probabilities"])
        except SemenetError as error:
            raise RequestError(500, str(error)) from error
        film = make_film(file.image)
        if isinstance(self._network, DescribedCascade):
            cascade = self._network
            geometries = {stage: cascade.runs[stage].geometry for stage in _STAGES}
            report = cascade_report(file.name, film, cascade, _cascade_result(outputs), 0, geometries)
        else:
            (codes,) = self._gate.flags([self._gate.prepare(file.image, file.coloured)])
            report = self._single_report(file, film, outputs, codes)
        return dataclasses.replace(report, film=film_png(file.image))

    @staticmethod
    def unreadable(name: str, error: ImageError) -> ImageReport:
        """Makes the report on a file that cannot be read."""
        return unreadable_report(name, error, [name])

    def _single_report(
        self, file: ReadFile, film: Film, outputs: Mapping[str, np.ndarray], codes: str
    ) -> ImageReport:
        run, output = self._network, outputs["probabilities"][0]
        prepared = prepare_image(file.image, run.input_size, run.channels, run.inference_clahe)
        if run.segments:
            mask = resized_mask(output[..., 0], output.shape[:2])
            row = [*table_row((file.name, ""), output, run, None, not codes), codes]
            return mask_report(run, row, film, mask, prepared, codes, gated=True)
        flags, boxes = outputs.get("lung_flags"), outputs.get("box")
        result = ClassifierResult(
            output,
            outputs["heat_map"][0],
            run.geometry,
            _png(outputs["input_bytes"][0])[..., np.newaxis] if "input_bytes" in outputs else prepared,
            None if boxes is None else Box(*boxes[0].tolist()),
            _png(outputs["lung_mask_bytes"][0]) > 0 if "lung_mask_bytes" in outputs else None,
            None if flags is None else flags[0].decode(),
        )
        return classifier_report(run, file.name, film, result, codes, gated=True)


def _cascade_result(outputs: Mapping[str, np.ndarray]) -> CascadeResult:
    """Returns the outputs of a cascade's signature `explain`, of one item, as `Cascade.decide` does."""
    words = {
        name: [word.decode() for word in outputs[name]]
        for name in ("predicted", "reason", "input_flags", "lung_flags")
    }
    boxes = {f"{stage}_boxes": outputs.get(f"{stage}_box") for stage in _STAGES}
    maps = {f"{stage}_heat_maps": outputs[f"{stage}_heat_map"] for stage in _STAGES}
    inputs = {
        f"{stage}_inputs": _png(outputs[f"{stage}_input_bytes"][0])[np.newaxis, ..., np.newaxis]
        for stage in _STAGES
    }
    return CascadeResult(
        tuple(name.decode() for name in outputs["class_names"][0]),
        outputs["probabilities"],
        outputs["stage1_probabilities"],
        outputs["stage2_probabilities"],
        words["predicted"],
        words["reason"],
        [tuple(flags.split()) for flags in words["input_flags"]],
        [tuple(flags.split()) for flags in words["lung_flags"]],
        _png(outputs["lung_mask_bytes"][0])[np.newaxis] > 0,
        **maps,
        **boxes,
        **inputs,
    )


def _png(contents: bytes) -> np.ndarray:
    """Decodes a grey PNG that the model wrote: uint8 `(H, W)`."""
    return cv2.imdecode(np.frombuffer(contents, np.uint8), cv2.IMREAD_GRAYSCALE)
