"""Sheets of examples for the report: which images to show, and their pictures."""

import dataclasses

import cv2
import numpy as np

from semenet.data.images.reading import read_image
from semenet.data.pipeline.datasets import unwrapped_errors
from semenet.data.transforms.mask_threshold import MASK_PROBABILITY
from semenet.evaluation.drawing.pages import percent
from semenet.evaluation.drawing.plots import data_uri, outlines
from semenet.inference.heat_map_overlays import cell_geometry, encode_image, overlay_heat_map, resize_heat_map

EXAMPLES = 3
PICTURE_SIDE = 320


@dataclasses.dataclass(frozen=True)
class Card:
    """An example: a radiograph and what was found in it, side by side.

    Attributes:
        heading: what was predicted or measured.
        detail: the truth, and more.
        file: the image's name in the manifest.
        right: whether the prediction is right; None where that is no question.
        original: data URI.
        picture: data URI of the overlay or the outlines.
        alt: what `picture` shows, in words.
    """

    heading: str
    detail: str
    file: str
    right: bool | None
    original: str
    picture: str
    alt: str


def choose_classified(true_index, probabilities):
    """Chooses examples of each class: right ones over the range of certainty, and the surest mistakes.

    Args:
        true_index: int array `(N,)`.
        probabilities: float array `(N, K)`.

    Returns:
        K lists of indices into the images, at most `EXAMPLES` right ones (the surest, the least sure, and
        between), then at most as many wrong ones (the surest first).
    """
    predicted, certainty = probabilities.argmax(axis=1), probabilities.max(axis=1)
    surest = np.argsort(-certainty, kind="stable")
    chosen = []
    for index in range(probabilities.shape[1]):
        of_class = surest[true_index[surest] == index]
        right = of_class[predicted[of_class] == index]
        wrong = of_class[predicted[of_class] != index]
        chosen.append([*_spread(right, EXAMPLES), *wrong[:EXAMPLES].tolist()])
    return chosen


def choose_segmented(dice):
    """Chooses examples of a segmentation by Dice `(N,)`: the worst, middling and best ones.

    Returns:
        dict of lists of indices into the images, none twice; empty lists are left out.
    """
    order = np.argsort(dice, kind="stable")
    worst = order[:EXAMPLES]
    best = order[EXAMPLES:][-EXAMPLES:]
    between = order[len(worst) : len(order) - len(best)]
    middle = between[max(0, (len(between) - EXAMPLES) // 2) :][:EXAMPLES]
    groups = {"worst": worst, "middle": middle, "best": best[::-1]}
    return {name: found.tolist() for name, found in groups.items() if len(found)}


def grad_cam_sheet(run, rows, true_index, predictions):
    """Grad-CAM of chosen examples of each class, for the class predicted.

    Args:
        run: a trained classifier, `semenet.training.run_folder.run.Run`.
        rows: DataFrame of the split evaluated.
        true_index: int array `(N,)`.
        predictions: `semenet.evaluation.measure.predictions.Predictions` of these rows.

    Returns:
        dict from class name to a list of `Card`, and the maps' size in cells `(h, w)`.
    """
    probabilities = predictions.probabilities
    groups = choose_classified(true_index, probabilities)
    chosen = sorted({index for group in groups for index in group})
    geometry = cell_geometry(run)
    heat = dict(zip(chosen, predictions.heat_maps(np.array(chosen)), strict=True))

    def card(index):
        image = _scaled(read_image(rows["path"][index]))
        true, predicted = int(true_index[index]), int(predictions.predicted[index])
        right = predicted == true
        heading = f"{run.class_names[predicted]}: {probabilities[index, predicted]:.2f}"
        detail = f"true: {run.class_names[true]}"
        return Card(
            heading=heading,
            detail=detail if right else f"{detail}, given {probabilities[index, true]:.2f}",
            file=rows["file"][index],
            right=right,
            original=_jpeg(image),
            picture=_jpeg(overlay_heat_map(image, heat[index], geometry=geometry)),
            alt=f"Grad-CAM overlay for the prediction {run.class_names[predicted]}, "
            f"{_strongest(heat[index], image.shape, geometry)}",
        )

    cards = {
        name: [card(index) for index in group]
        for name, group in zip(run.class_names, groups, strict=True)
        if group
    }
    return cards, heat[chosen[0]].shape


def outline_sheet(rows, scores, predict, load):
    """True and predicted masks of the worst, middling and best images.

    Args:
        rows: DataFrame of the split evaluated.
        scores: dict of arrays `(N,)`, as `semenet.metrics.overlap` gives them.
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


def _outline_card(file, image, mask, predicted, scores):
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
        alt=f"Outlines of the true mask, {percent(true_share)} of the image, and of the predicted one, "
        f"{percent(predicted_share)}",
    )


def _spread(indices, count):
    if not len(indices):
        return []
    places = np.linspace(0, len(indices) - 1, min(count, len(indices)))
    return indices[np.rint(places).astype(int)].tolist()


def _scaled(image):
    """The image with `PICTURE_SIDE` as its longer side."""
    scale = PICTURE_SIDE / max(image.shape)
    height, width = (max(1, round(side * scale)) for side in image.shape)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def _jpeg(image):
    return data_uri(encode_image(image, ".jpg"), "image/jpeg")


def _strongest(heat, shape, geometry):
    if not heat.any():
        return "empty: nothing spoke for it"
    heat = resize_heat_map(heat, shape, geometry)
    row, column = np.unravel_index(heat.argmax(), shape)
    vertical = ("upper", "middle", "lower")[3 * row // shape[0]]
    horizontal = ("left", "centre", "right")[3 * column // shape[1]]
    return f"strongest in the {vertical} {horizontal} of the picture"
