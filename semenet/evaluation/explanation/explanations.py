"""Explains the predictions for image files, or for a split of a manifest, by heat maps."""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from semenet.data.images.listing import list_images
from semenet.data.manifest.class_labels import SEPARATOR, possible_classes
from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.explanation.explanation_files import Case, Method, write_cases
from semenet.inference.lung_masks import LungMasks
from semenet.inference.scoring import scoring_function
from semenet.metrics.probabilities import check_probabilities
from semenet.progress import track
from semenet.storage.atomic import check_output_folder, unique_stems
from semenet.storage.file_names import as_paths, shown_name
from semenet.training.run_folder.run import Run

CASES = ("wrong", "right", "all")


def explain(
    run: Run | keras.Model | str | pathlib.Path,
    images: str | pathlib.Path | Sequence[str | pathlib.Path] | None = None,
    *,
    manifest: str | pathlib.Path | None = None,
    split: str = "val",
    out: str | pathlib.Path,
    only: str = "wrong",
    root: str | pathlib.Path | None = None,
    method: str = "grad-cam",
    layer: str | int = "features",
    class_name: str | None = None,
    true_labels: str | Sequence[str | None] | None = None,
    masks: str | pathlib.Path | Sequence[str | pathlib.Path | None] | None = None,
    lungs: Run | keras.Model | str | pathlib.Path | None = None,
    batch_size: int = 16,
) -> pd.DataFrame:
    """Explains the predictions for image files, or for a split of a manifest, by heat maps.

    Writes for each image, in its original size, `<stem>_heatmap.png` (8-bit grey, 255 for 1) and
    `<stem>_overlay.png` (RGB); `<stem>_panel.png`, see `semenet.evaluation.drawing.panels.panel`; and
    `explanations.csv`. If several images have the same stem, the others are numbered:
    `<stem>_2_heatmap.png`.

    Args:
        run: a classifier: a run folder, a `.keras` file, published weights (`<entry>:<name>`), a `Run` or a
            network in memory.
        images: path of an image or of a folder of images, or several of them; None with `manifest`.
        manifest: path of a manifest's CSV, to explain images of a split with their true labels.
        split: with `manifest`, the split.
        out: the folder to write to; created if missing.
        only: with `manifest`, which images to explain: those classified "wrong", "right", or "all". If there
            are none, the table has no rows.
        root: with `manifest`, the folder that its paths are relative to; None for the CSV's own.
        method: "grad-cam", "grad-cam++", "cam", "layer-cam" or "hires-cam".
        layer: name of the layer whose feature map is weighted, or its stride, see
            `semenet.inference.layers_by_stride`.
        class_name: the class to explain; None for each image's predicted class.
        true_labels: with `images`, one label or None for each listed image, in the order of
            `semenet.data.images.listing.list_images`; a single str for one image; None if they are not known.
        masks: with `images`, likewise paths of lung masks or None: outside the mask the network's input is 0,
            as in training's masked views; a network with a lung view is given what its masks show instead.
            The pictures show the whole radiograph.
        lungs: for a network that needs lung masks, the run of a U-Net that segments them; None for the
            manifest's masks.
        batch_size: number of images at a time.

    Returns:
        DataFrame, the content of explanations.csv, with the columns file (see
        `semenet.storage.file_names.shown_name`), label (only if labels are known), predicted, probability
        (of the predicted class, calibrated if the run is), class (the explained one), method, layer (only if
        it is not the last one), heatmap, overlay and panel (the last three relative to `out`).

    Raises:
        ManifestError: the manifest cannot be used, has no such split, or contains a label that the network
            does not know.
        ImageError: a file is missing or cannot be decoded, a mask differs from its image in size, or a folder
            holds no image.
        SemenetError: both or neither of `images` and `manifest` are given; the run is of a segmentation
            network; unknown method, layer, class or `only`; `true_labels` or `masks` do not match the number
            of images; a mask is needed and missing; or outputs are NaN.

    Example:
        >>> table = semenet.explain("run", "images/000000.png", out="maps")
        >>> table[["heatmap", "overlay", "panel"]].iloc[0].tolist()
        ['000000_heatmap.png', '000000_overlay.png', '000000_panel.png']
    """
    paths = () if images is None else as_paths(images)
    if bool(paths) == (manifest is not None):
        raise SemenetError(
            "Either images or a manifest are explained. "
            f"Received: {len(paths)} paths and {'no manifest' if manifest is None else manifest}. "
            "Give paths of images, or --manifest with --split."
        )
    options: dict[str, Any] = {"layer": layer, "class_name": class_name, "batch_size": batch_size}
    if paths:
        true_labels = [true_labels] if isinstance(true_labels, str) else true_labels
        masks = [masks] if isinstance(masks, str | pathlib.Path) else masks
        return explain_files(
            Run.open(run),
            paths,
            out,
            method=method,
            true_labels=true_labels,
            masks=masks,
            lungs=lungs,
            **options,
        )
    if true_labels is not None or masks is not None:
        raise SemenetError(
            "`true_labels` and `masks` are given with images. Received: a manifest, which has its own. "
            "Leave them out."
        )
    return explain_split(
        Run.open(run), manifest, split, out, only, root=root, method=method, lungs=lungs, **options
    )


def explain_files(
    run: Run,
    files: Sequence[str | pathlib.Path],
    out: str | pathlib.Path,
    batch_size: int = 16,
    *,
    method: str = "grad-cam",
    layer: str | int = "features",
    class_name: str | None = None,
    true_labels: Sequence[str | None] | None = None,
    masks: Sequence[str | pathlib.Path | None] | None = None,
    lungs: Run | keras.Model | str | pathlib.Path | None = None,
) -> pd.DataFrame:
    """Explains the predictions of an open run for image files; see `explain`."""
    check_output_folder(out)
    files = list_images(files)
    _check_classifier(run)
    for name, values in {"true_labels": true_labels, "masks": masks}.items():
        if values is not None and len(values) != len(files):
            raise SemenetError(
                f"`{name}` has one entry for each image found in `images`. Received: {len(values)} for "
                f"{len(files)} images. Use None for an image without one."
            )
    nothing = [None] * len(files)
    masks = nothing if masks is None else list(masks)
    needs_unet = run.needs_lungs and None in masks
    if needs_unet and lungs is None:
        raise SemenetError(
            "A network that takes lungs alone, cut to their box or standardised inside them, needs a lung "
            f"mask for every image. Received: {run.name} and images without masks. Give a U-Net's run with "
            "--lungs."
        )
    cases = [
        Case(shown_name(file), str(file), stem, label, mask)
        for file, stem, label, mask in zip(
            files, unique_stems(files), true_labels or nothing, masks, strict=True
        )
    ]
    finder = LungMasks.open(lungs if needs_unet else None)
    labelled = true_labels is not None
    return write_cases(run, cases, out, batch_size, Method(method, layer, class_name), finder, labelled)


def explain_split(
    run: Run,
    manifest: str | pathlib.Path,
    split: str,
    out: str | pathlib.Path,
    only: str = "wrong",
    *,
    root: str | pathlib.Path | None = None,
    batch_size: int = 16,
    method: str = "grad-cam",
    layer: str | int = "features",
    class_name: str | None = None,
    lungs: Run | keras.Model | str | pathlib.Path | None = None,
) -> pd.DataFrame:
    """Explains the predictions of an open run for a split of a manifest; see `explain`."""
    check_output_folder(out)
    _check_classifier(run)
    _check_only(only)
    chosen_method = Method(method, layer, class_name)
    chosen_method.class_index(run)
    if run.thresholds is not None:
        raise SemenetError(
            "Images of a split are chosen by whether their one class was predicted. "
            f"Received: {run.name}, whose sigmoid outputs may report several findings. Pass image files."
        )
    rows = read_manifest(manifest, root).split(split)
    names = np.array(run.class_names, dtype=object)
    possible_classes(rows, run.class_names)
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
    masked = run.needs_lungs and finder.run is None
    cases = [
        Case(row.file, row.path, stem, row.label, row.mask_path if masked else None)
        for row, stem in zip(chosen.itertuples(), stems, strict=True)
    ]
    return write_cases(run, cases, out, batch_size, chosen_method, finder, labelled=True)


def choose_cases(predictions: pd.DataFrame, only: str = "wrong") -> pd.DataFrame:
    """Returns the rows of a table of predictions that were classified wrongly, rightly, or all.

    Where the label is partial, each of its classes is right.

    Args:
        predictions: DataFrame with the columns label and predicted, such as `semenet evaluate`'s
            predictions.csv.
        only: "wrong", "right" or "all".

    Returns:
        DataFrame of the chosen rows, in their order.

    Raises:
        SemenetError: unknown `only`, or a missing column.
    """
    _check_only(only)
    if missing := {"label", "predicted"} - set(predictions.columns):
        raise SemenetError(
            "Cases are chosen by the columns label and predicted. "
            f"Received: a table without {' and '.join(sorted(missing))}. Use predictions.csv of a classifier."
        )
    right = pd.Series(
        [
            predicted in str(label).split(SEPARATOR)
            for label, predicted in zip(predictions["label"], predictions["predicted"], strict=True)
        ],
        index=predictions.index,
        dtype=bool,
    )
    return predictions[{"wrong": ~right, "right": right, "all": right | ~right}[only]]


def _check_only(only: str) -> None:
    if only not in CASES:
        raise SemenetError(
            f"`only` must be one of {', '.join(CASES)}. Received: {only!r}. Use 'all' for every image."
        )


def _check_classifier(run: Run) -> None:
    if run.segments:
        raise SemenetError(
            "Heat maps explain a classifier. "
            f"Received: {run.name}, a segmentation network, whose output is a map already. "
            "Use `semenet evaluate` to see its masks."
        )
