"""Moment exchange (MoEx): an image's features take on another image's moments, and its label."""

import numbers
import types

import keras
from keras import ops

from semenet.errors import SemenetError
from semenet.models.layers.partners import is_divided, roll_batch

EPSILON = 1e-5


@keras.saving.register_keras_serializable("semenet")
class MomentExchange(keras.layers.Layer):
    """Normalises each position over its channels and injects the moments of the batch's next image.

    With probability `p` a training step, the positional moments (PONO: mean and biased variance over
    the channels at each position) of every image are replaced by those of its partner, the image
    before it in the batch (the batch rolled by one, over all devices that share it). The features'
    gradient and that of the partner's moments both flow. In inference the layer is the identity, and it
    has no parameters.

    The loss has to follow: a model that holds this layer must be a `MoExModel`, which mixes the labels
    on the same steps. Batches must be shuffled: in a batch sorted by class an image would exchange its
    moments with one of its own class.

    Args:
        p: float in [0, 1], the probability of an exchange in a training step.
        lam: float in [0, 1], the weight of an image's own label on steps with an exchange.
        seed: int or None, the seed of the draws; None takes Keras' global one.
        **kwargs: the base layer's arguments.

    Call arguments:
        inputs: feature map `(N, H, W, C)`, any floating dtype. Moments are computed in float32
            whatever the policy: in float16 the variance overflows from activations of some 250 on.
        training: bool, whether an exchange may happen.

    Input shape:
        `(N, H, W, C)`.

    Output shape:
        That of the input, in the layer's compute dtype.

    Attributes:
        mix: float32 scalar variable: `lam` after a step with an exchange, 1 after one without. It is
            state of the step (like a seed) and not a weight: it is neither counted nor saved.

    Raises:
        ValueError: if `p` or `lam` lies outside [0, 1], or the input is not a batch of feature maps.

    Reference:
        Li et al., "On Feature Normalization and Data Augmentation", https://arxiv.org/abs/2002.11102
    """

    def __init__(self, p=0.5, lam=0.9, seed=None, **kwargs):
        super().__init__(**kwargs)
        for argument, value in {"p": p, "lam": lam}.items():
            if not isinstance(value, numbers.Real) or not 0 <= value <= 1:
                raise SemenetError(
                    f"`{argument}` of MomentExchange must lie in [0, 1]. Received: {value!r}. "
                    "Use p=0 to switch the exchange off."
                )
        self.p = float(p)
        self.lam = float(lam)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape):
        _check_feature_map(input_shape)
        mix = keras.Variable(1.0, trainable=False, dtype="float32", autocast=False, name="mix")
        # Keras tracks a layer's variables as weights, which are counted and saved; a namespace hides
        # this one from the tracker, and `variables` below reports it to what must thread state (JAX).
        self._step = types.SimpleNamespace(mix=mix)

    @property
    def mix(self):
        return self._step.mix

    @property
    def variables(self):
        return super().variables + ([self._step.mix] if self.built else [])

    def call(self, inputs, training=False):
        _check_feature_map(inputs.shape)
        if not training:
            return inputs
        if self.p in (0.0, 1.0):
            self.mix.assign(self.lam if self.p else 1.0)
            return exchange_moments(inputs) if self.p else inputs
        exchanged = keras.random.uniform((), dtype="float32", seed=self.seed_generator) < self.p
        self.mix.assign(ops.where(exchanged, self.lam, 1.0))
        if is_divided():
            # Replicas cannot meet inside a condition: they exchange always, and choose afterwards.
            return ops.where(exchanged, exchange_moments(inputs), inputs)
        return ops.cond(exchanged, lambda: exchange_moments(inputs), lambda: inputs)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"p": self.p, "lam": self.lam, "seed": self.seed}


@keras.saving.register_keras_serializable("semenet")
class MoExModel(keras.Model):
    """A functional model whose training loss follows its `MomentExchange` layer.

    The loss of a training step is `mix * l(y) + (1 - mix) * l(partner's y)`, where `mix` is the layer's
    `lam` on steps with an exchange and 1 on the others. `sample_weight` goes with its label. Losses
    added by layers count once. The validation loss is the plain one. Any `compile()` and `fit()` will do.

    Raises:
        ValueError: in a training step, if the model does not hold exactly one `MomentExchange`.
    """

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        # Keras' own loss of a compiled model; None where only layers add losses.
        if not training or self._compile_loss is None:
            return loss
        mix = self._moment_exchange.mix
        partner_y, partner_weight = keras.tree.map_structure(
            lambda value: None if value is None else roll_batch(value), (y, sample_weight)
        )
        own = self._compile_loss(y, y_pred, sample_weight)
        partner = self._compile_loss(partner_y, y_pred, partner_weight)
        return loss + (1.0 - mix) * (partner - own)

    @property
    def _moment_exchange(self):
        layers = [layer for layer in self.layers if isinstance(layer, MomentExchange)]
        if len(layers) != 1:
            raise SemenetError(
                "A MoExModel trains with exactly one MomentExchange layer, whose exchange its loss "
                f"follows. Received: {len(layers)} of them. Use keras.Model for a network without one."
            )
        return layers[0]


def exchange_moments(features):
    """Gives every image the positional moments of its partner, the image before it in the batch.

    Args:
        features: `(N, H, W, C)`, any floating dtype.

    Returns:
        Tensor of the same shape and dtype: normalised over the channels at each position, then scaled
        and shifted by the partner's standard deviation and mean at that position.
    """
    x = ops.cast(features, "float32")
    # Written out, since ops.moments would centre the features a second time: a quarter less time on a CPU.
    mean = ops.mean(x, axis=-1, keepdims=True)
    centred = x - mean
    deviation = ops.sqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + EPSILON)
    scale = roll_batch(deviation) / deviation
    return ops.cast(centred * scale + roll_batch(mean), features.dtype)


def _check_feature_map(shape):
    if len(shape) != 4 or shape[-1] is None:
        raise SemenetError(
            "MomentExchange takes a batch of feature maps (N, H, W, C) with a known number of channels. "
            f"Received: shape {tuple(shape)}. Put it after a convolution, and give a single image a "
            "batch axis: image[None]."
        )
