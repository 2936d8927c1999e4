"""Writes heat maps, overlays and panels of images, and the table of explanations."""

import concurrent.futures
import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.pipeline.datasets import prepare_image
from semenet.data.pipeline.resized import read_image_and_mask
from semenet.data.transforms import host as host_transforms
from semenet.data.transforms.lung_view_on_host import Box
from semenet.errors import SemenetError
from semenet.evaluation.drawing.panels import panel
from semenet.inference.heat_maps.explained_layers import LAST, layer_name
from semenet.inference.heat_maps.map_choice import method_function, method_name
from semenet.inference.heat_maps.overlays import cell_geometry, encode_image, overlay_heat_map, place_heat_map
from semenet.inference.lung_masks import LungMasks, keep_only_lungs
from semenet.inference.network_inputs import prepare_views, stack_views
from semenet.inference.scoring import reported_findings
from semenet.progress import track
from semenet.storage.atomic import output_folder, write_bytes
from semenet.storage.csv_cells import csv_text
from semenet.training.run_folder.run import Run

TABLE = "explanations.csv"
COLUMNS = ("file", "label", "predicted", "probability", "class", "method", "layer")
COLUMNS += ("heatmap", "overlay", "panel")


@dataclasses.dataclass(frozen=True)
class Case:
    """An image to explain.

    Attributes:
        name: the file's name in the table.
        path: where the image lies.
        stem: beginning of the names of its output files.
        label: the true label, or None.
        mask_path: path of its lung mask, outside which the network's input is 0, unless the network has a
            lung view that says otherwise; or None.
    """

    name: str
    path: str
    stem: str
    label: str | None = None
    mask_path: str | None = None


@dataclasses.dataclass(frozen=True)
class Method:
    """How predictions are explained.

    Attributes:
        name: a key of `semenet.inference.heat_maps.class_activation.METHODS`.
        layer: name or stride of the layer whose feature map is weighted.
        class_name: the class to explain; None for each image's predicted class.
    """

    name: str
    layer: str | int
    class_name: str | None = None

    def class_index(self, run: Run) -> int | None:
        """Returns the index of the explained class in a run; None for the predicted class.

        Raises:
            SemenetError: the run has no such class.
        """
        if self.class_name is None:
            return None
        if self.class_name not in run.class_names:
            raise SemenetError(
                f"The class to explain is one of {', '.join(run.class_names)}. "
                f"Received: {self.class_name!r}. Leave it out to explain the predicted class."
            )
        return run.class_names.index(self.class_name)


def write_cases(
    run: Run,
    cases: Sequence[Case],
    out: str | pathlib.Path,
    batch_size: int,
    method: Method,
    finder: LungMasks,
    labelled: bool,
) -> pd.DataFrame:
    """Explains images and writes their pictures and the table of explanations.

    Args:
        run: the run of a classifier.
        cases: the images to explain.
        out: the folder to write to; created if missing.
        batch_size: number of images at a time.
        method: how to explain.
        finder: finds the lungs of images without a mask, for a network that needs them.
        labelled: whether the table has the column label.

    Returns:
        DataFrame, the content of explanations.csv.

    Raises:
        ImageError: an image or mask cannot be read.
        SemenetError: unknown method, layer or class; or outputs are not finite.
    """
    explained = method.class_index(run)
    name, layer = method_name(method.name), layer_name(run.model, method.layer)
    explain = method_function(name)(run.model, layer)
    geometry = cell_geometry(run, layer)
    described = name if layer == LAST else f"{name} of {layer}"
    folder, thresholds = output_folder(out), run.thresholds

    def load(case: Case) -> tuple[np.ndarray, np.ndarray]:
        """Returns the image, and its input to the network or, for a lung view, its mask if it has one."""
        image, mask = read_image_and_mask(case.path, case.mask_path)
        if run.lung_view.needs_mask:
            return image, mask
        prepared = prepare_image(image, run.input_size, run.channels, run.inference_clahe)
        if mask is not None:
            prepared = prepared * host_transforms.resize_mask(mask, run.input_size)[..., None]
        return image, prepared

    def write(
        case: Case, image: np.ndarray, heat: np.ndarray, output: np.ndarray, box: Box | None
    ) -> dict[str, Any]:
        predicted = int(output.argmax())
        index = predicted if explained is None else explained
        caption = [f"{described} for {run.class_names[index]}: probability {output[index]:.3f}"]
        answer = run.class_names[predicted]
        if thresholds is None:
            caption.append(f"predicted: {answer}, probability {output[predicted]:.3f}")
        else:
            answer = reported_findings(output[np.newaxis], run.class_names, thresholds)[0]
            caption.append(f"predicted: {answer}")
        if case.label is not None:
            caption.append(f"true: {case.label}")
        if not heat.any():
            caption.append("The map is 0 everywhere: no evidence for the class was found.")
        grey = np.rint(place_heat_map(heat, image.shape, geometry, box) * 255).astype(np.uint8)
        picture = overlay_heat_map(image, heat, geometry=geometry, box=box)
        pictures = {"heatmap": grey, "overlay": picture, "panel": panel(image, picture, caption)}
        names = {kind: f"{case.stem}_{kind}.png" for kind in pictures}
        for kind, file in names.items():
            write_bytes(folder / file, encode_image(pictures[kind]))
        return {
            "file": case.name,
            "label": case.label,
            "predicted": answer,
            "probability": float(output[predicted]),
            "class": run.class_names[index],
            "method": name,
            "layer": layer,
        } | names

    rows: list[dict[str, Any]] = []
    batches = (cases[start : start + batch_size] for start in range(0, len(cases), batch_size))
    # Decoding and encoding release Python's global interpreter lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in track(batches, len(cases), "Explaining"):
            images, inputs = zip(*pool.map(load, batch), strict=True)
            unmasked = [position for position, case in enumerate(batch) if case.mask_path is None]
            without = [images[position] for position in unmasked]
            boxes = [None] * len(batch)
            if run.lung_view.needs_mask:
                masks = list(inputs)
                for position, mask in zip(
                    unmasked, finder.segment_in_full(without) if without else (), strict=True
                ):
                    masks[position] = mask
                inputs, _, boxes, _ = stack_views(prepare_views(images, masks, run), run)
            else:
                inputs = np.stack(inputs)
                if run.lungs_alone and without:
                    found = finder.segment(without, run.input_size)
                    inputs[unmasked] = keep_only_lungs(inputs[unmasked], found)
            heat, outputs = explain(inputs, explained)
            outputs = metrics.apply_temperature(outputs, run.temperature, run.activation)
            rows += pool.map(write, batch, images, heat, outputs, boxes)
    left_out = {"label": not labelled, "layer": layer == LAST}
    columns = [column for column in COLUMNS if not left_out.get(column)]
    table = pd.DataFrame(rows, columns=columns)
    write_bytes(folder / TABLE, csv_text(table).encode())
    return table
