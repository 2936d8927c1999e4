"""The cascade: a classifier, a lung segmentation network and a second classifier as one network."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from semenet.data.images.timed_reading import read_with_colour
from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.inference.array_images import as_images, grey_levels
from semenet.inference.heat_maps.map_choice import MapChoice
from semenet.inference.input_gate import CODES, gate_input
from semenet.inference.lung_masks import LungMasks
from semenet.inference.lung_plausibility import CHECKS
from semenet.inference.reading_ahead import read_ahead
from semenet.metrics.probabilities import check_probabilities
from semenet.serving.cascade.decisions import ABSTAIN, REASONS, REJECTED, ChainRule
from semenet.serving.cascade.graph import cascade_graph, input_specs
from semenet.serving.cascade.lung_view_graph import pack_original
from semenet.serving.cascade.results import CascadeResult
from semenet.serving.cascade.saved_cascade import STAGES, CascadeError, read_cascade, write_cascade
from semenet.training.run_folder.run import Run

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 16
REFINES = "virus"

# An array `(H, W)`, or the path of a file.
Image = np.ndarray | str | os.PathLike
# An image as the networks take it, packed for those with a lung view, and the two inputs of the gate.
PreparedImage = tuple[np.ndarray | bytes, ...]


class Cascade:
    """Three networks in the order of the paper's figure 1.

    Stage 1 classifies the radiograph. The segmentation network finds the lungs. Stage 2 takes the lungs
    alone, or what its lung view shows, and divides one class of stage 1, for example `virus` into COVID-19
    and other viral pneumonia. Each network keeps its own input size, CLAHE setting and calibration.

    Each network is given as a `keras.Model` built by `semenet.build`, a `Run`, the path of a run folder or
    `.keras` file, or `ENTRY:NAME` of published weights, in any combination.

    Args:
        stage1: a classifier.
        lungs: a segmentation network with one class.
        stage2: a classifier.
        refines: the class of stage 1 that stage 2 divides.
        gated: whether to reject images that are not upright frontal radiographs, see
            `semenet.inference.input_gate`.

    Raises:
        CascadeError: a network cannot take its place.
        WeightsError: a network cannot be found or read.
        SemenetError: `refines` is not a class of stage 1, or both stages have a class of the same name.

    Example:
        >>> size = {"input_shape": (32, 32, 1), "width": 0.125, "depth": 0.01}
        >>> stage2 = semenet.build("seme_densenet169", classes=("other_viral", "COVID-19"), **size)
        >>> cascade = semenet.Cascade("run", "unet", stage2, gated=False)
        >>> cascade.class_names
        ('normal', 'bacteria', 'other_viral', 'COVID-19')
        >>> files = semenet.read_manifest("manifest.csv").rows["path"]
        >>> result = cascade.predict(files[0])
        >>> result.probabilities.shape
        (1, 4)
        >>> array = np.zeros((200, 180), np.uint8)
        >>> len(cascade.predict([files[1], array]).predicted)
        2

    Reference:
        The paper, figure 1 and section 3.
    """

    def __init__(
        self,
        stage1: Run | keras.Model | str | os.PathLike,
        lungs: Run | keras.Model | str | os.PathLike,
        stage2: Run | keras.Model | str | os.PathLike,
        refines: str = REFINES,
        gated: bool = True,
    ) -> None:
        self.stage1, self.lungs, self.stage2 = (Run.open(network) for network in (stage1, lungs, stage2))
        for place, run in (("stage 1", self.stage1), ("stage 2", self.stage2)):
            if run.segments or run.activation != "softmax":
                raise CascadeError(
                    f"The {place} of a cascade must be a classifier with softmax. Received: {run.name}, a "
                    f"{run.model.name} with {run.activation}. Give a classifier."
                )
        LungMasks(self.lungs)
        confidences = _confidence(self.stage1), _confidence(self.stage2)
        self.rule = ChainRule(self.stage1.class_names, self.stage2.class_names, refines, confidences)
        self.gated = gated
        self._traced = {}

    @property
    def runs(self) -> dict[str, Run]:
        """The networks by the names "stage1", "lungs" and "stage2"."""
        return dict(zip(STAGES, (self.stage1, self.lungs, self.stage2), strict=True))

    @property
    def specs(self) -> list[tf.TensorSpec]:
        """The shapes and dtypes of the arrays that `prepare` returns."""
        return input_specs(self.runs)

    @property
    def whole_runs(self) -> list[Run]:
        """The networks that take whole images, resized: those without a lung view."""
        return [run for run in self.runs.values() if run.segments or not run.lung_view.needs_mask]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K classes, in the order of the joint distribution."""
        return self.rule.class_names

    def prepare(self, image: np.ndarray, coloured: bool = False) -> PreparedImage:
        """Prepares an image for the three networks and the gate.

        Args:
            image: uint8 `(H, W)` in [0, 255].
            coloured: whether the file is in colour, see `semenet.data.images.colour`.

        Returns:
            An array uint8 `(H, W, C)` for each network without a lung view; if there are others, the packed
            image; and the two arrays of `semenet.inference.input_gate.gate_input`.
        """
        whole = self.whole_runs
        images = [prepare_image(image, run.input_size, run.channels, run.inference_clahe) for run in whole]
        originals = [pack_original(image)] if len(whole) < len(self.runs) else []
        return (*images, *originals, *gate_input(image, coloured))

    def prepare_file(self, path: str | os.PathLike) -> PreparedImage:
        """Reads an image file and prepares it, see `prepare`.

        Raises:
            ImageError: the file cannot be read.
        """
        return self.prepare(*read_with_colour(path))

    def predict(
        self, images: Image | Iterable[Image], explain: bool | MapChoice = False, batch_size: int = BATCH_SIZE
    ) -> CascadeResult:
        """Classifies one image or several.

        Args:
            images: N arrays `(H, W)` or `(H, W, 1)` of any sizes, uint8 or float in [0, 255], and paths of
                image files, in any combination; or a single array or path.
            explain: whether to compute heat maps; a `semenet.inference.MapChoice` is their method and layer.
            batch_size: images per step.

        Returns:
            The decisions, in the order of the images.

        Raises:
            ImageError: a file cannot be read.
            SemenetError: there is no image, an array is not finite or does not have two axes, or a network
                returns NaN.

        Example:
            >>> cascade = semenet.Cascade.open("cascade")
            >>> files = semenet.read_manifest("manifest.csv").rows["path"]
            >>> result = cascade.predict(files[:2], explain=True)
            >>> len(result.predicted)
            2
            >>> result.stage1_heat_maps.shape
            (2, 1, 1)
        """
        checked = [
            image if isinstance(image, str | os.PathLike) else grey_levels(image, f"image {number}")
            for number, image in enumerate(_as_images(images))
        ]
        if not checked:
            raise SemenetError("There must be one image or more. Received: none. Give arrays or paths.")
        batches = read_ahead(checked, self._prepare_any, batch_size)
        return CascadeResult.concatenate(self.decide(batch, explain) for batch in batches)

    def _prepare_any(self, image: Image) -> PreparedImage:
        return self.prepare(image) if isinstance(image, np.ndarray) else self.prepare_file(image)

    def decide(self, prepared: Sequence[PreparedImage], explain: bool | MapChoice = False) -> CascadeResult:
        """Classifies one batch of prepared images.

        Args:
            prepared: N results of `prepare`.
            explain: as for `predict`.

        Returns:
            The decisions, in the order of the images.

        Raises:
            SemenetError: a network returns NaN.
        """
        batches = [
            tf.constant(images) if isinstance(images[0], bytes) else np.stack(images)
            for images in zip(*prepared, strict=True)
        ]
        outputs = {name: value.numpy() for name, value in self._function(explain)(*batches).items()}
        check_probabilities(outputs["probabilities"])
        input_flags = _marked_names(CODES, outputs["rejected"])
        reasons = [
            flags[0] if flags else REASONS[number]
            for flags, number in zip(input_flags, outputs["reason"], strict=True)
        ]
        return CascadeResult(
            class_names=self.class_names,
            probabilities=outputs["probabilities"],
            stage1_probabilities=outputs["stage1_probabilities"],
            stage2_probabilities=outputs["stage2_probabilities"],
            predicted=[
                REJECTED if flags else ABSTAIN if reason.startswith(ABSTAIN) else self.class_names[number]
                for flags, reason, number in zip(input_flags, reasons, outputs["chosen"], strict=True)
            ],
            reasons=reasons,
            input_flags=input_flags,
            lung_flags=_marked_names(CHECKS, outputs["lungs_implausible"]),
            lung_masks=outputs["lung_mask"] > 0,
            stage1_heat_maps=outputs.get("stage1_heat_map"),
            stage2_heat_maps=outputs.get("stage2_heat_map"),
            stage1_boxes=outputs.get("stage1_box"),
            stage2_boxes=outputs.get("stage2_box"),
            stage1_inputs=outputs.get("stage1_input"),
            stage2_inputs=outputs.get("stage2_input"),
        )

    def graph(
        self, explain: bool | MapChoice = False, networks: Sequence[keras.Model] | None = None
    ) -> Callable[..., dict[str, tf.Tensor]]:
        """Returns the function of `semenet.serving.cascade.graph.cascade_graph` for these networks."""
        return cascade_graph(*self.runs.values(), self.rule, self.gated, explain, networks)

    def _function(self, explain: bool | MapChoice) -> Any:
        """Returns the graph, traced once for batches of any size."""
        if explain not in self._traced:
            signature = [tf.TensorSpec((None, *spec.shape), spec.dtype) for spec in self.specs]
            self._traced[explain] = tf.function(
                self.graph(explain), input_signature=signature, autograph=False
            )
        return self._traced[explain]

    def save(self, folder: str | os.PathLike) -> pathlib.Path:
        """Writes the cascade with copies of its networks, so that it no longer needs their run folders.

        Args:
            folder: new or empty folder. It receives `cascade.json` and, for each network, `<stage>.keras`
                and, if it is calibrated, `<stage>.calibration.json`.

        Returns:
            The folder.

        Raises:
            OutputError: the folder is not empty, or cannot be written.
        """
        return write_cascade(
            folder, self.runs, refines=self.rule.refines, gated=self.gated, class_names=self.class_names
        )

    @classmethod
    def open(cls, folder: str | os.PathLike) -> Cascade:
        """Opens a cascade that `save` wrote.

        Args:
            folder: the folder of the cascade.

        Raises:
            CascadeError: the folder has no complete cascade, or a network or calibration has changed since
                it was saved.

        Example:
            >>> semenet.Cascade.open("cascade").class_names
            ('normal', 'bacteria', 'other_viral', 'COVID-19')
        """
        saved = read_cascade(folder)
        return cls(*saved.networks, refines=saved.refines, gated=saved.gated)


def _as_images(images: Image | Iterable[Image]) -> Iterable[Image]:
    """Returns a single array or path as a list, and several images as they are."""
    return [images] if isinstance(images, str | os.PathLike) else as_images(images)


def _marked_names(names: Sequence[str], marks: np.ndarray) -> list[tuple[str, ...]]:
    """Returns for each row of bool `(N, len(names))` the names whose mark is true."""
    return [tuple(name for name, mark in zip(names, row, strict=True) if mark) for row in marks]


def _confidence(run: Run) -> float | None:
    abstain = (run.calibration or {}).get("abstain")
    return None if abstain is None else float(abstain["confidence"])
