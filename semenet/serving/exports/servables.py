"""The graphs of a SavedModel over prepared images: those of one network, or of a cascade."""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from semenet.data.images.colour import is_coloured_graph
from semenet.data.transforms import in_graph as graph_transforms
from semenet.data.transforms.mask_threshold import MASK_LEVEL
from semenet.errors import SemenetError
from semenet.inference.embeddings import embedding_network
from semenet.inference.heat_maps.graphs import heat_map_network
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.inference.input_gate import CODES, MIN_SIDE, SIDE
from semenet.inference.lung_plausibility import CHECKS
from semenet.inference.scoring import reported_findings_graph, temper_graph
from semenet.models.folded_inference import computes_in_float32, inference_network
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.cascade.decisions import ABSTAIN, REASONS, REJECTED
from semenet.serving.cascade.lung_view_graph import pack_original_graph
from semenet.training.run_folder.run import Run

_EXPLAINED = ("stage1_heat_map", "stage2_heat_map", "stage1_box", "stage2_box")
USE = "Research use only. Not a medical device."


def prepare_graph(image: tf.Tensor, run: Run) -> tf.Tensor:
    """Prepares an image for a run's network, bit for bit as `semenet.data.pipeline.datasets.prepare_image`.

    Args:
        image: uint8 tensor `(height, width, 1)` of any size.
        run: the network's run.

    Returns:
        uint8 tensor `(H, W, C)`.
    """
    grey = graph_transforms.resize(image[..., 0], run.input_size)
    if run.inference_clahe:
        grey = graph_transforms.clahe(grey)
    return tf.ensure_shape(tf.repeat(grey[..., tf.newaxis], run.channels, axis=-1), image_spec(run).shape)


def image_spec(run: Run) -> tf.TensorSpec:
    """Returns the type and shape of one prepared image of a run."""
    return tf.TensorSpec((*run.input_size, run.channels), tf.uint8)


def served_network(run: Run) -> keras.Model:
    """Returns the network for a SavedModel: its outputs equal those of the run's network in Python.

    This is `inference_network`, except for a network trained in half precision: only that network itself
    rounds as it does in Python.
    """
    model = run.model
    return inference_network(model, run.input_size) if computes_in_float32(model) else model


class NetworkServable:
    """One network.

    Args:
        run: the network's run.
        maps: the method and the layer of the heat maps.

    Attributes:
        models: list of the Keras models whose variables the graphs use.
        specs: list of `tf.TensorSpec`, of the prepared images of one item.
        explains: bool, whether there are heat maps.
        embeds: bool, whether there are embeddings.
        class_names: tuple of K str.

    Raises:
        SemenetError: the network needs the lungs, which it cannot segment itself.
    """

    def __init__(self, run: Run, maps: MapChoice = DEFAULT_MAPS) -> None:
        if run.needs_lungs:
            raise SemenetError(
                "A SavedModel takes whole images, and a classifier cannot find lungs in them. "
                f"Received: {run.path}, a network that takes lungs alone, cut to their box or standardised "
                "inside them. Give a U-Net's run with --lungs, which the SavedModel then includes, or export "
                "a cascade."
            )
        self.run = run
        self.maps = None if run.segments else maps.of(run.model)
        self.network = served_network(run)
        self.models = [self.network]
        self.specs = [image_spec(run)]
        self.explains = self.embeds = not run.segments
        self.class_names = run.class_names

    def prepare(self, image: tf.Tensor, contents: tf.Tensor | None = None) -> tuple[tf.Tensor, ...]:
        """Prepares uint8 `(height, width, 1)` in a graph; a tuple of one image. `contents` is unused."""
        return (prepare_graph(image, self.run),)

    def compute(self, explain: bool) -> Callable[..., dict[str, tf.Tensor]]:
        """Returns the graph function of a batch of prepared images to a dict of outputs."""
        return network_outputs(self.run, self.network, self.maps if explain else None)

    def compute_embedding(self) -> Callable[..., dict[str, tf.Tensor]]:
        """Returns the graph function of a batch of prepared images to their `embedding`."""
        return embedding_outputs(self.network)

    def describe(self) -> dict:
        """Returns the description for clients in `assets.extra/semenet.json`, ready for JSON."""
        maps = {} if self.maps is None else {"heat_map": dataclasses.asdict(self.maps)}
        return describe_run(self.run) | maps | {"use": USE}


def network_outputs(
    run: Run, network: keras.Model, maps: MapChoice | None
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns the graph function of a batch of images, as the network takes them, to a dict of outputs.

    Args:
        run: the network's run.
        network: the network as it is exported.
        maps: the method and the layer of the heat maps; None for none.
    """
    with_heat_map = None
    if maps is not None:
        # Strides are looked up in the run's own network: a folded one has layers without a receptive field.
        chosen = maps.of(run.model)
        with_heat_map = heat_map_network(network, chosen.layer, chosen.method)
    # Read here, because tracing would wrap the error of an invalid calibration.
    temperature, activation, thresholds = run.temperature, run.activation, run.thresholds

    def compute(images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.cast(images, tf.float32)
        outputs, *heat_maps = with_heat_map(images) if with_heat_map else (network(images, training=False),)
        probabilities = temper_graph(outputs, temperature, activation)
        answer = {"probabilities": probabilities}
        if thresholds is not None:
            answer["predicted"] = reported_findings_graph(probabilities, run.class_names, thresholds)
        elif not run.segments:
            chosen = tf.argmax(probabilities, axis=1)
            answer["predicted"] = tf.gather(tf.constant(run.class_names), chosen)
        return answer | ({"heat_map": heat_maps[0]} if with_heat_map else {})

    return compute


def embedding_outputs(network: keras.Model) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns the graph function of a batch of images, as the network takes them, to their `embedding`."""
    pooled = embedding_network(network)
    return lambda images: {"embedding": pooled(tf.cast(images, tf.float32), training=False)}


class CascadeServable:
    """A cascade.

    Args:
        cascade: the cascade.
        maps: the method and the layer of the heat maps, in both stages.

    Attributes:
        models: list of the three Keras models.
        specs: list of `tf.TensorSpec`, of one item: the inputs of the cascade's graph.
        explains: True.
        embeds: False: its networks have an embedding each.
        class_names: tuple of K str, of the joint distribution.
    """

    def __init__(self, cascade: Cascade, maps: MapChoice = DEFAULT_MAPS) -> None:
        self.cascade = cascade
        self.maps = maps
        # The U-Net is exact: different rounding could change a pixel of the mask, and the input of stage 2.
        self.models = [
            run.model if run is cascade.lungs else served_network(run) for run in cascade.runs.values()
        ]
        self.specs = cascade.specs
        self.explains, self.embeds = True, False
        self.class_names = cascade.class_names

    def prepare(self, image: tf.Tensor, contents: tf.Tensor | None = None) -> tuple[tf.Tensor, ...]:
        """Prepares uint8 `(height, width, 1)` and the file's bytes, or None, as `Cascade.prepare`."""
        whole = self.cascade.whole_runs
        images = [prepare_graph(image, run) for run in whole]
        originals = [pack_original_graph(image)] if len(whole) < len(self.cascade.runs) else []
        coloured = tf.constant(False) if contents is None else is_coloured_graph(contents)
        small = tf.reduce_min(tf.shape(image)[:2]) < MIN_SIDE
        thumbnail = graph_transforms.resize(image[..., 0], (SIDE, SIDE))[..., tf.newaxis]
        thumbnail = tf.ensure_shape(thumbnail, (SIDE, SIDE, 1))
        return (*images, *originals, thumbnail, tf.stack([coloured, small]))

    def compute(self, explain: bool) -> Callable[..., dict[str, tf.Tensor]]:
        """Returns the graph function of batches of prepared images to a dict of outputs."""
        graph = self.cascade.graph(explain and self.maps, self.models)
        rule = self.cascade.rule

        def compute(*images: tf.Tensor) -> dict[str, tf.Tensor]:
            decided = graph(*images)
            predicted = tf.gather(tf.constant(rule.class_names), decided["chosen"])
            reason = tf.gather(tf.constant(REASONS), decided["reason"])
            abstains = tf.strings.regex_full_match(reason, f"{ABSTAIN}.*")
            predicted = tf.where(abstains, ABSTAIN, predicted)
            rejected = decided["rejected"]
            is_rejected = tf.reduce_any(rejected, axis=1)
            first = tf.gather(tf.constant(CODES), tf.argmax(rejected, axis=1))
            answer = {
                "probabilities": decided["probabilities"],
                "stage1_probabilities": decided["stage1_probabilities"],
                "stage2_probabilities": decided["stage2_probabilities"],
                "predicted": tf.where(is_rejected, REJECTED, predicted),
                "reason": tf.where(is_rejected, first, reason),
                "input_flags": flag_words(rejected, CODES),
                "lung_flags": flag_words(decided["lungs_implausible"], CHECKS),
            }
            if explain:
                answer |= {name: decided[name] for name in _EXPLAINED if name in decided}
                answer["lung_mask_bytes"] = png_files(decided["lung_mask"])
                for stage in ("stage1", "stage2"):
                    answer[f"{stage}_input_bytes"] = png_files(decided[f"{stage}_input"][..., 0])
            return answer

        return compute

    def describe(self) -> dict:
        """Returns the description for clients in `assets.extra/semenet.json`, ready for JSON."""
        return {
            "network": "cascade",
            "class_names": list(self.class_names),
            "refines": self.cascade.rule.refines,
            "gated": self.cascade.gated,
            "input_flags": list(CODES),
            "stages": {place: describe_run(run) for place, run in self.cascade.runs.items()},
            "heat_maps": {
                "stage1": dataclasses.asdict(self.maps.of(self.cascade.stage1.model)),
                "stage2": dataclasses.asdict(self.maps.of(self.cascade.stage2.model)),
            },
            "use": USE,
        }


def flag_words(marked: tf.Tensor, names: Sequence[str]) -> tf.Tensor:
    """Joins the names that are marked with spaces: bool `(N, K)` to string `(N,)`."""
    words = tf.where(marked, tf.constant([[f"{name} " for name in names]]), "")
    return tf.strings.strip(tf.strings.reduce_join(words, axis=1))


def mask_files(levels: tf.Tensor) -> tf.Tensor:
    """Encodes the masks of grey levels, int32 `(N, H, W)` in [0, 255], as PNG files: string `(N,)`."""
    return png_files(tf.cast(levels >= MASK_LEVEL, tf.uint8) * 255)


def png_files(images: tf.Tensor) -> tf.Tensor:
    """Encodes grey images or masks, uint8 `(N, H, W)`, as PNG files: string `(N,)`."""
    return tf.map_fn(
        lambda image: tf.io.encode_png(image[..., tf.newaxis]), images, fn_output_signature=tf.string
    )


def describe_run(run: Run) -> dict:
    """Returns the description of a network for clients, ready for JSON."""
    calibration = run.calibration or {}
    view = {} if run.segments or not run.lung_view.needs_mask else {"lung_view": run.lung_view.describe()}
    return {
        "network": run.model.name,
        "class_names": list(run.class_names),
        "input_size": list(run.input_size),
        "channels": run.channels,
        "inference_clahe": run.inference_clahe,
        **view,
        "manifest_sha256": run.record.get("manifest_sha256"),
        "temperature": run.temperature,
        "operating_points": calibration.get("operating_points"),
        "abstain": calibration.get("abstain"),
    } | ({} if run.thresholds is None else {"thresholds": list(run.thresholds)})
