"""A trained network as inference needs it: the same function of an image, computed with fewer operations."""

import keras
import numpy as np

from semenet.errors import SemenetError
from semenet.models.backbones.u_net import CropToMatch
from semenet.models.layers.moment_exchange import MomentExchange

# Each is the identity in inference.
TRAINING_ONLY = (
    MomentExchange,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
)
_LINEAR = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)


def inference_network(model, input_size=None):
    """Makes a network that gives a trained one's outputs in inference, to the rounding of float32.

    - A batch normalisation whose input is one convolution's output and nothing else's is folded into that
      convolution's kernel and bias.
    - Another one, such as DenseNet's before each convolution, becomes one scale and one shift a channel.
    - What is the identity in inference is left out: MoEx, dropout, and a crop to the size that a map has.
    - All computes in float32, whatever the policy the network was trained under: of a network trained in
      float16 it gives the outputs that the same weights give in float32.

    Args:
        model: functional `keras.Model` with one input and one output. It is left as it is.
        input_size: `(height, width)` to fix the input to; None for the model's own, which may be open.

    Returns:
        `keras.Model` of layers of its own, with copies of the weights. Layers that both have, `features` and
        `head` among them, have their names in both; a scale and shift has that of its batch normalisation.
        It has the attribute `class_names` where the model has it. It is not for training.

    Raises:
        SemenetError: the model is not functional, or has several inputs or outputs.

    Reference:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", https://arxiv.org/abs/1712.05877, section 3.2.
    """
    if not isinstance(model, keras.Model) or len(getattr(model, "inputs", None) or ()) != 1:
        raise SemenetError(
            "Inference is prepared of a functional keras.Model with one input. "
            f"Received: {type(model).__name__}. Build it with semenet.build, or by Keras' functional way."
        )
    if len(model.outputs) != 1:
        raise SemenetError(
            "Inference is prepared of a network with one output. "
            f"Received: `{model.name}` with {len(model.outputs)}. Take a keras.Model of the one you need."
        )
    folded = _foldings(model)
    absorbed = {normalization.name for normalization in folded.values()}
    weights = {}

    def replacement(layer):
        if layer.name in folded:
            config = _float32_config(layer) | {"use_bias": True}
            weights[layer.name] = _folded_weights(layer, folded[layer.name])
            return type(layer).from_config(config)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.name not in absorbed:
            scale, shift = _scale_and_shift(layer)
            return keras.layers.Rescaling(scale.tolist(), shift.tolist(), dtype="float32", name=layer.name)
        weights[layer.name] = layer.get_weights()
        return type(layer).from_config(_float32_config(layer))

    def call(layer, inputs, *others, **arguments):
        if layer.name in absorbed or isinstance(layer, TRAINING_ONLY) or _is_idle_crop(layer, inputs):
            return inputs[0] if isinstance(inputs, list | tuple) else inputs
        if isinstance(layer, keras.layers.Rescaling):
            # What was a batch normalisation is called with a mask, which this layer does not know.
            return layer(inputs)
        return layer(inputs, *others, **arguments)

    image = model.inputs[0]
    sides = image.shape[1:3] if input_size is None else input_size
    taken = keras.Input((*sides, image.shape[-1]), dtype=image.dtype, name=image.name)
    cloned = keras.models.clone_model(
        model,
        # Alone or in a list, as the model takes it.
        input_tensors=keras.tree.pack_sequence_as(model.input, [taken]),
        clone_function=replacement,
        call_function=call,
    )
    # Plain, and without the compiled loss and optimizer of training.
    network = keras.Model(cloned.inputs[0], cloned.outputs[0], name=model.name)
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(weights[layer.name])
    network.trainable = False
    if hasattr(model, "class_names"):
        network.class_names = model.class_names
    return network


def computes_in_float32(model):
    """Whether every layer of a network computes in float32, so that `inference_network` agrees with it."""
    return all(layer.compute_dtype == "float32" for layer in model.layers)


def _foldings(model):
    """dict of a convolution's name to the batch normalisation that alone takes its output."""
    consumers = {}
    for layer in model.layers:
        for tensor in keras.tree.flatten(layer.input):
            consumers.setdefault(id(tensor), []).append(layer)
    outputs = {id(tensor) for tensor in model.outputs}
    found = {}
    for layer in model.layers:
        takers = consumers.get(id(layer.output), [])
        if (
            isinstance(layer, _LINEAR)
            and layer.activation is keras.activations.linear
            and len(takers) == 1
            and isinstance(takers[0], keras.layers.BatchNormalization)
            and id(layer.output) not in outputs
        ):
            found[layer.name] = takers[0]
    return found


def _float32_config(layer):
    return layer.get_config() | {"dtype": "float32"}


def _scale_and_shift(normalization):
    """What a batch normalisation does in inference: float64 arrays `(C,)`, `x * scale + shift`."""
    mean, variance = (
        np.asarray(value, "float64") for value in (normalization.moving_mean, normalization.moving_variance)
    )
    scale = 1 / np.sqrt(variance + normalization.epsilon)
    if normalization.scale:
        scale = scale * np.asarray(normalization.gamma, "float64")
    shift = -mean * scale
    if normalization.center:
        shift = shift + np.asarray(normalization.beta, "float64")
    return scale, shift


def _folded_weights(convolution, normalization):
    """Kernel and bias of a convolution with the normalisation after it."""
    scale, shift = _scale_and_shift(normalization)
    kernel, *bias = (value.astype("float64") for value in convolution.get_weights())
    # A transposed convolution's kernel is (height, width, out, in), a convolution's (height, width, in, out).
    transposed = isinstance(convolution, keras.layers.Conv2DTranspose)
    kernel = kernel * (scale[:, np.newaxis] if transposed else scale)
    return [kernel, (bias[0] * scale if bias else 0) + shift]


def _is_idle_crop(layer, inputs):
    """Whether a crop leaves all of the map; of open sizes nobody knows."""
    if not isinstance(layer, CropToMatch):
        return False
    x, reference = inputs
    return None not in x.shape[1:3] and x.shape[1:3] == reference.shape[1:3]
