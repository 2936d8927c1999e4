"""Knowledge distillation: a student learns from a teacher's soft labels and attention."""

import math
import os
from typing import Any

import keras
from keras import ops

from semenet.models.layers.batch_rolling import roll_batch
from semenet.models.layers.heads import ClassifierHead
from semenet.models.layers.moment_exchange import MomentExchange
from semenet.training.distillation.image_fitting import fit_images, resize
from semenet.training.distillation.teacher import TeacherError, find_head, load_teacher
from semenet.training.recipe import Recipe

# Lower bound of probabilities and squared lengths, because logarithms and quotients need positive values.
SMALLEST = 1e-30


def distil(student: keras.Model, recipe: Recipe, out: str | os.PathLike | None = None) -> "Distillation":
    """Combines a student with the teacher of its recipe.

    Args:
        student: the recipe's network, `keras.Model` or `MoExModel`, whose head returns softmax or logits.
        recipe: a recipe with a `teacher`.
        out: the run's own folder, which cannot hold the teacher; None for no check.

    Returns:
        A model to compile and fit like the student. Save its attribute `student`.

    Raises:
        TeacherError: there is no such teacher, or it does not fit the recipe.
        WeightsError: the teacher's file cannot be read.
    """
    teacher = load_teacher(recipe, out)
    return Distillation(
        student,
        teacher,
        temperature=recipe.distill_temperature,
        soft_weight=recipe.distill_weight,
        attention_weight=recipe.attention_weight,
    )


# Not keras.distillation.Distiller: its compute_loss ignores sample weights, runs the student a second time
# (another draw of the moment exchange, batch statistics counted twice) and needs equal input shapes. Nor its
# LogitsDistillation: by default it takes the divergence of the logits themselves, and with a KLDivergence,
# which clips at 1e-7, logits that differ by more than 16 T have no gradient.
class Distillation(keras.Model):
    """Trains a student with labels and with a teacher; predicts and evaluates as the student alone.

    The training loss is `(1 - soft_weight) * hard + soft_weight * soft + attention_weight * attention`:
    `hard` is the student's own compiled loss, `soft` is `SoftLabels`, and `attention` is
    `AttentionTransfer` at the layer `features`. Sample weights and class weights apply to the hard loss
    alone, because a teacher's answer does not depend on how frequent a class is.

    The teacher receives the student's images, in inference mode, as float32 in [0, 255]. If its input has
    another size, they are resized (`resize`) and rounded to whole grey levels as in the pipeline; a grey
    image is repeated to three channels, and of three equal channels the first is used.

    A `MoExModel` as student keeps its mixed hard loss, and the soft labels are mixed likewise: on steps with
    an exchange they are `lam * own + (1 - lam) * partner's`. The attention is not mixed, because exchanged
    moments change how strong the features are at a position but not which image they show.

    Args:
        student: a network of the zoo that classifies.
        teacher: a network of the zoo with the same classes. It is frozen.
        temperature: temperature of the soft labels, above 0.
        soft_weight: the soft labels' share of the loss, in [0, 1].
        attention_weight: weight of the attention transfer, 0 or more.

    Attributes:
        student: the network to save, to checkpoint and to average. It holds nothing of the teacher.
        teacher: the frozen teacher. Its variables are non-trainable variables of this model (JAX passes them
            through the step), and not of the student.

    Raises:
        TeacherError: a network is not of the zoo or does not classify, a setting is out of range, both
            weights are 0, or attention is to be transferred between feature maps of a single position.

    Reference:
        Hinton et al., "Distilling the Knowledge in a Neural Network", https://arxiv.org/abs/1503.02531;
        Zagoruyko and Komodakis, "Paying More Attention to Attention", https://arxiv.org/abs/1612.03928
    """

    # Read by MomentExchange.
    mixes_labels = True

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        *,
        temperature: float = 4.0,
        soft_weight: float = 0.5,
        attention_weight: float = 0.0,
    ) -> None:
        # No autocast: float16 cannot hold all fractions of grey levels.
        super().__init__(name=f"{student.name}_distillation", autocast=False)
        _check_settings(temperature, soft_weight, attention_weight)
        self.student = student
        self.student_taps = network_taps(student, find_head(student, "The student", student.name))
        teacher.trainable = False
        self.teacher = teacher
        self.teacher_taps = network_taps(teacher, find_head(teacher, "The teacher", teacher.name))
        if attention_weight:
            _check_maps(student, teacher)
        self.soft_weight = soft_weight
        self.attention_weight = attention_weight
        self.soft_labels = SoftLabels(temperature)
        self.attention_transfer = AttentionTransfer()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles as `keras.Model.compile`."""
        super().compile(*args, **kwargs)
        # The hard loss is computed by the student, which may mix it (MoExModel). The student itself is not
        # compiled: that needs an optimizer, and a file of a network compiled without one cannot be loaded.
        self.student._compile_loss = self._compile_loss

    def call(self, images: keras.KerasTensor, training: bool = False) -> Any:
        """Returns the student's probabilities; in training a dict of `outputs`, `pooled` and `features`."""
        if not training:
            return self.student(images, training=False)
        return self.student_taps(images, training=True)

    def compute_loss(
        self,
        x: keras.KerasTensor | None = None,
        y: keras.KerasTensor | None = None,
        y_pred: Any = None,
        sample_weight: keras.KerasTensor | None = None,
        training: bool = True,
    ) -> keras.KerasTensor:
        """Returns the student's own loss; in training together with the teacher's."""
        if not training:
            return self.student.compute_loss(x, y, y_pred, sample_weight, training=False)
        hard = self.student.compute_loss(x, y, y_pred["outputs"], sample_weight, training=True)
        images = fit_images(x, self.teacher.input_shape[1:])
        taught = keras.tree.map_structure(ops.stop_gradient, self.teacher_taps(images, training=False))
        loss = (1.0 - self.soft_weight) * hard
        if self.soft_weight:
            targets = soften(head_logits(self.teacher, taught["pooled"]), self.soft_labels.temperature)
            logits = head_logits(self.student, y_pred["pooled"])
            loss = loss + self.soft_weight * self.soft_labels(self._exchanged(targets), logits)
        if self.attention_weight:
            attention = self.attention_transfer(taught["features"], y_pred["features"])
            loss = loss + self.attention_weight * attention
        return loss

    def compute_metrics(
        self,
        x: keras.KerasTensor,
        y: keras.KerasTensor,
        y_pred: Any,
        sample_weight: keras.KerasTensor | None = None,
    ) -> dict[str, Any]:
        """Computes the metrics of the student's probabilities, as `keras.Model.compute_metrics`."""
        outputs = y_pred["outputs"] if isinstance(y_pred, dict) else y_pred
        return super().compute_metrics(x, y, outputs, sample_weight)

    def _exchanged(self, targets: keras.KerasTensor) -> keras.KerasTensor:
        for layer in self.student.layers:
            if isinstance(layer, MomentExchange):
                return layer.mix * targets + (1.0 - layer.mix) * roll_batch(targets)
        return targets


class SoftLabels(keras.losses.Loss):
    """Divergence of a student's softened probabilities from soft labels: `T**2 * KL(labels || student)`.

    `T**2` makes the size of the gradient independent of the temperature (Hinton et al., section 2).

    Args:
        temperature: T, above 0.

    Call arguments:
        y_true: soft labels `(N, K)`, probabilities: `soften` of a teacher's logits.
        y_pred: the student's logits `(N, K)`, any floating dtype. The loss is computed in float32.

    Returns:
        float32 scalar, the mean over the batch.
    """

    def __init__(self, temperature: float = 4.0) -> None:
        super().__init__(name="soft_labels", dtype="float32")
        self.temperature = float(temperature)

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        student = ops.log_softmax(y_pred / self.temperature, axis=-1)
        labels = ops.log(ops.maximum(y_true, SMALLEST))
        return self.temperature**2 * ops.sum(y_true * (labels - student), axis=-1)


class AttentionTransfer(keras.losses.Loss):
    """Difference between the attention of two networks over the positions of an image.

    A feature map's attention is the sum of squares over its channels, as a vector over the positions that is
    scaled to length 1. The loss is the squared distance of the two vectors, in [0, 2]; the authors' code
    divides it by the number of positions. Maps of different size are both resized to the smaller height and
    the smaller width.

    Call arguments:
        y_true: the teacher's feature map `(N, H, W, C)`.
        y_pred: the student's feature map `(N, h, w, c)`. Any floating dtypes; the loss is computed in
            float32.

    Returns:
        float32 scalar, the mean over the batch.
    """

    def __init__(self) -> None:
        super().__init__(name="attention_transfer", dtype="float32")

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        maps = [ops.sum(ops.square(features), axis=-1, keepdims=True) for features in (y_true, y_pred)]
        size = tuple(min(sides) for sides in zip(*(each.shape[1:3] for each in maps), strict=True))
        maps = [ops.reshape(resize(each, size), (-1, math.prod(size))) for each in maps]
        teacher, student = (_unit_length(each) for each in maps)
        return ops.sum(ops.square(teacher - student), axis=-1)


def head_logits(model: keras.Model, pooled: keras.KerasTensor) -> keras.KerasTensor:
    """Returns a network's logits, whose softmax may have saturated.

    Must be called outside of any layer's `call`, where mixed precision would cast the head's kernel to half
    precision.

    Args:
        model: a network of the zoo that classifies.
        pooled: the input of its head, `(N, C)`.

    Returns:
        float32 `(N, K)`.
    """
    head = model.get_layer("head")
    return ops.matmul(ops.cast(pooled, "float32"), head.kernel) + head.bias


def soften(logits: keras.KerasTensor, temperature: float) -> keras.KerasTensor:
    """Returns soft labels: the softmax of `logits / temperature`, float32 `(N, K)`."""
    return ops.softmax(ops.cast(logits, "float32") / temperature, axis=-1)


def _unit_length(vectors: keras.KerasTensor) -> keras.KerasTensor:
    # keras.ops.normalize has NaN gradients for a vector of zeros, as of an image where all ReLUs are zero.
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squares, SMALLEST))


def network_taps(model: keras.Model, head: ClassifierHead) -> keras.Model:
    """Returns a network of the same layers that also outputs the head's input and the feature map."""
    features = model.get_layer("features").output
    outputs = {"outputs": model.outputs[0], "pooled": head.input, "features": features}
    return keras.Model(model.inputs, outputs, name=f"{model.name}_taps")


def _check_settings(temperature: float, soft_weight: float, attention_weight: float) -> None:
    rules = {
        "distill-temperature": (0 < temperature < math.inf, "must be positive", temperature),
        "distill-weight": (0 <= soft_weight <= 1, "must be in [0, 1]", soft_weight),
        "attention-weight": (0 <= attention_weight < math.inf, "must be 0 or more", attention_weight),
    }
    for name, (holds, rule, value) in rules.items():
        if not holds:
            raise TeacherError(f"--{name} {rule}. Received: {value!r}. Pass another value.")
    if not soft_weight and not attention_weight:
        raise TeacherError(
            "A teacher needs a weight for soft labels, for attention, or for both. Received: "
            "--distill-weight 0 and --attention-weight 0. Raise one, or leave --teacher out."
        )


def _check_maps(student: keras.Model, teacher: keras.Model) -> None:
    maps = [model.get_layer("features").output.shape[1:3] for model in (student, teacher)]
    if any(tuple(size) == (1, 1) for size in maps):
        raise TeacherError(
            "Attention transfer needs feature maps of more than one position. Received: "
            f"{' and '.join(f'{size[0]} x {size[1]}' for size in maps)} positions of {student.name} and "
            f"{teacher.name}. Use inputs of 64 pixels or more, or --attention-weight 0."
        )
