"""The cascade: a classifier, a U-Net and a classifier of lungs alone, as one network that says why."""

import dataclasses
import itertools
import json
import pathlib
import shutil

import numpy as np
import tensorflow as tf

from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.inference.array_images import grey_levels
from semenet.inference.input_gate import CODES, SIDE, gate_input
from semenet.inference.lung_masks import LungMasks
from semenet.inference.lung_plausibility import CHECKS
from semenet.metrics.probabilities import check_probabilities
from semenet.serving.cascade.decisions import ABSTAIN, REASONS, REJECTED, ChainRule
from semenet.serving.cascade.graph import cascade_graph
from semenet.storage.atomic import new_folder, write_text
from semenet.storage.hashing import file_sha256
from semenet.training.run_folder.run import Run, calibration_file, model_file

DESCRIPTION = "cascade.json"
# 2: with the hashes of the calibrations.
FORMAT = 2
STAGES = ("stage1", "lungs", "stage2")
REFINES = "virus"
BATCH_SIZE = 16


class CascadeError(SemenetError):
    """Networks that make no cascade, or a folder that holds none."""


@dataclasses.dataclass(frozen=True)
class CascadeResult:
    """What a cascade says of N images.

    Attributes:
        class_names: tuple of K str.
        probabilities: float32 `(N, K)`, the joint distribution, each row of sum 1, or all 0 where the image
            is rejected: what the networks made of it means nothing.
        stage1_probabilities: float32 `(N, K1)`, calibrated where stage 1 is; likewise.
        stage2_probabilities: float32 `(N, K2)`, likewise, given that the class refined holds.
        predicted: list of N str, the most probable class, "abstain", or "rejected".
        reasons: list of N str: of `semenet.serving.cascade.decisions.REASONS` the stage that decided or
        abstained, or
            the first of the item's `input_flags`.
        input_flags: list of N tuples of str, what of `semenet.inference.input_gate.CODES` the input
        gate found: such
            an image is rejected.
        lung_flags: list of N tuples of str, the checks of `semenet.inference.lung_plausibility.CHECKS`
        that the lung
            mask failed; where there is one, stage 2 was fed the whole image.
        lung_masks: bool `(N, H, W)`, of the U-Net's input size.
        stage1_heat_maps: float32 `(N, h, w)` in [0, 1], for the class that stage 1 predicts; None unless
            asked for.
        stage2_heat_maps: likewise of stage 2.
    """

    class_names: tuple[str, ...]
    probabilities: np.ndarray
    stage1_probabilities: np.ndarray
    stage2_probabilities: np.ndarray
    predicted: list[str]
    reasons: list[str]
    input_flags: list[tuple[str, ...]]
    lung_flags: list[tuple[str, ...]]
    lung_masks: np.ndarray
    stage1_heat_maps: np.ndarray | None = None
    stage2_heat_maps: np.ndarray | None = None


class Cascade:
    """Three networks in the paper's order (its figure 1).

    Stage 1 classifies the radiograph, the U-Net finds the lungs, and stage 2, fed the lungs alone, divides
    one of stage 1's classes: COVID-19 and other viral pneumonia in place of `virus`. Each is used with its
    own input size, CLAHE and calibration.

    Args:
        stage1: a classifier: a `semenet.training.run_folder.run.Run`, the path of a run folder or
        `.keras` file, or
            `ENTRY:NAME` of published weights.
        lungs: a segmentation network with one class, likewise.
        stage2: a classifier, likewise.
        refines: the class of stage 1 that stage 2 divides.
        gated: whether images that are no upright frontal radiographs are rejected, see
            `semenet.inference.input_gate`.

    Raises:
        CascadeError: a network that cannot stand in its place.
        WeightsError: one cannot be found or read.
        ValueError: `refines` is no class of stage 1, or classes of both stages have one name.

    Reference:
        The paper, figure 1 and section 3.
    """

    def __init__(self, stage1, lungs, stage2, refines=REFINES, gated=True):
        runs = [run if isinstance(run, Run) else Run.open(run) for run in (stage1, lungs, stage2)]
        self.stage1, self.lungs, self.stage2 = runs
        for place, run in (("stage 1", self.stage1), ("stage 2", self.stage2)):
            if run.segments or run.activation != "softmax":
                raise CascadeError(
                    f"A cascade's {place} classifies, by softmax. Received: {run.path}, {run.model.name} "
                    f"with {run.activation}. Give a classifier."
                )
        LungMasks(self.lungs)
        confidences = tuple(_confidence(run) for run in (self.stage1, self.stage2))
        self.rule = ChainRule(self.stage1.class_names, self.stage2.class_names, refines, confidences)
        self.gated = gated
        self._traced = {}

    @property
    def runs(self):
        """dict of "stage1", "lungs" and "stage2" to their `Run`."""
        return dict(zip(STAGES, (self.stage1, self.lungs, self.stage2), strict=True))

    @property
    def specs(self):
        """list of the `tf.TensorSpec` of what `prepare` gives."""
        images = [tf.TensorSpec((*run.input_size, run.channels), tf.uint8) for run in self.runs.values()]
        return [*images, tf.TensorSpec((SIDE, SIDE, 1), tf.uint8), tf.TensorSpec((2,), tf.bool)]

    @property
    def class_names(self):
        """tuple of K str, in the order of the joint distribution."""
        return self.rule.class_names

    def prepare(self, image, coloured=False):
        """An image as each of the three networks, and the gate, takes it.

        Args:
            image: uint8 `(height, width)`, values in [0, 255].
            coloured: whether the file has colours, see `semenet.data.images.colour`.

        Returns:
            tuple of three uint8 `(H, W, C)` and the two arrays of `semenet.inference.input_gate.gate_input`.
        """
        images = (
            prepare_image(image, run.input_size, run.channels, run.inference_clahe)
            for run in self.runs.values()
        )
        return (*images, *gate_input(image, coloured))

    def predict(self, images, explain=False, batch_size=BATCH_SIZE):
        """Decides on images in memory.

        Args:
            images: sequence of N arrays `(H, W)` of any sizes, uint8 or float in [0, 255].
            explain: whether to make heat maps.
            batch_size: int, images a step.

        Returns:
            `CascadeResult`.

        Raises:
            ValueError: there is no image, or one is no finite array of two axes; or a network gives NaN.
        """
        greys = [grey_levels(image, f"image {number}") for number, image in enumerate(images)]
        if not greys:
            raise SemenetError("There must be one image or more. Received: none. Give a sequence of arrays.")
        starts = range(0, len(greys), batch_size)
        batches = ([self.prepare(grey) for grey in greys[start : start + batch_size]] for start in starts)
        parts = [self.decide(batch, explain) for batch in batches]
        merged = {}
        for field in dataclasses.fields(CascadeResult):
            values = [getattr(part, field.name) for part in parts]
            if field.name == "class_names" or values[0] is None:
                merged[field.name] = values[0]
            elif isinstance(values[0], list):
                merged[field.name] = list(itertools.chain.from_iterable(values))
            else:
                merged[field.name] = np.concatenate(values)
        return CascadeResult(**merged)

    def decide(self, prepared, explain=False):
        """Decides on one batch of what `prepare` gives.

        Args:
            prepared: sequence of N such tuples.
            explain: whether to make heat maps.

        Returns:
            `CascadeResult`.

        Raises:
            ValueError: a network gives NaN.
        """
        batches = [np.stack(images) for images in zip(*prepared, strict=True)]
        outputs = {name: value.numpy() for name, value in self._function(explain)(*batches).items()}
        check_probabilities(outputs["probabilities"])
        input_flags = _named(CODES, outputs["rejected"])
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
            lung_flags=_named(CHECKS, outputs["lungs_implausible"]),
            lung_masks=outputs["lung_mask"] > 0,
            stage1_heat_maps=outputs.get("stage1_heat_map"),
            stage2_heat_maps=outputs.get("stage2_heat_map"),
        )

    def graph(self, explain=False, networks=None):
        """The graph of `semenet.serving.cascade.graph.cascade_graph` with these networks."""
        return cascade_graph(*self.runs.values(), self.rule, self.gated, explain, networks)

    def _function(self, explain):
        """The traced graph, for batches of any size."""
        if explain not in self._traced:
            signature = [tf.TensorSpec((None, *spec.shape), spec.dtype) for spec in self.specs]
            self._traced[explain] = tf.function(self.graph(explain), input_signature=signature)
        return self._traced[explain]

    def save(self, folder):
        """Writes the cascade with copies of its networks, so that it stands without their runs.

        Args:
            folder: new or empty folder, which gets `cascade.json` and, of each network, `<place>.keras` and,
                where it is calibrated, `<place>.calibration.json`.

        Returns:
            `pathlib.Path` of the folder.

        Raises:
            OutputError: the folder holds something, or cannot be written.
        """
        description = {
            "format": FORMAT,
            "refines": self.rule.refines,
            "gated": self.gated,
            "class_names": self.class_names,
        }
        with new_folder(folder) as made:
            for place, run in self.runs.items():
                file = made / f"{place}.keras"
                if run.published is None:
                    shutil.copyfile(model_file(run.path), file)
                else:
                    run.model.save(file)
                calibrated = calibration_file(file)
                if not run.segments and run.calibration is not None:
                    calibration = run.calibration | {"model_sha256": file_sha256(file)}
                    write_text(calibrated, json.dumps(calibration, indent=2) + "\n")
                description[place] = {
                    "network": run.model.name,
                    "sha256": file_sha256(file),
                    "calibration_sha256": file_sha256(calibrated) if calibrated.is_file() else None,
                    "from": run.name,
                    "command": run.record.get("command"),
                    "manifest_sha256": run.record.get("manifest_sha256"),
                }
            write_text(made / DESCRIPTION, json.dumps(description, indent=2) + "\n")
        return pathlib.Path(folder)

    @classmethod
    def open(cls, folder):
        """Opens what `save` wrote.

        Raises:
            CascadeError: there is no cascade, or a network or a calibration of it is not the one that was
                saved.
        """
        folder = pathlib.Path(folder)
        path = folder / DESCRIPTION
        try:
            description = json.loads(path.read_text(encoding="utf-8"))
            if description["format"] != FORMAT:
                raise ValueError(f"format {description['format']!r}, not {FORMAT}")
            refines, gated = description["refines"], description["gated"]
            if not (isinstance(refines, str) and isinstance(gated, bool)):
                raise TypeError(f"refines {refines!r}, gated {gated!r}")
            files = {}
            for place in STAGES:
                file = folder / f"{place}.keras"
                files[file] = description[place]["sha256"]
                files[calibration_file(file)] = description[place]["calibration_sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CascadeError(
                f"A cascade is a folder with a whole {DESCRIPTION}, as `semenet cascade` writes it. "
                f"Received: {path}: {error!r}. Write it again."
            ) from error
        for file, expected in files.items():
            found = file_sha256(file) if file.is_file() else None
            if found != expected:
                raise CascadeError(
                    "A cascade's networks and calibrations are those that it was saved with: without them "
                    f"it would answer where it should abstain. Received: {file}, which is "
                    f"{'absent' if found is None else 'another'}. Write the cascade again."
                )
        return cls(*(folder / f"{place}.keras" for place in STAGES), refines=refines, gated=gated)


def is_cascade(path):
    """Whether a path is a folder that `Cascade.save` wrote, or began to."""
    return (pathlib.Path(path) / DESCRIPTION).is_file()


def _named(names, marked):
    """The names that are marked, of each row of bool `(N, len(names))`: a list of N tuples."""
    return [tuple(name for name, mark in zip(names, row, strict=True) if mark) for row in marked]


def _confidence(run):
    abstain = (run.calibration or {}).get("abstain")
    return None if abstain is None else float(abstain["confidence"])
