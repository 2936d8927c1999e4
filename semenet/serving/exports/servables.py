"""What can be exported: one network, or a cascade, each as graphs over prepared images."""

import tensorflow as tf

from semenet.data.images.colour import is_coloured_graph
from semenet.data.transforms import in_graph as graph_transforms
from semenet.errors import SemenetError
from semenet.inference.heat_map_graphs import heat_map_network
from semenet.inference.input_gate import CODES, MIN_SIDE, SIDE
from semenet.inference.lung_plausibility import CHECKS
from semenet.inference.scoring import temper_graph
from semenet.models.folded_inference import computes_in_float32, inference_network
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.cascade.decisions import ABSTAIN, REASONS, REJECTED
from semenet.serving.cascade.saved_cascade import is_cascade
from semenet.training.run_folder.run import Run

USE = "Research use only. Not a medical device."


def open_servable(path):
    """Opens what a path names: a cascade's folder, or a run.

    Returns:
        `CascadeServable` or `NetworkServable`.

    Raises:
        CascadeError: a cascade that is not whole.
        WeightsError: there is neither; and all that `semenet.training.run_folder.run.Run.open` raises.
        ValueError: a network that is fed lungs alone, by itself.
    """
    return CascadeServable(Cascade.open(path)) if is_cascade(path) else NetworkServable(Run.open(path))


def prepare_graph(image, run):
    """An image as a run's network takes it, to the bit of `semenet.data.pipeline.datasets.prepare_image`.

    Args:
        image: uint8 tensor `(height, width, 1)` of any size.
        run: `semenet.training.run_folder.run.Run`.

    Returns:
        uint8 tensor `(H, W, C)`.
    """
    grey = graph_transforms.resize(image[..., 0], run.input_size)
    if run.inference_clahe:
        grey = graph_transforms.clahe(grey)
    return tf.ensure_shape(tf.repeat(grey[..., tf.newaxis], run.channels, axis=-1), spec_of(run).shape)


def spec_of(run):
    """The `tf.TensorSpec` of one prepared image of a run."""
    return tf.TensorSpec((*run.input_size, run.channels), tf.uint8)


def served_network(run):
    """The network that a SavedModel holds, which gives what the run's gives in Python.

    Returns:
        `keras.Model`: of `inference_network`, but for a network trained in half precision its own, since
        only that rounds as it does in Python.
    """
    model = run.model
    return inference_network(model, run.input_size) if computes_in_float32(model) else model


class NetworkServable:
    """One network.

    Args:
        run: `semenet.training.run_folder.run.Run`.

    Attributes:
        models: list of the Keras models whose variables the graphs hold.
        specs: list of `tf.TensorSpec`, of the prepared images of one item.
        explains: bool, whether there are heat maps.
        class_names: tuple of K str.

    Raises:
        ValueError: the network is fed lungs alone, which it cannot find.
    """

    def __init__(self, run):
        if run.lungs_alone:
            raise SemenetError(
                "A SavedModel takes whole images, and one of a classifier alone cannot find lungs in them. "
                f"Received: {run.path}, a network that is fed lungs alone. Export a cascade, which finds "
                "them, or use `semenet predict --lungs` with a U-Net's run."
            )
        self.run = run
        self.network = served_network(run)
        self.models = [self.network]
        self.specs = [spec_of(run)]
        self.explains = not run.segments
        self.class_names = run.class_names

    def prepare(self, image, contents=None):
        """A graph from uint8 `(height, width, 1)` to a tuple of one prepared image. `contents` is unused."""
        return (prepare_graph(image, self.run),)

    def compute(self, explain):
        """A graph of a batch of prepared images to a dict of named outputs."""
        run, network = self.run, self.network
        explained = heat_map_network(network) if explain else None
        # Read here: what a calibration that does not hold raises, tracing would wrap.
        temperature, activation = run.temperature, run.activation

        def compute(images):
            images = tf.cast(images, tf.float32)
            outputs, *heat = explained(images) if explain else (network(images, training=False),)
            probabilities = temper_graph(outputs, temperature, activation)
            named = {"probabilities": probabilities}
            if not run.segments:
                chosen = tf.argmax(probabilities, axis=1)
                named["predicted"] = tf.gather(tf.constant(run.class_names), chosen)
            return named | ({"heat_map": heat[0]} if explain else {})

        return compute

    def describe(self):
        """dict of what a client should know, for `assets.extra/semenet.json`."""
        return describe_run(self.run) | {"use": USE}


class CascadeServable:
    """A cascade.

    Args:
        cascade: `semenet.serving.cascade.cascade.Cascade`.

    Attributes:
        models: list of the three Keras models.
        specs: list of `tf.TensorSpec`, of the three prepared images of one item and the gate's two inputs.
        explains: True.
        class_names: tuple of K str, of the joint distribution.
    """

    def __init__(self, cascade):
        self.cascade = cascade
        # A mask's pixel is inside or not: rounding otherwise than in Python could change what stage 2 sees.
        self.models = [
            run.model if run is cascade.lungs else served_network(run) for run in cascade.runs.values()
        ]
        self.specs = cascade.specs
        self.explains = True
        self.class_names = cascade.class_names

    def prepare(self, image, contents=None):
        """A graph from uint8 `(height, width, 1)` and the file's bytes, or None, to `Cascade.prepare`'s."""
        images = (prepare_graph(image, run) for run in self.cascade.runs.values())
        coloured = tf.constant(False) if contents is None else is_coloured_graph(contents)
        small = tf.reduce_min(tf.shape(image)[:2]) < MIN_SIDE
        thumbnail = graph_transforms.resize(image[..., 0], (SIDE, SIDE))[..., tf.newaxis]
        thumbnail = tf.ensure_shape(thumbnail, (SIDE, SIDE, 1))
        return (*images, thumbnail, tf.stack([coloured, small]))

    def compute(self, explain):
        """A graph of batches of prepared images to a dict of named outputs."""
        graph = self.cascade.graph(explain, self.models)
        rule = self.cascade.rule

        def compute(*images):
            found = graph(*images)
            predicted = tf.gather(tf.constant(rule.class_names), found["chosen"])
            reason = tf.gather(tf.constant(REASONS), found["reason"])
            abstains = tf.strings.regex_full_match(reason, f"{ABSTAIN}.*")
            predicted = tf.where(abstains, ABSTAIN, predicted)
            rejected = found["rejected"]
            closed = tf.reduce_any(rejected, axis=1)
            first = tf.gather(tf.constant(CODES), tf.argmax(rejected, axis=1))
            named = {
                "probabilities": found["probabilities"],
                "stage1_probabilities": found["stage1_probabilities"],
                "stage2_probabilities": found["stage2_probabilities"],
                "predicted": tf.where(closed, REJECTED, predicted),
                "reason": tf.where(closed, first, reason),
                "input_flags": _flags(rejected, CODES),
                "lung_flags": _flags(found["lungs_implausible"], CHECKS),
            }
            if explain:
                named |= {name: found[name] for name in ("stage1_heat_map", "stage2_heat_map")}
                named["lung_mask_bytes"] = _pngs(found["lung_mask"])
            return named

        return compute

    def describe(self):
        """dict of what a client should know, for `assets.extra/semenet.json`."""
        return {
            "network": "cascade",
            "class_names": list(self.class_names),
            "refines": self.cascade.rule.refines,
            "gated": self.cascade.gated,
            "input_flags": list(CODES),
            "stages": {place: describe_run(run) for place, run in self.cascade.runs.items()},
            "use": USE,
        }


def _flags(marked, names):
    """The names that are marked, with blanks between: string `(N,)`."""
    named = tf.where(marked, tf.constant([[f"{name} " for name in names]]), "")
    return tf.strings.strip(tf.strings.reduce_join(named, axis=1))


def _pngs(masks):
    """Masks uint8 `(N, H, W)` as PNG files: string `(N,)`."""
    return tf.map_fn(
        lambda mask: tf.io.encode_png(mask[..., tf.newaxis]), masks, fn_output_signature=tf.string
    )


def describe_run(run):
    """dict, ready for JSON, of what a client should know of a network."""
    calibration = run.calibration or {}
    return {
        "network": run.model.name,
        "class_names": list(run.class_names),
        "input_size": list(run.input_size),
        "channels": run.channels,
        "inference_clahe": run.inference_clahe,
        "manifest_sha256": run.record.get("manifest_sha256"),
        "temperature": run.temperature,
        "operating_points": calibration.get("operating_points"),
        "abstain": calibration.get("abstain"),
    }
