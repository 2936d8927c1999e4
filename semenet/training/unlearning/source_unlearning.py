"""The model that a run fits to unlearn the source: the network with losses that act in training alone."""

from typing import Any

import keras
from keras import ops

from semenet.training.distillation.distillation import Distillation, network_taps
from semenet.training.recipe import Recipe
from semenet.training.unlearning.gradient_reversal import reversal_ramp, reverse_gradient
from semenet.training.unlearning.group_weights import GroupLosses, GroupWeights
from semenet.training.unlearning.lung_attention import AttentionOutsideLungs, class_activation
from semenet.training.unlearning.row_values import UnlearningValues
from semenet.training.unlearning.source_classifier import SourceClassifier


def unlearn_source(
    model: keras.Model, network: keras.Model, recipe: Recipe, values: UnlearningValues, steps: int
) -> "SourceUnlearning":
    """Adds the losses of a recipe to a network.

    Args:
        model: the network, or a distillation of it.
        network: the network.
        recipe: a recipe that unlearns.
        values: the values of its training rows.
        steps: number of steps of the whole training.

    Returns:
        A model to compile and to fit with batches that have these values. Save its attribute `network`.
    """
    groups = classifier = None
    if recipe.dro_step:
        groups = GroupWeights(values.groups, values.group_counts, recipe.dro_step, recipe.dro_adjustment)
    if recipe.unlearn is not None:
        channels = network.get_layer("features").output.shape[-1]
        classifier = SourceClassifier(channels, len(values.sources), len(values.within))
    return SourceUnlearning(
        model,
        network,
        groups=groups,
        classifier=classifier,
        classifier_weight=recipe.unlearn_weight,
        attention_weight=recipe.lung_attention_weight,
        steps=steps,
    )


def group_record(model: keras.Model, values: UnlearningValues) -> dict[str, Any]:
    """Returns what run.json says about the groups of a run: the images and the last weight of each.

    Args:
        model: the fitted model.
        values: the values of its training rows.

    Returns:
        `{"groups": {name: {"images": int, "weight": float}}}`; empty without group DRO.
    """
    groups = getattr(model, "groups", None)
    if groups is None:
        return {}
    counts = zip(groups.shares().items(), values.group_counts.tolist(), strict=True)
    return {"groups": {name: {"images": count, "weight": share} for (name, share), count in counts}}


class SourceUnlearning(keras.Model):
    """Trains a network, and makes it unlearn where an image comes from; predicts as the network alone.

    Each part acts if it is given:

    - `groups`: the network's own loss becomes that of group DRO, by a weight for each image. The weights
      follow the losses of the images' own labels, also in steps with a moment exchange, and in a distillation
      they apply to the loss of the labels alone.
    - `classifier`: its loss is added. Its gradient reaches the network reversed, times `classifier_weight`
      and `reversal_ramp`; the classifier itself learns at full strength.
    - `attention_weight`: `AttentionOutsideLungs` of the class activation is added, times this weight.

    All of these losses are computed in float32.

    Args:
        model: the network, or a `Distillation` of it.
        network: the network, with a layer `features` and a `head`.
        groups: the groups of group DRO; None for none.
        classifier: the source classifier; None for none.
        classifier_weight: weight of the reversed gradient, above 0.
        attention_weight: weight of the attention loss, 0 for none. The head must follow global average
            pooling.
        steps: number of steps of the whole training, over which the reversal rises.

    Call arguments:
        inputs: dict of `images`, uint8 `(N, H, W, C)`, and, as far as the parts need them, `group`, `source`
            and `within`, int `(N,)`, `source_weight`, float `(N,)`, and `lungs`, `(N, H, W)`.

    Attributes:
        network: the network to save, to checkpoint and to average. It holds nothing of this model.
        own_variables: the variables of this model that a checkpoint needs beside those of the network.
    """

    # Read by MomentExchange: the loss is that of the network or of its distillation.
    mixes_labels = True

    def __init__(
        self,
        model: keras.Model,
        network: keras.Model,
        *,
        groups: GroupWeights | None = None,
        classifier: SourceClassifier | None = None,
        classifier_weight: float = 1.0,
        attention_weight: float = 0.0,
        steps: int = 1,
    ) -> None:
        # No autocast: the weights of images and the masks are not features.
        super().__init__(name=f"{network.name}_unlearning", autocast=False)
        self.model = model
        self.network = network
        is_distilled = isinstance(model, Distillation)
        self.taps = model if is_distilled else network_taps(network, network.get_layer("head"))
        self.groups = groups
        self.classifier = classifier
        self.classifier_weight = classifier_weight
        self.attention_weight = attention_weight
        self.steps = steps
        self.source_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float32")
        self.attention_loss = AttentionOutsideLungs()
        self.steps_done = self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=False,
            dtype="float32",
            autocast=False,
            aggregation="only_first_replica",
            name="steps_done",
        )
        if groups is not None:
            self.group_losses = GroupLosses(groups.names)
        if classifier is not None:
            self.source_losses = keras.metrics.Mean(name="source_loss")
            self.source_hits = keras.metrics.Mean(name="source_accuracy")
        if attention_weight:
            self.attention_shares = keras.metrics.Mean(name="attention_outside_lungs")

    @property
    def own_variables(self) -> list[keras.Variable]:
        parts = [part for part in (self.groups, self.classifier) if part is not None]
        return [self.steps_done, *(variable for part in parts for variable in part.variables)]

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles as `keras.Model.compile`."""
        super().compile(*args, **kwargs)
        # As in `Distillation`: the network computes its own loss, which it may mix, without being compiled.
        self.network._compile_loss = self._compile_loss

    def call(self, inputs: dict[str, keras.KerasTensor], training: bool = False) -> Any:
        """Returns the network's probabilities; in training a dict of `outputs`, `pooled` and `features`."""
        if not training:
            return self.network(inputs["images"], training=False)
        return self.taps(inputs["images"], training=True)

    def compute_loss(
        self,
        x: Any = None,
        y: keras.KerasTensor | None = None,
        y_pred: Any = None,
        sample_weight: keras.KerasTensor | None = None,
        training: bool = True,
    ) -> keras.KerasTensor:
        """Returns the network's own loss; in training together with those of the parts."""
        if not training:
            return self.network.compute_loss(x["images"], y, y_pred, sample_weight, training=False)
        if self.groups is not None:
            weights = self._group_weights(x["group"], y, y_pred["outputs"])
            sample_weight = weights if sample_weight is None else sample_weight * weights
        answer = y_pred if isinstance(self.model, Distillation) else y_pred["outputs"]
        loss = self.model.compute_loss(x["images"], y, answer, sample_weight, training=True)
        if self.classifier is not None:
            loss = loss + self._source_loss(x, y_pred["features"])
        if self.attention_weight:
            loss = loss + self.attention_weight * self._attention_loss(x, y, y_pred["features"])
        self.steps_done.assign_add(1.0)
        return loss

    def compute_metrics(
        self,
        x: Any,
        y: keras.KerasTensor,
        y_pred: Any,
        sample_weight: keras.KerasTensor | None = None,
    ) -> dict[str, Any]:
        """Computes the metrics of the network's probabilities, as `keras.Model.compute_metrics`."""
        outputs = y_pred["outputs"] if isinstance(y_pred, dict) else y_pred
        return super().compute_metrics(x, y, outputs, sample_weight)

    def _group_weights(
        self, groups: keras.KerasTensor, y: keras.KerasTensor, outputs: keras.KerasTensor
    ) -> keras.KerasTensor:
        losses = self.loss.call(ops.cast(y, "float32"), ops.cast(outputs, "float32"))
        self.group_losses.update_state(losses, groups)
        return self.groups.weigh(losses, groups)

    def _source_loss(self, x: dict[str, Any], features: keras.KerasTensor) -> keras.KerasTensor:
        pooled = ops.mean(ops.cast(features, "float32"), axis=(1, 2))
        strength = self.classifier_weight * reversal_ramp(self.steps_done / self.steps)
        logits = self.classifier(reverse_gradient(pooled, strength), x["within"])
        source, weight = x["source"], x["source_weight"]
        hits = ops.cast(ops.argmax(logits, axis=-1), "int32") == ops.cast(source, "int32")
        self.source_losses.update_state(self.source_loss.call(source, logits), weight)
        self.source_hits.update_state(ops.cast(hits, "float32"), weight)
        return self.source_loss(source, logits, weight)

    def _attention_loss(
        self, x: dict[str, Any], y: keras.KerasTensor, features: keras.KerasTensor
    ) -> keras.KerasTensor:
        activation = class_activation(features, self.network.get_layer("head").kernel, y)
        lungs = ops.cast(x["lungs"], "float32")
        self.attention_shares.update_state(self.attention_loss.call(lungs, activation))
        return self.attention_loss(lungs, activation)
