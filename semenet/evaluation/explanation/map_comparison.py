"""Compares methods and layers of heat maps: where the maps lie, and whether they depend on the weights."""

import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import rich.table
import tensorflow as tf

from semenet.data.images.reading import read_mask
from semenet.data.manifest.csv_file import join_paths
from semenet.data.manifest.table import read_manifest
from semenet.data.transforms import host as host_transforms
from semenet.data.transforms.lung_view_on_host import Box
from semenet.errors import SemenetError
from semenet.evaluation.explanation.pointing import SCORES, mean_pointing_scores, pointing_scores
from semenet.evaluation.explanation.randomization import (
    float32_copy,
    layer_groups,
    map_similarity,
    passes,
    reinitialize,
)
from semenet.inference.heat_maps.explained_layers import layer_name, layers_by_stride
from semenet.inference.heat_maps.graphs import (
    FEATURE_WEIGHTS,
    class_map_graph,
    default_method,
    feature_gradients,
    weighted_map,
)
from semenet.inference.heat_maps.map_choice import method_name
from semenet.inference.lung_masks import LungMasks
from semenet.models.receptive_fields import receptive_field
from semenet.progress import track
from semenet.storage.atomic import check_output_folder, output_folder, write_bytes
from semenet.storage.csv_cells import csv_text
from semenet.training.run_folder.run import Run

TABLE = "map_methods.csv"
# The randomisation check needs few images, and its cost grows with their number.
MAX_RANDOMIZED = 16
_FINEST_STRIDE = 4
# From images and class indices to the map of each method.
_MapsOfLayer = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


def compare_map_methods(
    run: Run | keras.Model | str | pathlib.Path,
    manifest: str | pathlib.Path,
    split: str = "val",
    *,
    out: str | pathlib.Path,
    root: str | pathlib.Path | None = None,
    methods: Sequence[str] | None = None,
    layers: Sequence[str | int] | None = None,
    lungs: Run | keras.Model | str | pathlib.Path | None = None,
    batch_size: int = 16,
    seed: int = 0,
    resamples: int = 2000,
) -> pd.DataFrame:
    """Compares heat maps of the predicted classes by several methods and layers, on a split of a manifest.

    Writes `map_methods.csv`. The network is copied, in float32, and the copy's weights are randomised at the
    end; the run is not changed.

    Args:
        run: a classifier: a run folder, a `.keras` file, published weights (`<entry>:<name>`), a `Run` or a
            network in memory.
        manifest: path of a manifest's CSV. Lesions are the masks of its column `lesion_mask`, which phantoms
            have; lungs those of its column `mask`.
        split: the split.
        out: the folder to write to; created if missing.
        root: the folder that the manifest's paths are relative to; None for the CSV's own.
        methods: names of methods; None for all that use gradients, and "cam" where the head allows it.
        layers: names or strides; None for the strides of 4 and more.
        lungs: the run of a U-Net that segments the lungs; None for the manifest's masks.
        batch_size: number of images at a time.
        seed: seed of the random weights and the resamples.
        resamples: number of bootstrap resamples of the patients.

    Returns:
        DataFrame, the content of map_methods.csv, one row for each method and layer: `method`, `layer`,
        `stride`, `cells`; for `lesion` and `lung` (columns begin with these) `count`, `empty` and the means
        of `semenet.evaluation.pointing_scores`, with `_low` and `_high` of their 95 % interval over patients;
        `randomized_correlation`, `_low`, `_high` and `depends_on_weights`, the randomisation check with all
        weights randomised, over at most 16 images; and `milliseconds` an image, without reading it. One
        gradient serves all methods of a layer, and they share its time.

    Raises:
        ManifestError: the manifest cannot be used, or has no such split.
        ImageError: an image or mask cannot be read.
        SemenetError: the run is of a segmentation network; unknown method or layer; or neither lesions nor
            lungs are known.

    Example:
        >>> table = semenet.evaluation.compare_map_methods(
        ...     "run", "manifest.csv", out="comparison", layers=[8, 16], methods=["layer-cam", "hires-cam"]
        ... )
        >>> table[["method", "stride"]].values.tolist()
        [['layer-cam', 8], ['hires-cam', 8], ['layer-cam', 16], ['hires-cam', 16]]
    """
    check_output_folder(out)
    opened = Run.open(run)
    if opened.segments:
        raise SemenetError(
            f"Heat maps explain a classifier. Received: {opened.name}, a segmentation network. "
            "Give a classifier."
        )
    network = float32_copy(opened.model)
    graphs = _maps_by_layer(network, methods, layers)
    table = read_manifest(manifest, root, required=())
    rows = table.split(split)
    finder = LungMasks.open(lungs)
    seen = list(finder.prepared(rows, opened, batch_size))
    images = np.concatenate([batch.images for batch in seen])
    boxes = [box for batch in seen for box in batch.boxes or [None] * len(batch.images)]
    regions = {
        "lesion": _lesions(rows, table.path.parent if root is None else root, opened.input_size, boxes),
        "lung": _lungs(rows, finder, opened, batch_size),
    }
    regions = {name: masks for name, masks in regions.items() if masks is not None}
    if not regions:
        raise SemenetError(
            "Heat maps are compared with the masks of lesions or lungs. "
            f"Received: {manifest} without the columns `lesion_mask` and `mask`. "
            "Give a U-Net's run with --lungs, or use phantoms."
        )
    batches = [slice(start, start + batch_size) for start in range(0, len(images), batch_size)]
    predicted = np.concatenate([network(images[at], training=False).numpy().argmax(1) for at in batches])
    few = np.sort(np.random.default_rng(seed).permutation(len(images))[:MAX_RANDOMIZED])
    originals, measured = {}, {}
    for (layer, kind), explain in track(
        graphs.items(), len(graphs) * len(images), "Comparing", size=lambda _: len(images)
    ):
        explain(images[:1], predicted[:1])
        began = time.perf_counter()
        parts = [explain(images[at], predicted[at]) for at in batches]
        milliseconds = 1000 * (time.perf_counter() - began) / len(images)
        maps = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        originals[layer, kind] = {name: found[few] for name, found in maps.items()}
        measured[layer, kind] = _measure(maps, regions, rows["patient"].to_numpy(), opened, layer, resamples)
        for values in measured[layer, kind].values():
            values["milliseconds"] = milliseconds
    generator = np.random.default_rng(seed)
    for _, members in layer_groups(network):
        for member in members:
            reinitialize(member, generator)
    found = []
    for (layer, kind), explain in graphs.items():
        randomised = explain(images[few], predicted[few])
        for name, values in measured[layer, kind].items():
            compared = map_similarity(originals[layer, kind][name], randomised[name], seed, resamples)
            found.append(
                {"method": name, "layer": layer}
                | values
                | {
                    "randomized_correlation": compared["correlation"],
                    "randomized_low": compared["low"],
                    "randomized_high": compared["high"],
                    "depends_on_weights": passes(compared),
                }
            )
    # None, where a value is not defined, becomes NaN.
    frame = pd.DataFrame(found).replace({None: np.nan})
    write_bytes(output_folder(out) / TABLE, csv_text(frame).encode())
    return frame


def printed_table(found: pd.DataFrame) -> rich.table.Table:
    """Returns the result of `compare_map_methods` as a table for the terminal, with intervals."""
    table = rich.table.Table("method", "layer", "stride", "cells", box=None)
    regions = [name for name in ("lesion", "lung") if f"{name}_count" in found]
    scores = [f"{region}_{score}" for region in regions for score in ("pointing", "area", "energy", "ratio")]
    for name in (*scores, "random weights", "depends", "ms"):
        table.add_column(name.replace("_", " "), no_wrap=True)
    for row in found.to_dict("records"):
        cells = [str(row[name]) for name in ("method", "layer", "stride", "cells")]
        cells += [f"{row[name]:.2f}" if "area" in name else _with_interval(row, name) for name in scores]
        verdict = {True: "yes", False: "no"}.get(row["depends_on_weights"], "undecided")
        table.add_row(*cells, _with_interval(row, "randomized"), verdict, f"{row['milliseconds']:.1f}")
    return table


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    value = row[f"{name}_correlation" if name == "randomized" else name]
    if pd.isna(value):
        return "-"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{value:.2f}" if pd.isna(low) else f"{value:.2f} ({low:.2f}-{high:.2f})"


def _maps_by_layer(
    network: keras.Model, methods: Sequence[str] | None, layers: Sequence[str | int] | None
) -> dict[tuple[str, str], _MapsOfLayer]:
    """Returns the functions of maps, traced at their first call, by layer and "cam" or "gradient"."""
    if layers is None:
        layers = [name for stride, name in layers_by_stride(network).items() if stride >= _FINEST_STRIDE]
    names = ["cam", *FEATURE_WEIGHTS] if methods is None else [method_name(name) for name in methods]
    graphs = {}
    for layer in (layer_name(network, layer) for layer in layers):
        # CAM explains the pooled layer alone; an explicit request for another layer is an error.
        if "cam" in names and (methods is not None or default_method(network, layer) == "cam"):
            class_map = class_map_graph(network, layer, all_classes=False)
            graphs[layer, "cam"] = _traced(network, lambda *inputs, of=class_map: {"cam": of(*inputs)[0]})
        if by_gradient := [name for name in names if name != "cam"]:
            graphs[layer, "gradient"] = _traced(network, _gradient_maps(network, layer, by_gradient))
    return graphs


def _gradient_maps(network: keras.Model, layer: str, methods: Sequence[str]) -> Callable[..., Any]:
    """Returns the graph function of several methods that share one gradient."""
    gradients = feature_gradients(network, layer)

    def maps(images: tf.Tensor, class_index: tf.Tensor) -> dict[str, tf.Tensor]:
        features, gradient, _ = gradients(images, class_index)
        return {name: weighted_map(features, gradient, FEATURE_WEIGHTS[name]) for name in methods}

    return maps


def _traced(network: keras.Model, graph: Callable[..., Any]) -> _MapsOfLayer:
    images_spec = tf.TensorSpec(network.inputs[0].shape, tf.float32)
    signature = [images_spec, tf.TensorSpec((None,), tf.int32)]
    maps = tf.function(graph, input_signature=signature, autograph=False)

    def explain(images: np.ndarray, class_index: np.ndarray) -> dict[str, np.ndarray]:
        found = maps(tf.cast(images, tf.float32), tf.cast(class_index, tf.int32))
        return {name: values.numpy() for name, values in found.items()}

    return explain


def _lesions(
    rows: pd.DataFrame, folder: str | pathlib.Path, size: tuple[int, int], boxes: Sequence[Box | None]
) -> list[np.ndarray | None] | None:
    """Returns the lesion mask of each row, in the part of the image that the network sees.

    It is None for a row without a mask, and there is no list without the column.
    """
    if "lesion_mask" not in rows:
        return None
    paths = join_paths(pathlib.Path(folder).absolute(), rows["lesion_mask"].tolist())
    whole = [read_mask(path) if path else None for path in paths]
    parts = [
        mask if mask is None or box is None else mask[box.slices]
        for mask, box in zip(whole, boxes, strict=True)
    ]
    return [None if mask is None else host_transforms.resize_mask(mask, size) > 0 for mask in parts]


def _lungs(
    rows: pd.DataFrame, finder: LungMasks, run: Run, batch_size: int
) -> list[np.ndarray | None] | None:
    """Returns the lung mask of each row, None for a row without one; None if there is no mask at all."""
    available = finder.has_mask(rows)
    if not available.any():
        return None
    masks = iter(finder.masks_as_seen(rows[available].reset_index(drop=True), run, batch_size))
    return [next(masks) if is_available else None for is_available in available]


def _measure(
    maps: dict[str, np.ndarray],
    regions: dict[str, list[np.ndarray | None]],
    patients: np.ndarray,
    run: Run,
    layer: str,
    resamples: int,
) -> dict[str, dict[str, Any]]:
    """Returns the pointing scores of each method, as columns of the table."""
    geometry = receptive_field(run.model, layer, run.input_size)
    result = {}
    for name, heats in maps.items():
        values = {"stride": round(geometry.stride[0]), "cells": f"{heats.shape[1]} x {heats.shape[2]}"}
        for region, masks in regions.items():
            scores = [
                None if mask is None else pointing_scores(heat, mask, geometry)
                for heat, mask in zip(heats, masks, strict=True)
            ]
            means = mean_pointing_scores(scores, patients, resamples)
            if means is None:
                continue
            values |= {f"{region}_count": means["count"], f"{region}_empty": means["empty"]}
            for score in SCORES:
                low, high = means["intervals"][score] or (None, None)
                values |= {
                    f"{region}_{score}": means[score],
                    f"{region}_{score}_low": low,
                    f"{region}_{score}_high": high,
                }
        result[name] = values
    return result
