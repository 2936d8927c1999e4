"""The three networks of a cascade as one TensorFlow graph, from prepared images to decisions and maps."""

import tensorflow as tf

from semenet.data.transforms import in_graph as graph_transforms
from semenet.data.transforms.mask_threshold import MASK_LEVEL
from semenet.inference.heat_map_graphs import heat_map_network
from semenet.inference.input_gate import CODES, gate_graph
from semenet.inference.lung_plausibility import failed_checks
from semenet.inference.scoring import temper_graph


def cascade_graph(stage1, lungs, stage2, rule, gated=True, explain=False, networks=None):
    """Makes the function that a cascade computes, to be traced by itself or in an exported graph.

    Stage 2 is fed the lungs alone, all else black, unless what was found cannot be lungs: then the whole
    image. Stage 1 is fed whole images, or as stage 2 where it was trained so.

    Args:
        stage1: `semenet.training.run_folder.run.Run` of a classifier.
        lungs: `Run` of a segmentation network with one class.
        stage2: `Run` of a classifier.
        rule: `semenet.serving.cascade.decisions.ChainRule`.
        gated: whether the input gate looks at the images.
        explain: whether to give heat maps too.
        networks: three `keras.Model` to compute in place of the runs' own; None for these.

    Returns:
        A function of three uint8 tensors in [0, 255], the images as each network takes them, `(N, H, W, C)`
        in the order of the arguments, and of the two of `semenet.inference.input_gate.gate_input`, to a
        dict of
        tensors. `rejected` (N, 7) bool is of `semenet.inference.input_gate.gate_graph`; `probabilities`
        (N, K)
        float32 is the joint distribution in the order of `rule.class_names`; `stage1_probabilities` and
        `stage2_probabilities` are calibrated where the run is; all three are 0 for what is rejected. `chosen`
        and `reason` (N,) int32 are of `ChainRule.decide`; `lungs_implausible` (N, 3) bool is of
        `semenet.inference.lung_plausibility.failed_checks`; `lung_mask` uint8 (N, H, W) has the U-Net's
        input size, 255
        inside. With `explain`, `stage1_heat_map` and `stage2_heat_map` (N, h, w) float32 in [0, 1] are of
        each stage's features, for the class that the stage predicts.
    """
    model1, lung_model, model2 = networks or (stage1.model, lungs.model, stage2.model)
    classifiers = _network(stage1, model1, explain), _network(stage2, model2, explain)
    gate = gate_graph() if gated else _open_gate

    def run(stage1_images, lung_images, stage2_images, thumbnails, facts):
        grey = _lung_levels(lung_model, lung_images)
        mask = grey >= MASK_LEVEL
        wrong = failed_checks(mask)
        usable = ~tf.reduce_any(wrong, axis=1)
        first, *first_map = classifiers[0](
            _lungs_alone(stage1_images, grey, usable) if stage1.lungs_alone else stage1_images
        )
        second, *second_map = classifiers[1](_lungs_alone(stage2_images, grey, usable))
        chosen, reason = rule.decide(first, second)
        rejected = gate(thumbnails, facts)
        # Nobody shall read a disease into what is no radiograph. NaN stays NaN, which is refused.
        kept = tf.cast(~tf.reduce_any(rejected, axis=1, keepdims=True), tf.float32)
        outputs = {
            "rejected": rejected,
            "probabilities": rule.joint(first, second) * kept,
            "stage1_probabilities": first * kept,
            "stage2_probabilities": second * kept,
            "chosen": chosen,
            "reason": reason,
            "lungs_implausible": wrong,
            "lung_mask": tf.cast(mask, tf.uint8) * 255,
        }
        if explain:
            outputs |= {"stage1_heat_map": first_map[0], "stage2_heat_map": second_map[0]}
        return outputs

    return run


def _open_gate(thumbnails, _):
    return tf.zeros((tf.shape(thumbnails)[0], len(CODES)), tf.bool)


def _network(run, model, explain):
    """A function of uint8 images to calibrated probabilities and, with `explain`, heat maps."""
    explained = heat_map_network(model) if explain else None
    # Read here: what a calibration that does not hold raises, tracing would wrap.
    temperature, activation = run.temperature, run.activation

    def network(images):
        images = tf.cast(images, tf.float32)
        outputs, *heat = explained(images) if explain else (model(images, training=False),)
        return temper_graph(outputs, temperature, activation), *heat

    return network


def _lung_levels(model, images):
    """The U-Net's probabilities as grey levels, 255 for 1: int32 `(N, H, W)`."""
    probabilities = model(tf.cast(images, tf.float32), training=False)[..., 0]
    return tf.cast(tf.round(probabilities * 255), tf.int32)


def _lungs_alone(images, grey, usable):
    """The images, all but the lungs black where `usable`."""
    size = images.shape[1:3]
    masks = tf.map_fn(
        lambda levels: graph_transforms.resize(levels, size) >= MASK_LEVEL,
        grey,
        fn_output_signature=tf.TensorSpec(size, tf.bool),
    )
    kept = masks | ~usable[:, tf.newaxis, tf.newaxis]
    return images * tf.cast(kept[..., tf.newaxis], images.dtype)
