"""The graphs of a SavedModel of one network that needs the lungs, with the U-Net that finds them."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.inference.lung_masks import LungMasks
from semenet.inference.lung_plausibility import CHECKS
from semenet.serving.cascade.graph import keep_only_lungs_graph, lung_levels
from semenet.serving.cascade.lung_view_graph import ORIGINAL, lung_view_graph, pack_original_graph
from semenet.serving.exports.servables import (
    USE,
    describe_run,
    embedding_outputs,
    flag_words,
    image_spec,
    mask_files,
    network_outputs,
    png_files,
    prepare_graph,
    served_network,
)
from semenet.training.run_folder.run import Run


class LungServable:
    """A classifier that needs the lungs of an image, and the segmentation network that finds them.

    Args:
        run: the classifier's run.
        lungs: the segmentation network's run.
        maps: the method and the layer of the heat maps.

    Attributes:
        models: list of the Keras models whose variables the graphs use.
        specs: list of `tf.TensorSpec`, of one item: its images as the networks take them, or the packed
            original for a classifier with a lung view.
        explains: True.
        embeds: True.
        class_names: tuple of K str.

    Raises:
        SemenetError: `lungs` does not segment, or has several classes.
    """

    def __init__(self, run: Run, lungs: Run, maps: MapChoice = DEFAULT_MAPS) -> None:
        LungMasks(lungs)
        self.maps = maps.of(run.model)
        self.run, self.lungs = run, lungs
        self.network = served_network(run)
        # The U-Net is exact: different rounding could change a pixel of the mask.
        self.models = [self.network, lungs.model]
        self.has_view = run.lung_view.needs_mask
        self.specs = [image_spec(lungs), ORIGINAL if self.has_view else image_spec(run)]
        self.explains = self.embeds = True
        self.class_names = run.class_names

    def prepare(self, image: tf.Tensor, contents: tf.Tensor | None = None) -> tuple[tf.Tensor, ...]:
        """Prepares uint8 `(height, width, 1)` in a graph; `contents` is unused."""
        own = pack_original_graph(image) if self.has_view else prepare_graph(image, self.run)
        return prepare_graph(image, self.lungs), own

    def compute(self, explain: bool) -> Callable[..., dict[str, tf.Tensor]]:
        """Returns the graph function of a batch of prepared images to a dict of outputs."""
        return self._compute(network_outputs(self.run, self.network, self.maps if explain else None), explain)

    def compute_embedding(self) -> Callable[..., dict[str, tf.Tensor]]:
        """Returns the graph function of a batch of prepared images to their `embedding`."""
        return self._compute(embedding_outputs(self.network), explain=False)

    def _compute(
        self, outputs: Callable[[tf.Tensor], dict[str, tf.Tensor]], explain: bool
    ) -> Callable[..., dict[str, tf.Tensor]]:
        unet = self.lungs.model
        view = lung_view_graph([self.run]) if self.has_view else None

        def compute(lung_images: tf.Tensor, own: tf.Tensor) -> dict[str, tf.Tensor]:
            levels = lung_levels(unet, lung_images)
            answer = {"lung_mask_bytes": mask_files(levels)} if explain else {}
            if view is None:
                images = keep_only_lungs_graph(own, levels, tf.fill(tf.shape(levels)[:1], True))
                return outputs(images) | answer | received(images)
            failed, (images,), (box,) = view(own, levels)
            answer |= {"lung_flags": flag_words(failed, CHECKS)} | ({"box": box} if explain else {})
            return outputs(images) | answer | received(images)

        def received(images: tf.Tensor) -> dict[str, tf.Tensor]:
            # All channels are equal.
            return {"input_bytes": png_files(images[..., 0])} if explain else {}

        return compute

    def describe(self) -> dict:
        """Returns the description for clients in `assets.extra/semenet.json`, ready for JSON."""
        described = {"heat_map": dataclasses.asdict(self.maps), "lungs": describe_run(self.lungs)}
        return describe_run(self.run) | described | {"use": USE}
