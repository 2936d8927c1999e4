"""Explains predictions for image files: heat maps, overlays, and panels to look at."""

import concurrent.futures
import dataclasses
import os
import pathlib
import sys

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.images.listing import list_images
from semenet.data.manifest.table import label_index, read_manifest
from semenet.data.pipeline.datasets import prepare_image
from semenet.data.pipeline.resized import read_image_and_mask
from semenet.data.transforms import host as host_transforms
from semenet.errors import SemenetError
from semenet.evaluation.drawing.panels import panel
from semenet.inference.class_activation import method_function
from semenet.inference.heat_map_overlays import cell_geometry, encode_image, overlay_heat_map, resize_heat_map
from semenet.inference.lung_masks import LungMasks, keep_only_lungs
from semenet.inference.scoring import scoring_function
from semenet.metrics.probabilities import check_probabilities
from semenet.progress import track
from semenet.storage.atomic import check_output_folder, output_folder, unique_stems, write_bytes
from semenet.storage.file_names import shown_name

CASES = ("wrong", "right", "all")


@dataclasses.dataclass(frozen=True)
class _Case:
    """An image to explain: what the table calls it, where it lies, its outputs' stem, and what is known."""

    name: str
    path: str
    stem: str
    label: str | None = None
    mask_path: str | None = None


def write_explanations(
    run,
    files,
    out,
    batch_size=16,
    *,
    method="grad-cam",
    layer="features",
    class_name=None,
    true_labels=None,
    masks=None,
    lungs=None,
):
    """Explains the predictions for image files.

    Writes for each image, in its own size, `<stem>_heatmap.png` (8-bit grey, 255 for 1) and
    `<stem>_overlay.png` (RGB); `<stem>_panel.png`, see `semenet.evaluation.drawing.panels.panel`; and
    `explanations.csv` with the columns file (by `semenet.storage.file_names.shown_name`), label (only with
    `true_labels`), predicted, probability (of the class predicted, calibrated where the run is), class (the
    one explained), method, heatmap, overlay and panel (the last three relative to `out`). Images of one stem
    get numbers: `<stem>_2_heatmap.png`.

    Args:
        run: a trained classifier, a `semenet.training.run_folder.run.Run`.
        files: paths of images, or of folders that hold some.
        out: the folder to write to; made if absent.
        batch_size: int, images explained at a time.
        method: a key of `semenet.inference.class_activation.METHODS`.
        layer: name of the layer whose feature map is weighted.
        class_name: the class to explain; None for each image's predicted one.
        true_labels: sequence of str or None, one for each image that `files` lists, in
            `semenet.data.images.listing.list_images`'s order; None where they are not known.
        masks: sequence of paths of lung masks or None, likewise: outside of a mask the network's input is
            0, as in training's masked views. The pictures show the radiograph whole.
        lungs: for a network that is fed lungs alone, the run of a U-Net that finds them where `masks` has
            none.

    Returns:
        pathlib.Path of `explanations.csv`.

    Raises:
        ImageError: a file is absent or cannot be decoded, a mask has not its image's size, or a folder
            holds no image.
        ValueError: the run is of a segmentation network; there is no such method, layer or class;
            `true_labels` or `masks` are not as many as the images; the network is fed lungs alone, and an
            image has no mask and there are no `lungs`; or outputs are NaN.
    """
    check_output_folder(out)
    files = list_images(files)
    _check_classifier(run)
    columns = {"true_labels": true_labels, "masks": masks}
    for name, values in columns.items():
        if values is not None and len(values) != len(files):
            raise SemenetError(
                f"`{name}` has one entry for each image that `files` lists. Received: {len(values)} for "
                f"{len(files)} images. Give None for an image without."
            )
    nothing = [None] * len(files)
    masks = nothing if masks is None else list(masks)
    find = run.lungs_alone and None in masks
    if find and lungs is None:
        raise SemenetError(
            f"A network that is fed lungs alone needs to be told where they are. Received: {run.path} and "
            "files without masks. Name a U-Net's run with --lungs."
        )
    cases = [
        _Case(shown_name(file), str(file), stem, label, mask)
        for file, stem, label, mask in zip(
            files, unique_stems(files), true_labels or nothing, masks, strict=True
        )
    ]
    finder = LungMasks.open(lungs if find else None)
    labelled = true_labels is not None
    return _explain(run, cases, out, batch_size, method, layer, class_name, finder, labelled=labelled)


def explain_split(
    run,
    manifest_path,
    split,
    out,
    only="wrong",
    *,
    root=None,
    batch_size=16,
    method="grad-cam",
    layer="features",
    class_name=None,
    lungs=None,
):
    """Scores a split of a manifest and explains the cases that were classified wrongly, rightly, or all.

    Writes what `write_explanations` does, with the true labels; without a case to explain, a table
    without rows.

    Args:
        run: a trained classifier, a `semenet.training.run_folder.run.Run`.
        manifest_path: the manifest's CSV.
        split: the split to score, such as "val".
        out: the folder to write to; made if absent.
        only: "wrong", "right" or "all".
        root: the folder that the manifest's paths start from; None for the CSV's own.
        batch_size: int, images at a time.
        method: as for `write_explanations`.
        layer: as for `write_explanations`.
        class_name: as for `write_explanations`.
        lungs: for a network that is fed lungs alone, the run of a U-Net that finds them; None for the
            manifest's masks.

    Returns:
        pathlib.Path of `explanations.csv`.

    Raises:
        ManifestError: the manifest cannot be used, has no such split, or a label that the network does not
            know.
        ImageError: an image or mask cannot be read.
        ValueError: as `write_explanations`, or for another `only`; or a mask is needed and absent.
    """
    check_output_folder(out)
    _check_classifier(run)
    _check_only(only)
    if class_name is not None:
        _class_index(run, class_name)
    rows = read_manifest(manifest_path, root).split(split)
    names = np.array(run.class_names, dtype=object)
    label_index(rows, run.class_names)
    finder = LungMasks.open(lungs)
    score = scoring_function(run)
    batches = track(finder.network_inputs(rows, run, batch_size), len(rows), "Predicting")
    outputs = np.concatenate([score(images).numpy() for images in batches])
    check_probabilities(outputs)
    predicted = names[outputs.argmax(axis=1)]
    chosen = choose_cases(rows.assign(predicted=predicted), only)
    if chosen.empty:
        print(f"No image of the split {split} was classified {only}ly: nothing to explain.", file=sys.stderr)
    stems = unique_stems([pathlib.PurePath(file) for file in chosen["file"]])
    masked = run.lungs_alone and finder.run is None
    cases = [
        _Case(row.file, row.path, stem, row.label, row.mask_path if masked else None)
        for row, stem in zip(chosen.itertuples(), stems, strict=True)
    ]
    return _explain(run, cases, out, batch_size, method, layer, class_name, finder, labelled=True)


def choose_cases(predictions, only="wrong"):
    """The rows of a table of predictions that were classified wrongly, rightly, or all.

    Args:
        predictions: DataFrame with the columns label and predicted, such as `semenet evaluate`'s
            predictions.csv.
        only: "wrong", "right" or "all".

    Returns:
        DataFrame of the rows chosen, in their order.

    Raises:
        ValueError: for another `only`, or without these columns.
    """
    _check_only(only)
    if missing := {"label", "predicted"} - set(predictions.columns):
        raise SemenetError(
            "Cases are chosen by the columns label and predicted. "
            f"Received: a table without {' and '.join(sorted(missing))}. Use predictions.csv of a classifier."
        )
    right = predictions["label"] == predictions["predicted"]
    return predictions[{"wrong": ~right, "right": right, "all": right | ~right}[only]]


def _explain(run, cases, out, batch_size, method, layer, class_name, finder, labelled):
    explained = None if class_name is None else _class_index(run, class_name)
    explain = method_function(method)(run.model, layer)
    geometry = cell_geometry(run, layer)
    out = output_folder(out)

    def load(case):
        image, mask = read_image_and_mask(case.path, case.mask_path)
        prepared = prepare_image(image, run.input_size, run.channels, run.inference_clahe)
        if mask is not None:
            prepared = prepared * host_transforms.resize_mask(mask, run.input_size)[..., None]
        return image, prepared

    def write(case, image, heat, output):
        winner = int(output.argmax())
        index = winner if explained is None else explained
        picture = overlay_heat_map(image, heat, geometry=geometry)
        caption = [f"{method} for {run.class_names[index]}: probability {output[index]:.3f}"]
        caption.append(f"predicted: {run.class_names[winner]}, probability {output[winner]:.3f}")
        if case.label is not None:
            caption.append(f"true: {case.label}")
        if not heat.any():
            caption.append("The map is 0 throughout: nothing spoke for the class.")
        grey = np.rint(resize_heat_map(heat, image.shape, geometry) * 255).astype(np.uint8)
        pictures = {"heatmap": grey, "overlay": picture, "panel": panel(image, picture, caption)}
        names = {kind: f"{case.stem}_{kind}.png" for kind in pictures}
        for kind, name in names.items():
            write_bytes(out / name, encode_image(pictures[kind]))
        return {
            "file": case.name,
            "label": case.label,
            "predicted": run.class_names[winner],
            "probability": float(output[winner]),
            "class": run.class_names[index],
            "method": method,
        } | names

    rows = []
    batches = (cases[start : start + batch_size] for start in range(0, len(cases), batch_size))
    # Decoding and encoding run outside Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in track(batches, len(cases), "Explaining"):
            images, inputs = zip(*pool.map(load, batch), strict=True)
            inputs = np.stack(inputs)
            bare = [place for place, case in enumerate(batch) if case.mask_path is None]
            if run.lungs_alone and bare:
                found = finder.segment([images[place] for place in bare], run.input_size)
                inputs[bare] = keep_only_lungs(inputs[bare], found)
            heat, outputs = explain(inputs, explained)
            outputs = metrics.temper(outputs, run.temperature, run.activation)
            rows += pool.map(write, batch, images, heat, outputs)
    columns = ["file", "label", "predicted", "probability", "class", "method", "heatmap", "overlay", "panel"]
    table = pd.DataFrame(rows, columns=columns if labelled else [name for name in columns if name != "label"])
    path = out / "explanations.csv"
    write_bytes(path, table.to_csv(index=False).encode())
    return path


def _check_only(only):
    if only not in CASES:
        raise SemenetError(
            f"`only` must be one of {', '.join(CASES)}. Received: {only!r}. Use 'all' for every case."
        )


def _check_classifier(run):
    if run.segments:
        raise SemenetError(
            "Grad-CAM explains a classifier. "
            f"Received: {run.path}, a segmentation network, whose output is a map already. "
            "Use `semenet evaluate` to see its masks."
        )


def _class_index(run, name):
    if name not in run.class_names:
        raise SemenetError(
            f"The class to explain is one of {', '.join(run.class_names)}. Received: {name!r}. "
            "Leave it out for the class predicted."
        )
    return run.class_names.index(name)
