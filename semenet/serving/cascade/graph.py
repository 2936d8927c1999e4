"""The three networks of a cascade as one TensorFlow graph, from prepared images to decisions and maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from semenet.data.transforms import in_graph as graph_transforms
from semenet.data.transforms.mask_threshold import MASK_LEVEL
from semenet.inference.heat_maps.graphs import heat_map_network
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.inference.input_gate import CODES, SIDE, gate_graph
from semenet.inference.lung_plausibility import failed_lung_checks
from semenet.inference.scoring import temper_graph
from semenet.serving.cascade.decisions import ChainRule
from semenet.serving.cascade.lung_view_graph import ORIGINAL, lung_view_graph
from semenet.serving.cascade.saved_cascade import STAGES

if TYPE_CHECKING:
    import keras

    from semenet.training.run_folder.run import Run


def cascade_graph(
    stage1: Run,
    lungs: Run,
    stage2: Run,
    rule: ChainRule,
    gated: bool = True,
    explain: bool | MapChoice = False,
    networks: Sequence[keras.Model] | None = None,
) -> Callable[..., dict[str, tf.Tensor]]:
    """Returns the graph function of a cascade, to be traced on its own or in an exported graph.

    Stage 2 receives the lungs alone, with all else black, unless the lung mask is implausible: then it
    receives the whole image. Stage 1 receives whole images, or the same as stage 2 if it was trained on lungs
    alone. A stage with a lung view receives what that shows, see `semenet.data.transforms.lung_view`; all but
    the lungs is then black only if it was trained on lungs alone.

    Args:
        stage1: a classifier.
        lungs: a segmentation network with one class.
        stage2: a classifier.
        rule: the decision rule.
        gated: whether to apply the input gate.
        explain: whether to compute heat maps; a `MapChoice` is their method and layer, in both stages.
        networks: three models to use instead of those of the runs.

    Returns:
        A function of the tensors that `input_specs` describes. It returns a dict of tensors:
        `rejected`, bool (N, 7), of the gate; `probabilities`, float32 (N, K), the joint distribution in the
        order of `rule.class_names`; `stage1_probabilities` and `stage2_probabilities`, calibrated if the run
        is; all three are 0 for rejected images. `chosen` and `reason`, int32 (N,), are those of
        `ChainRule.decide`; `lungs_implausible`, bool (N, 3), is that of
        `semenet.inference.lung_plausibility.failed_lung_checks`; `lung_mask`, uint8 (N, H, W) in the
        segmentation network's input size, is 255 inside the lungs. With `explain`, `stage1_heat_map` and
        `stage2_heat_map`, float32 (N, h, w) in [0, 1], show each stage's layer for its predicted class;
        `stage1_box` and `stage2_box`, int32 (N, 4), of a stage with a lung view, are the part of the original
        that they cover: top, left, bottom and right; `stage1_input` and `stage2_input`, uint8 (N, H, W, C),
        are the images as the stages received them.
    """
    model1, lung_model, model2 = networks or (stage1.model, lungs.model, stage2.model)
    classify1, classify2 = _network(stage1, model1, explain), _network(stage2, model2, explain)
    gate = gate_graph() if gated else _accept_all
    viewed = [name for name, stage in (("stage1", stage1), ("stage2", stage2)) if stage.lung_view.needs_mask]
    view = lung_view_graph([{"stage1": stage1, "stage2": stage2}[name] for name in viewed])

    def run(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        *prepared, thumbnails, flags = inputs
        originals = prepared.pop() if viewed else None
        whole = [name for name in STAGES if name not in viewed]
        images = dict(zip(whole, prepared, strict=True))
        levels = lung_levels(lung_model, images["lungs"])
        mask = levels >= MASK_LEVEL
        boxes = {}
        if viewed:
            failed, found, found_boxes = view(originals, levels)
            images |= zip(viewed, found, strict=True)
            boxes = {f"{name}_box": box for name, box in zip(viewed, found_boxes, strict=True)}
        else:
            failed = failed_lung_checks(mask)
        usable = ~tf.reduce_any(failed, axis=1)
        if stage1.lungs_alone and "stage1" not in viewed:
            images["stage1"] = keep_only_lungs_graph(images["stage1"], levels, usable)
        if "stage2" not in viewed:
            images["stage2"] = keep_only_lungs_graph(images["stage2"], levels, usable)
        first, *first_map = classify1(images["stage1"])
        second, *second_map = classify2(images["stage2"])
        chosen, reason = rule.decide(first, second)
        rejected = gate(thumbnails, flags)
        # A rejected image must not appear to show a disease. NaN remains NaN and is reported as an error.
        accepted = tf.cast(~tf.reduce_any(rejected, axis=1, keepdims=True), tf.float32)
        outputs = {
            "rejected": rejected,
            "probabilities": rule.joint(first, second) * accepted,
            "stage1_probabilities": first * accepted,
            "stage2_probabilities": second * accepted,
            "chosen": chosen,
            "reason": reason,
            "lungs_implausible": failed,
            "lung_mask": tf.cast(mask, tf.uint8) * 255,
        }
        if explain:
            outputs |= {"stage1_heat_map": first_map[0], "stage2_heat_map": second_map[0]} | boxes
            outputs |= {f"{name}_input": images[name] for name in ("stage1", "stage2")}
        return outputs

    return run


def input_specs(runs: Mapping[str, Run]) -> list[tf.TensorSpec]:
    """Returns the types and shapes of one image's inputs to the graph, without the axis N.

    Args:
        runs: the networks by `STAGES`.

    Returns:
        The specifications, in this order: uint8 `(H, W, C)` of each network without a lung view; if there are
        others, the original, packed by `semenet.serving.cascade.lung_view_graph`; and the two inputs of
        `semenet.inference.input_gate.gate_graph`.
    """
    whole = [run for run in runs.values() if run.segments or not run.lung_view.needs_mask]
    images = [tf.TensorSpec((*run.input_size, run.channels), tf.uint8) for run in whole]
    originals = [ORIGINAL] if len(whole) < len(runs) else []
    return [*images, *originals, tf.TensorSpec((SIDE, SIDE, 1), tf.uint8), tf.TensorSpec((2,), tf.bool)]


def _accept_all(thumbnails: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    return tf.zeros((tf.shape(thumbnails)[0], len(CODES)), tf.bool)


def _network(
    run: Run, model: keras.Model, explain: bool | MapChoice
) -> Callable[[tf.Tensor], tuple[tf.Tensor, ...]]:
    """Returns a function from uint8 images to calibrated probabilities and, with `explain`, heat maps."""
    explained = None
    if explain:
        # Strides are looked up in the run's own network: a network that is folded for inference has layers
        # without a known receptive field.
        maps = (DEFAULT_MAPS if explain is True else explain).of(run.model)
        explained = heat_map_network(model, maps.layer, maps.method)
    # Read outside the traced function, which would wrap the error of an invalid calibration.
    temperature, activation = run.temperature, run.activation

    def network(images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        images = tf.cast(images, tf.float32)
        outputs, *heat = explained(images) if explain else (model(images, training=False),)
        return temper_graph(outputs, temperature, activation), *heat

    return network


def lung_levels(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    """Returns the segmentation network's probabilities as grey levels, 255 for 1: int32 `(N, H, W)`."""
    probabilities = model(tf.cast(images, tf.float32), training=False)[..., 0]
    return tf.cast(tf.round(probabilities * 255), tf.int32)


def keep_only_lungs_graph(images: tf.Tensor, levels: tf.Tensor, usable: tf.Tensor) -> tf.Tensor:
    """Sets everything outside the lungs to black, in the images whose mask is usable."""
    size = images.shape[1:3]
    masks = tf.map_fn(
        lambda one: graph_transforms.resize(tf.cast(one, tf.uint8), size) >= MASK_LEVEL,
        levels,
        fn_output_signature=tf.TensorSpec(size, tf.bool),
    )
    kept = masks | ~usable[:, tf.newaxis, tf.newaxis]
    return images * tf.cast(kept[..., tf.newaxis], images.dtype)
