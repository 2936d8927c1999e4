"""Knowledge distillation: a student learns a teacher's soft labels, and where the teacher looks."""

import math

import keras
import numpy as np
from keras import ops

from semenet.models.layers.moment_exchange import MomentExchange
from semenet.models.layers.partners import roll_batch
from semenet.training.distillation.teacher import TeacherError, find_head, load_teacher

# Probabilities and squared lengths below this count as it: a logarithm and a quotient need more than 0.
SMALLEST = 1e-30


def distil(student, recipe, out=None):
    """Puts a student beside the teacher that its recipe names.

    Args:
        student: the recipe's network, `keras.Model` or `MoExModel`, whose head gives softmax or logits.
        recipe: `Recipe` with a `teacher`.
        out: the run's own folder, which cannot be the teacher; None where there is none.

    Returns:
        `Distillation`, to be compiled and fitted like the student. What is kept of it is `.student`.

    Raises:
        TeacherError: if there is no such teacher, or it does not fit the recipe.
        WeightsError: if its file cannot be read.
    """
    teacher = load_teacher(recipe, out)
    return Distillation(
        student,
        teacher,
        temperature=recipe.distill_temperature,
        soft_weight=recipe.distill_weight,
        attention_weight=recipe.attention_weight,
    )


# Not keras.distillation.Distiller: its compute_loss leaves sample weights out, runs the student a second time
# (another draw of the moment exchange, batch statistics counted twice) and wants equal input shapes. Nor its
# LogitsDistillation: by default it takes the divergence of the logits themselves, and given a KLDivergence,
# which clips at 1e-7, logits further apart than 16 T teach nothing.
class Distillation(keras.Model):
    """Trains a student by labels and by a teacher; predicts and evaluates as the student alone.

    The training loss is `(1 - soft_weight) * hard + soft_weight * soft + attention_weight * attention`:
    `hard` is the student's own loss, as compiled, `soft` is `SoftLabels`, and `attention` is
    `AttentionTransfer` at the layer `features`. Sample weights and class weights count in the hard loss
    alone: what a teacher says of an image does not depend on how frequent its class is.

    The teacher sees the images that the student gets, in inference mode, as float32 in [0, 255]. Where its
    input has another size they are resized (`resize`) and rounded to whole grey levels as in the pipeline;
    a grey image is repeated to three channels, and of three, which are equal, the first is taken.

    A `MoExModel` as student keeps its mixed hard loss, and the soft labels follow: on steps with an exchange
    they are `lam * own + (1 - lam) * partner's`. The attention is not mixed: the exchanged moments change how
    strong the features are at a position, and what stands there is still the image's own.

    Args:
        student: `keras.Model` of the zoo that classifies.
        teacher: likewise, with the same classes. It is frozen.
        temperature: float > 0, of the soft labels.
        soft_weight: float in [0, 1], the soft labels' share of the loss.
        attention_weight: float >= 0.

    Attributes:
        student: the network to save, to checkpoint and to average. It holds nothing of the teacher.
        teacher: its variables are among this model's, as non-trainable ones (JAX threads them through the
            step), and not among the student's.

    Raises:
        TeacherError: for a network that is not of the zoo or does not classify, a setting out of range, or
            if the weights or a feature map of one position leave the teacher nothing to teach.

    Reference:
        Hinton et al., "Distilling the Knowledge in a Neural Network", https://arxiv.org/abs/1503.02531;
        Zagoruyko and Komodakis, "Paying More Attention to Attention", https://arxiv.org/abs/1612.03928
    """

    def __init__(self, student, teacher, *, temperature=4.0, soft_weight=0.5, attention_weight=0.0):
        # Images stay as they are under mixed precision too: float16 cannot hold every grey level's fraction.
        super().__init__(name=f"{student.name}_distillation", autocast=False)
        _check_settings(temperature, soft_weight, attention_weight)
        self.student = student
        self.student_taps = _taps(student, find_head(student, "The student", student.name))
        teacher.trainable = False
        self.teacher = teacher
        self.teacher_taps = _taps(teacher, find_head(teacher, "The teacher", teacher.name))
        if attention_weight:
            _check_maps(student, teacher)
        self.soft_weight = soft_weight
        self.attention_weight = attention_weight
        self.soft_labels = SoftLabels(temperature)
        self.attention_transfer = AttentionTransfer()

    def compile(self, *args, **kwargs):
        """As `keras.Model.compile`."""
        super().compile(*args, **kwargs)
        # The hard loss is the student's, which may mix it (MoExModel). Its own compile() would ask for an
        # optimizer, and a file of a network compiled without one does not load.
        self.student._compile_loss = self._compile_loss

    def call(self, images, training=False):
        """The student's probabilities; in training a dict of its `outputs`, `pooled` and `features`."""
        if not training:
            return self.student(images, training=False)
        return self.student_taps(images, training=True)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The student's own loss; in training with the teacher's share."""
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

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """As `keras.Model.compute_metrics`, of the student's probabilities."""
        outputs = y_pred["outputs"] if isinstance(y_pred, dict) else y_pred
        return super().compute_metrics(x, y, outputs, sample_weight)

    def _exchanged(self, targets):
        for layer in self.student.layers:
            if isinstance(layer, MomentExchange):
                return layer.mix * targets + (1.0 - layer.mix) * roll_batch(targets)
        return targets


class SoftLabels(keras.losses.Loss):
    """How far a student's softened probabilities are from soft labels: `T**2 * KL(labels || student)`.

    `T**2` keeps the gradient's size whatever the temperature (Hinton et al., section 2).

    Args:
        temperature: float > 0, T.

    Call arguments:
        y_true: soft labels `(N, K)`, probabilities: `soften` of a teacher's logits.
        y_pred: the student's logits `(N, K)`, any floating dtype; the arithmetic is float32.

    Returns:
        float32 scalar, the mean over the batch.
    """

    def __init__(self, temperature=4.0):
        super().__init__(name="soft_labels", dtype="float32")
        self.temperature = float(temperature)

    def call(self, y_true, y_pred):
        student = ops.log_softmax(y_pred / self.temperature, axis=-1)
        labels = ops.log(ops.maximum(y_true, SMALLEST))
        return self.temperature**2 * ops.sum(y_true * (labels - student), axis=-1)


class AttentionTransfer(keras.losses.Loss):
    """How differently two networks spread their attention over an image.

    A feature map's attention is the sum over its channels of the squares, as a vector over the positions of
    length 1. The loss is the squared distance of the two vectors, in [0, 2]; the authors' code divides it by
    the number of positions. Where the maps differ in size each side of both becomes the smaller one.

    Call arguments:
        y_true: the teacher's feature map `(N, H, W, C)`.
        y_pred: the student's `(N, h, w, c)`. Any floating dtypes; the arithmetic is float32.

    Returns:
        float32 scalar, the mean over the batch.
    """

    def __init__(self):
        super().__init__(name="attention_transfer", dtype="float32")

    def call(self, y_true, y_pred):
        maps = [ops.sum(ops.square(features), axis=-1, keepdims=True) for features in (y_true, y_pred)]
        size = tuple(min(sides) for sides in zip(*(each.shape[1:3] for each in maps), strict=True))
        maps = [ops.reshape(resize(each, size), (-1, math.prod(size))) for each in maps]
        teacher, student = (_unit_length(each) for each in maps)
        return ops.sum(ops.square(teacher - student), axis=-1)


def head_logits(model, pooled):
    """A network's logits `(N, K)` in float32, where its head gives a softmax, which may have saturated.

    Call it outside of any layer's `call`, where mixed precision would halve the head's kernel.

    Args:
        model: a network of the zoo that classifies.
        pooled: what goes into its head, `(N, C)`.
    """
    head = model.get_layer("head")
    return ops.matmul(ops.cast(pooled, "float32"), head.kernel) + head.bias


def soften(logits, temperature):
    """Soft labels: the softmax of `logits / temperature`, `(N, K)` in float32."""
    return ops.softmax(ops.cast(logits, "float32") / temperature, axis=-1)


def fit_images(images, shape):
    """Makes images into what a network of another size or number of channels takes.

    Args:
        images: `(N, H, W, C)` in [0, 255], C 1 (grey) or 3 (grey three times).
        shape: `(height, width, channels)`; a side of None is the images' own.

    Returns:
        `(N, height, width, channels)` float32 in [0, 255], of whole numbers if it was resized.
    """
    images = ops.cast(images, "float32")[..., : shape[-1]]
    size = tuple(wanted or side for wanted, side in zip(shape[:2], images.shape[1:3], strict=True))
    if size != tuple(images.shape[1:3]):
        images = ops.round(resize(images, size))
    return images if images.shape[-1] == shape[-1] else ops.repeat(images, shape[-1], axis=-1)


def resize(images, size):
    """Resizes bilinearly, with antialiasing where it shrinks, as `keras.ops.image.resize(antialias=True)`.

    As two matrix products, since TensorFlow's operation has no XLA kernel, and a GPU's step is compiled.

    Args:
        images: float `(N, H, W, C)` of known height and width.
        size: `(height, width)`.

    Returns:
        `(N, height, width, C)`.
    """
    rows, columns = (_resizing_matrix(*sides) for sides in zip(images.shape[1:3], size, strict=True))
    return ops.einsum("pw,nowc->nopc", columns, ops.einsum("oh,nhwc->nowc", rows, images))


def _resizing_matrix(side, new_side):
    """Weights `(new_side, side)` of a triangle filter, which widens as the image shrinks."""
    centres = (np.arange(new_side) + 0.5) * side / new_side - 0.5
    distances = abs(np.arange(side) - centres[:, np.newaxis])
    weights = np.maximum(0, 1 - distances / max(side / new_side, 1))
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")


def _unit_length(vectors):
    # keras.ops.normalize gives NaN gradients for a vector of zeros: an image at which no ReLU fires.
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squares, SMALLEST))


def _taps(model, head):
    """The network with what goes into its head and its feature map as further outputs; the same layers."""
    features = model.get_layer("features").output
    outputs = {"outputs": model.outputs[0], "pooled": head.input, "features": features}
    return keras.Model(model.inputs, outputs, name=f"{model.name}_taps")


def _check_settings(temperature, soft_weight, attention_weight):
    rules = {
        "distill-temperature": (0 < temperature < math.inf, "must be positive", temperature),
        "distill-weight": (0 <= soft_weight <= 1, "must lie in [0, 1]", soft_weight),
        "attention-weight": (0 <= attention_weight < math.inf, "must be 0 or more", attention_weight),
    }
    for name, (holds, rule, value) in rules.items():
        if not holds:
            raise TeacherError(f"--{name} {rule}. Received: {value!r}. Pass another one.")
    if not soft_weight and not attention_weight:
        raise TeacherError(
            "A teacher teaches by soft labels, by attention, or by both. Received: --distill-weight 0 and "
            "--attention-weight 0. Raise one, or leave --teacher out."
        )


def _check_maps(student, teacher):
    maps = [model.get_layer("features").output.shape[1:3] for model in (student, teacher)]
    if any(tuple(size) == (1, 1) for size in maps):
        raise TeacherError(
            "Attention is transferred between feature maps of more than one position. Received: "
            f"{' and '.join(f'{size[0]} x {size[1]}' for size in maps)} positions of {student.name} and "
            f"{teacher.name}. Use inputs of 64 pixels or more, or --attention-weight 0."
        )
