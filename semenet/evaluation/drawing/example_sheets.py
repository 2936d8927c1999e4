"""Sheets of example images for the report: which images to show, and their pictures."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd
import tensorflow as tf

from semenet.data.images.reading import read_image
from semenet.data.manifest.class_labels import complete_labels
from semenet.data.pipeline.tf_data import unwrapped_errors
from semenet.data.transforms.lung_view_on_host import Box
from semenet.data.transforms.mask_threshold import MASK_PROBABILITY
from semenet.evaluation.drawing.pages import percent
from semenet.evaluation.drawing.plots import data_uri, outlines
from semenet.evaluation.measure.predictions import Predictions
from semenet.inference.heat_maps.overlays import cell_geometry, encode_image, overlay_heat_map, place_heat_map
from semenet.models.receptive_fields import ReceptiveField
from semenet.training.run_folder.run import Run

EXAMPLES = 3
# The methods of heat maps as papers write them. CAM of the last layer is Grad-CAM without a gradient.
METHOD_NAMES = {
    "cam": "Grad-CAM",
    "grad-cam": "Grad-CAM",
    "grad-cam++": "Grad-CAM++",
    "layer-cam": "LayerCAM",
    "hires-cam": "HiResCAM",
}
PICTURE_SIDE = 320


@dataclasses.dataclass(frozen=True)
class Card:
    """An example: a radiograph and its heat map or outlines, side by side.

    Attributes:
        heading: what was predicted or measured.
        detail: the true class or further values.
        file: the image's name in the manifest.
        right: whether the prediction is right; None for a segmentation.
        original: data URI.
        picture: data URI of the overlay or the outlines.
        alt: a description of `picture`.
    """

    heading: str
    detail: str
    file: str
    right: bool | None
    original: str
    picture: str
    alt: str


def choose_classified(
    true_index: np.ndarray, probabilities: np.ndarray, possible: np.ndarray | None = None
) -> list[list[int]]:
    """Chooses examples of each class: right ones over the range of confidence, and the most confident errors.

    Args:
        true_index: int array `(N,)`, the group of each image; a class is the group of its number.
        probabilities: float array `(N, K)`.
        possible: `(N, K)`, the classes that are right for an image; None for the class of its number.

    Returns:
        For each class and further group, a list of indices into the images: at most `EXAMPLES` right ones
        (the most confident, the least confident, and in between), then at most as many wrong ones (the most
        confident first).
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    is_right = predicted == true_index
    if possible is not None:
        is_right = possible[np.arange(len(predicted)), predicted] > 0
    order = np.argsort(-confidence, kind="stable")
    chosen = []
    for index in range(max(probabilities.shape[1], int(true_index.max()) + 1)):
        of_class = order[true_index[order] == index]
        right = of_class[is_right[of_class]]
        wrong = of_class[~is_right[of_class]]
        chosen.append([*_evenly_spaced(right, EXAMPLES), *wrong[:EXAMPLES].tolist()])
    return chosen


def choose_segmented(dice: np.ndarray) -> dict[str, list[int]]:
    """Chooses examples of a segmentation by Dice `(N,)`: the worst, the middle and the best ones.

    Returns:
        dict of lists of indices into the images, without duplicates; empty lists are left out.
    """
    order = np.argsort(dice, kind="stable")
    worst = order[:EXAMPLES]
    best = order[EXAMPLES:][-EXAMPLES:]
    between = order[len(worst) : len(order) - len(best)]
    middle = between[max(0, (len(between) - EXAMPLES) // 2) :][:EXAMPLES]
    groups = {"worst": worst, "middle": middle, "best": best[::-1]}
    return {name: found.tolist() for name, found in groups.items() if len(found)}


def grad_cam_sheet(
    run: Run, rows: pd.DataFrame, possible: np.ndarray, predictions: Predictions
) -> tuple[dict[str, list[Card]], tuple[int, int]]:
    """Draws heat map overlays of examples of each class and partial label, for the predicted class.

    Args:
        run: the run of a classifier.
        rows: DataFrame of the evaluated split.
        possible: `(N, K)`, the possible classes of each image.
        predictions: predictions and heat maps of these rows.

    Returns:
        dict from class name or partial label to a list of `Card`, and the maps' size in cells `(h, w)`.
    """
    probabilities = predictions.probabilities
    partial = ~complete_labels(possible)
    names = [*run.class_names, *sorted(set(rows["label"][partial]))]
    true_index = pd.Index(names).get_indexer(rows["label"])
    groups = choose_classified(true_index, probabilities, possible)
    chosen = sorted({index for group in groups for index in group})
    geometry = cell_geometry(run, predictions.layer)
    method = METHOD_NAMES.get(predictions.method, predictions.method)
    heat = dict(zip(chosen, predictions.heat_maps(np.array(chosen)), strict=True))

    def card(index: int) -> Card:
        image, overlay, where = _with_heat_map(rows["path"][index], heat[index], geometry, predictions, index)
        predicted = int(predictions.predicted[index])
        right = bool(possible[index, predicted])
        heading = f"{run.class_names[predicted]}: {probabilities[index, predicted]:.2f}"
        detail = f"true: {rows['label'][index]}"
        if not right:
            detail += f", with probability {probabilities[index][possible[index] > 0].sum():.2f}"
        return Card(
            heading=heading,
            detail=detail,
            file=rows["file"][index],
            right=right,
            original=_jpeg(image),
            picture=_jpeg(overlay),
            alt=f"{method} overlay for the prediction {run.class_names[predicted]}, {where}",
        )

    cards = {
        name: [card(index) for index in group] for name, group in zip(names, groups, strict=True) if group
    }
    return cards, heat[chosen[0]].shape


def finding_sheet(
    run: Run, rows: pd.DataFrame, labels: np.ndarray, predictions: Predictions
) -> tuple[dict[str, list[Card]], tuple[int, int]]:
    """Draws Grad-CAM overlays of each finding: images that have it, and the most suspected one without it.

    Args:
        run: the run of a network with sigmoid outputs.
        rows: DataFrame of the evaluated split.
        labels: `(N, K)`, 1, 0, or below 0 where a label is not known.
        predictions: predictions of these rows.

    Returns:
        dict from the name of a finding to a list of `Card`, and the maps' size in cells `(h, w)`.
    """
    probabilities, geometry = predictions.probabilities, cell_geometry(run)
    cards, size = {}, (0, 0)
    for index, name in enumerate(run.class_names):
        order = np.argsort(-probabilities[:, index], kind="stable")
        having, without = (order[labels[order, index] == value] for value in (1, 0))
        chosen = [*dict.fromkeys([*having[:1].tolist(), *having[-1:].tolist()]), *without[:1].tolist()]
        if not chosen:
            continue
        heats = predictions.heat_maps(np.array(chosen), index)
        size = heats[0].shape
        cards[name] = []
        for row, heat in zip(chosen, heats, strict=True):
            image, overlay, where = _with_heat_map(rows["path"][row], heat, geometry, predictions, row)
            has_it = labels[row, index] == 1
            reported = probabilities[row, index] >= np.float32(run.thresholds[index])
            cards[name].append(
                Card(
                    heading=f"{name}: {probabilities[row, index]:.2f}",
                    detail="has it" if has_it else "does not have it",
                    file=rows["file"][row],
                    right=bool(reported == has_it),
                    original=_jpeg(image),
                    picture=_jpeg(overlay),
                    alt=f"Grad-CAM overlay for {name}, {where}",
                )
            )
    return cards, size


def _with_heat_map(
    path: str, heat: np.ndarray, geometry: ReceptiveField | None, predictions: Predictions, row: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """Returns an image and its overlay, both scaled, and where the map is strongest."""
    original = read_image(path)
    image = _scaled(original)
    if predictions.boxes is None:
        overlay = overlay_heat_map(image, heat, geometry=geometry)
        return image, overlay, _describe_maximum(heat, image.shape, geometry)
    # Drawn at the original's size, in whose pixels the box is given.
    box = predictions.boxes[row]
    overlay = _scaled(overlay_heat_map(original, heat, geometry=geometry, box=box))
    return image, overlay, _describe_maximum(heat, original.shape, geometry, box)


def outline_sheet(
    rows: pd.DataFrame,
    scores: Mapping[str, np.ndarray],
    predict: Callable[..., Any],
    load: Callable[[pd.DataFrame], tf.data.Dataset],
) -> dict[str, list[Card]]:
    """Draws the true and predicted masks of the worst, middle and best images.

    Args:
        rows: DataFrame of the evaluated split.
        scores: arrays `(N,)`, as returned by `semenet.metrics.overlap`.
        predict: function from images to probabilities `(N, H, W, 1)`.
        load: function from rows to a dataset of batches of images and masks.

    Returns:
        dict from "worst", "middle" and "best" to a list of `Card`.
    """
    groups = choose_segmented(scores["dice"])
    chosen = [index for group in groups.values() for index in group]
    cards = {}
    with unwrapped_errors():
        for images, masks in load(rows.iloc[chosen]):
            predicted = predict(images).numpy()[..., 0] >= MASK_PROBABILITY
            for image, mask, found in zip(images.numpy(), masks.numpy(), predicted, strict=True):
                index = chosen[len(cards)]
                cards[index] = _outline_card(
                    rows["file"][index],
                    image[..., 0],
                    mask[..., 0],
                    found,
                    {name: float(values[index]) for name, values in scores.items()},
                )
    return {name: [cards[index] for index in group] for name, group in groups.items()}


def _outline_card(
    file: str, image: np.ndarray, mask: np.ndarray, predicted: np.ndarray, scores: Mapping[str, float]
) -> Card:
    shape = image.shape
    true_share, predicted_share = np.mean(mask), np.mean(predicted)
    image = _scaled(image)
    mask, predicted = (
        cv2.resize(np.asarray(each, np.uint8), image.shape[::-1], interpolation=cv2.INTER_NEAREST)
        for each in (mask, predicted)
    )
    return Card(
        heading=f"Dice {scores['dice']:.3f}",
        detail=f"IoU {scores['iou']:.3f}, at {shape[0]} x {shape[1]}",
        file=file,
        right=None,
        original=_jpeg(image),
        picture=_jpeg(outlines(image, mask, predicted)),
        alt=f"Outlines of the true mask, {percent(true_share)} of the image, and of the predicted mask, "
        f"{percent(predicted_share)}",
    )


def _evenly_spaced(indices: np.ndarray, count: int) -> list[int]:
    if not len(indices):
        return []
    positions = np.linspace(0, len(indices) - 1, min(count, len(indices)))
    return indices[np.rint(positions).astype(int)].tolist()


def _scaled(image: np.ndarray) -> np.ndarray:
    """Resizes an image, grey or RGB, so that its longer side is `PICTURE_SIDE`."""
    scale = PICTURE_SIDE / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def _jpeg(image: np.ndarray) -> str:
    return data_uri(encode_image(image, ".jpg"), "image/jpeg")


def _describe_maximum(
    heat: np.ndarray, shape: tuple[int, int], geometry: ReceptiveField | None, box: Box | None = None
) -> str:
    if not heat.any():
        return "empty: no evidence for it"
    heat = place_heat_map(heat, shape, geometry, box)
    row, column = np.unravel_index(heat.argmax(), shape)
    vertical = ("upper", "middle", "lower")[3 * row // shape[0]]
    horizontal = ("left", "centre", "right")[3 * column // shape[1]]
    return f"strongest in the {vertical} {horizontal} of the picture"
