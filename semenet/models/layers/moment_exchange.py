"""Moment exchange (MoEx): the layer that exchanges moments, and the model whose loss mixes the labels."""

import numbers
import types
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

from semenet.errors import SemenetError
from semenet.models.layers.batch_rolling import is_divided, roll_batch
from semenet.models.layers.label_mixing import MixingWatch, mixing_step
from semenet.models.layers.zoo_model import ZooModel

EPSILON = 1e-5


@keras.saving.register_keras_serializable("semenet")
class MomentExchange(keras.layers.Layer):
    """Replaces the moments of each image's features by those of another image of the batch.

    In a training step, with probability `p`, every image gets the positional moments of its partner: the
    image before it in the batch (the batch rolled by one, over all devices that share it). Positional
    moments (PONO) are the mean and the biased standard deviation over the channels at each position. The
    features are normalised by their own moments, then scaled and shifted by those of the partner. Gradients
    flow through both. At inference the layer is the identity. It has no parameters.

    A model with this layer must be a `MoExModel`, whose loss mixes the labels in the same steps. Batches
    must be shuffled: in a batch sorted by class, an image would exchange moments with one of its own class.

    Args:
        p: float in [0, 1]. Probability of an exchange in a training step.
        lam: float in [0, 1]. Weight of an image's own label in steps with an exchange.
        seed: int, or None for the global seed of Keras.
        **kwargs: arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: feature map `(N, H, W, C)`, any floating dtype. Moments are computed in float32 under every
            dtype policy: in float16 the variance overflows for activations above about 250.
        training: bool. Whether the layer may exchange moments; if not, it returns its inputs.

    Input shape:
        `(N, H, W, C)`.

    Output shape:
        That of the input, in the compute dtype of the layer.

    Attributes:
        mix: float32 scalar variable: `lam` after a step with an exchange, 1 after a step without. Like a
            seed it is state, not a weight: it is neither counted nor saved.

    Raises:
        SemenetError: `p` or `lam` is outside [0, 1], or the input is not a batch of feature maps.

    Reference:
        Li et al., "On Feature Normalization and Data Augmentation", https://arxiv.org/abs/2002.11102

    Example:
        >>> from semenet.models import MomentExchange
        >>> layer = MomentExchange(p=1.0)
        >>> features = np.random.default_rng(0).normal(size=(4, 7, 7, 64)).astype("float32")
        >>> bool(np.array_equal(layer(features, training=False), features))
        True
        >>> exchanged = np.asarray(layer(features, training=True))
        >>> bool(np.allclose(exchanged[1].mean(axis=-1), features[0].mean(axis=-1), atol=1e-4))
        True
    """

    def __init__(self, p: float = 0.5, lam: float = 0.9, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for argument, value in {"p": p, "lam": lam}.items():
            if not isinstance(value, numbers.Real) or not 0 <= value <= 1:
                raise SemenetError(
                    f"`{argument}` of MomentExchange must be in [0, 1]. Received: {value!r}. "
                    "Use p=0 to switch the exchange off."
                )
        self.p = float(p)
        self.lam = float(lam)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        _check_feature_map(input_shape)
        mix = keras.Variable(1.0, trainable=False, dtype="float32", autocast=False, name="mix")
        # Keras tracks the variables of a layer as weights, which are counted and saved. A namespace hides
        # this variable from the tracker. `variables` below reports it to backends that pass state explicitly
        # (JAX).
        self._step = types.SimpleNamespace(mix=mix, watch=MixingWatch(self.name))

    @property
    def mix(self) -> keras.Variable:
        """The share of an image's own label in this step's loss. Reading it says that labels are mixed."""
        self._step.watch.read()
        return self._step.mix

    @property
    def variables(self) -> list[keras.Variable]:
        return super().variables + ([self._step.mix] if self.built else [])

    def call(self, inputs: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        _check_feature_map(inputs.shape)
        if not training:
            return inputs
        if self.p:
            inputs = self._step.watch.exchange(inputs, self._get_call_context().entry_layer)
        mix = self._step.mix
        if self.p in (0.0, 1.0):
            mix.assign(self.lam if self.p else 1.0)
            return exchange_moments(inputs) if self.p else inputs
        exchanged = keras.random.uniform((), dtype="float32", seed=self.seed_generator) < self.p
        mix.assign(ops.where(exchanged, self.lam, 1.0))
        if is_divided():
            # Replicas cannot synchronise inside a condition: they always exchange, and select afterwards.
            return ops.where(exchanged, exchange_moments(inputs), inputs)
        return ops.cond(exchanged, lambda: exchange_moments(inputs), lambda: inputs)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Sequence[int | None]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"p": self.p, "lam": self.lam, "seed": self.seed}


@keras.saving.register_keras_serializable("semenet")
class MoExModel(ZooModel):
    """A functional model whose training loss mixes labels as its `MomentExchange` layer mixes features.

    The loss of a training step is `mix * loss(y) + (1 - mix) * loss(y of the partner)`, where `mix` is the
    `lam` of the layer in steps with an exchange and 1 in all others. A `sample_weight` stays with its label.
    Losses added by layers count once. The validation loss is not mixed. `compile()` and `fit()` are used as
    for any model. A loop of your own takes the loss of a compiled model from
    `model.compute_loss(x, y, model(x, training=True), training=True)`. A network with a new head, or around
    a network with MoEx, must be a `MoExModel` too.

    Attributes:
        mixes_labels: True: the loss mixes labels. A `keras.Model` of another class whose `compute_loss` reads
            `MomentExchange.mix` sets it too, or a `MoExWarning` is issued.

    Args:
        *args: arguments of `keras.Model`: inputs and outputs.
        **kwargs: arguments of `keras.Model`, such as `name`.

    Input shape:
        That of the inputs.

    Output shape:
        That of the outputs.

    Raises:
        SemenetError: in a training step, if the model does not hold exactly one `MomentExchange`.

    Reference:
        Li et al., "On Feature Normalization and Data Augmentation", https://arxiv.org/abs/2002.11102

    Example:
        >>> import keras
        >>> from semenet.models import MoExModel, MomentExchange
        >>> image = keras.Input((32, 32, 1))
        >>> x = keras.layers.Conv2D(8, 3)(image)
        >>> x = keras.layers.GlobalAveragePooling2D()(MomentExchange(p=0.5)(x))
        >>> model = MoExModel(image, keras.layers.Dense(2, activation="softmax")(x))
        >>> model.compile("sgd", "categorical_crossentropy")
        >>> history = model.fit(np.zeros((4, 32, 32, 1)), np.eye(2)[[0, 1, 0, 1]], verbose=0)
        >>> list(history.history)
        ['loss']
    """

    mixes_labels = True

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """Trains on one batch, as `keras.Model`; the loss is that of `compute_loss`."""
        with mixing_step():
            return super().train_step(*args, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> keras.KerasTensor | None:
        """Computes the loss of one batch; arguments are those of `keras.Model.compute_loss`."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        # `_compile_loss` is None for a model whose only losses are added by layers.
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
    def _moment_exchange(self) -> MomentExchange:
        layers = [layer for layer in _all_layers(self) if isinstance(layer, MomentExchange)]
        if len(layers) != 1:
            raise SemenetError(
                "A MoExModel trains with exactly one MomentExchange layer, because its loss mixes the labels "
                f"of that layer. Received: {len(layers)} layers. Use keras.Model for a network without one."
            )
        return layers[0]


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields the layers of a model and of the models within it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


def exchange_moments(features: keras.KerasTensor) -> keras.KerasTensor:
    """Replaces the positional moments of every image by those of the image before it in the batch.

    Args:
        features: `(N, H, W, C)`, any floating dtype.

    Returns:
        Tensor of the same shape and dtype: normalised over the channels at each position, then scaled
        and shifted by the standard deviation and the mean of the partner at that position.
    """
    x = ops.cast(features, "float32")
    # Faster than ops.moments, which would centre the features a second time: 25 % less time on a CPU.
    mean = ops.mean(x, axis=-1, keepdims=True)
    centred = x - mean
    deviation = ops.sqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + EPSILON)
    scale = roll_batch(deviation) / deviation
    return ops.cast(centred * scale + roll_batch(mean), features.dtype)


def _check_feature_map(shape: Sequence[int | None]) -> None:
    if len(shape) != 4 or shape[-1] is None:
        raise SemenetError(
            "MomentExchange takes a batch of feature maps (N, H, W, C) with a known number of channels. "
            f"Received: shape {tuple(shape)}. Put the layer after a convolution, and add a batch axis to a "
            "single image: image[None]."
        )
