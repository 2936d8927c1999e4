"""The rows of a single network's table of predictions."""

from __future__ import annotations

import pathlib

import cv2
import numpy as np

from semenet.data.images.reading import image_size
from semenet.data.transforms.mask_threshold import MASK_PROBABILITY
from semenet.inference.lung_masks import resized_mask
from semenet.inference.scoring import reported_findings
from semenet.serving.cascade.decisions import REJECTED
from semenet.storage.atomic import write_bytes
from semenet.storage.file_names import shown_name
from semenet.training.run_folder.run import Run

# A file and the stem of its outputs.
NamedFile = tuple[pathlib.Path, str]


def table_row(
    item: NamedFile, output: np.ndarray, run: Run, out: pathlib.Path | None, is_accepted: bool
) -> list:
    """Returns the row of one file, and writes its mask for a segmentation network.

    Args:
        item: the file and the stem of its outputs.
        output: the network's output for it.
        run: the network.
        out: the table to write, beside which masks are written; None for neither.
        is_accepted: False for an image that the input gate rejects.

    Returns:
        The file's name, a number for each class, and the prediction or the mask's file.
    """
    file, stem = item
    if not is_accepted:
        return [shown_name(file), *[0.0] * len(run.class_names), "" if run.segments else REJECTED]
    if not run.segments:
        return [shown_name(file), *output.tolist(), _predicted(output, run)]
    shares = (output >= MASK_PROBABILITY).mean((0, 1)).tolist()
    mask = "" if out is None else _write_mask(file, output, out.with_name(f"{out.stem}_masks"), stem)
    return [shown_name(file), *shares, shown_name(mask)]


def _predicted(output: np.ndarray, run: Run) -> str:
    """Returns the most probable class; of sigmoid outputs the findings that reach their thresholds."""
    if run.thresholds is None:
        return run.class_names[int(output.argmax())]
    return reported_findings(output[np.newaxis], run.class_names, run.thresholds)[0]


def _write_mask(file: pathlib.Path, output: np.ndarray, folder: pathlib.Path, stem: str) -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    mask = resized_mask(output[..., 0], image_size(file))
    target = folder / f"{stem}.png"
    write_bytes(target, cv2.imencode(".png", mask.astype("uint8") * 255)[1].tobytes())
    return target
