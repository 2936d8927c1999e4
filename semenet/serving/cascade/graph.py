"""The three networks of a cascade as one TensorFlow graph, from prepared images to decisions and maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from semenet.data.transforms import in_graph as graph_transforms
from semenet.data.transforms.mask_threshold import MASK_LEVEL
from semenet.inference.heat_map_graphs import heat_map_network
from semenet.inference.input_gate import CODES, gate_graph
from semenet.inference.lung_plausibility import failed_lung_checks
from semenet.inference.scoring import temper_graph
from semenet.serving.cascade.decisions import ChainRule

if TYPE_CHECKING:
    import keras

    from semenet.training.run_folder.run import Run


def cascade_graph(
    stage1: Run,
    lungs: Run,
    stage2: Run,
    rule: ChainRule,
    gated: bool = True,
    explain: bool = False,
    networks: Sequence[keras.Model] | None = None,
) -> Callable[..., dict[str, tf.Tensor]]:
    """Returns the graph function of a cascade, to be traced on its own or in an exported graph.

    Stage 2 receives the lungs alone, with all else black, unless the lung mask is implausible: then it
    receives the whole image. Stage 1 receives whole images, or the same as stage 2 if it was trained on lungs
    alone.

    Args:
        stage1: a classifier.
        lungs: a segmentation network with one class.
        stage2: a classifier.
        rule: the decision rule.
        gated: whether to apply the input gate.
        explain: whether to compute heat maps.
        networks: three models to use instead of those of the runs.

    Returns:
        A function of three uint8 tensors in [0, 255], the images `(N, H, W, C)` as each network takes them,
        and of the two inputs of `semenet.inference.input_gate.gate_graph`. It returns a dict of tensors:
        `rejected`, bool (N, 7), of the gate; `probabilities`, float32 (N, K), the joint distribution in the
        order of `rule.class_names`; `stage1_probabilities` and `stage2_probabilities`, calibrated if the run
        is; all three are 0 for rejected images. `chosen` and `reason`, int32 (N,), are those of
        `ChainRule.decide`; `lungs_implausible`, bool (N, 3), is that of
        `semenet.inference.lung_plausibility.failed_lung_checks`; `lung_mask`, uint8 (N, H, W) in the
        segmentation network's input size, is 255 inside the lungs. With `explain`, `stage1_heat_map` and
        `stage2_heat_map`, float32 (N, h, w) in [0, 1], show each stage's features for its predicted class.
    """
    model1, lung_model, model2 = networks or (stage1.model, lungs.model, stage2.model)
    classify1, classify2 = _network(stage1, model1, explain), _network(stage2, model2, explain)
    gate = gate_graph() if gated else _accept_all

    def run(
        stage1_images: tf.Tensor,
        lung_images: tf.Tensor,
        stage2_images: tf.Tensor,
        thumbnails: tf.Tensor,
        flags: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        levels = _lung_levels(lung_model, lung_images)
        mask = levels >= MASK_LEVEL
        failed = failed_lung_checks(mask)
        usable = ~tf.reduce_any(failed, axis=1)
        first, *first_map = classify1(
            _keep_only_lungs(stage1_images, levels, usable) if stage1.lungs_alone else stage1_images
        )
        second, *second_map = classify2(_keep_only_lungs(stage2_images, levels, usable))
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
            outputs |= {"stage1_heat_map": first_map[0], "stage2_heat_map": second_map[0]}
        return outputs

    return run


def _accept_all(thumbnails: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    return tf.zeros((tf.shape(thumbnails)[0], len(CODES)), tf.bool)


def _network(run: Run, model: keras.Model, explain: bool) -> Callable[[tf.Tensor], tuple[tf.Tensor, ...]]:
    """Returns a function from uint8 images to calibrated probabilities and, with `explain`, heat maps."""
    explained = heat_map_network(model) if explain else None
    # Read outside the traced function, which would wrap the error of an invalid calibration.
    temperature, activation = run.temperature, run.activation

    def network(images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        images = tf.cast(images, tf.float32)
        outputs, *heat = explained(images) if explain else (model(images, training=False),)
        return temper_graph(outputs, temperature, activation), *heat

    return network


def _lung_levels(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    """Returns the segmentation network's probabilities as grey levels, 255 for 1: int32 `(N, H, W)`."""
    probabilities = model(tf.cast(images, tf.float32), training=False)[..., 0]
    return tf.cast(tf.round(probabilities * 255), tf.int32)


def _keep_only_lungs(images: tf.Tensor, levels: tf.Tensor, usable: tf.Tensor) -> tf.Tensor:
    """Sets everything outside the lungs to black, in the images whose mask is usable."""
    size = images.shape[1:3]
    masks = tf.map_fn(
        lambda one: graph_transforms.resize(tf.cast(one, tf.uint8), size) >= MASK_LEVEL,
        levels,
        fn_output_signature=tf.TensorSpec(size, tf.bool),
    )
    kept = masks | ~usable[:, tf.newaxis, tf.newaxis]
    return images * tf.cast(kept[..., tf.newaxis], images.dtype)
