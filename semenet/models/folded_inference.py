"""Folds a trained network for inference: the same outputs, computed with fewer operations."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from semenet.errors import SemenetError
from semenet.models.backbones.u_net import CropToMatch
from semenet.models.cloning import clone_uncompiled
from semenet.models.layers.moment_exchange import MomentExchange
from semenet.models.layers.zoo_model import ZooModel

# Layers that are the identity at inference.
_TRAINING_ONLY = (
    MomentExchange,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
)
_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)


def inference_network(model: keras.Model, input_size: Sequence[int] | None = None) -> keras.Model:
    """Builds a network with the same inference outputs as a trained one, up to float32 rounding.

    - A batch normalisation is folded into the kernel and bias of the convolution before it, if nothing else
      uses the output of that convolution.
    - Any other batch normalisation, such as DenseNet's before each convolution, becomes one scale and one
      shift per channel.
    - Layers that are the identity at inference are left out: MoEx, dropout, and crops that remove nothing.
    - All layers compute in float32, whatever the dtype policy in training. For a network trained in float16
      the outputs are those of the same weights in float32.

    Args:
        model: functional `keras.Model` with one input and one output. It is not changed.
        input_size: `(height, width)` in pixels that the input is fixed to; None for that of the model, which
            may be open.

    Returns:
        `keras.Model` with its own layers and copies of the weights. Layers keep their names, such as
        `features` and `head`; a scale and shift has the name of its batch normalisation. It has the
        attribute `class_names` if the model has it. It is not meant for training.

    Raises:
        SemenetError: the model is not functional, or has several inputs or outputs.

    Reference:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", https://arxiv.org/abs/1712.05877, section 3.2.

    Example:
        >>> from semenet.models import inference_network
        >>> model = semenet.build("seme_resnet50", input_shape=(32, 32, 1), width=0.125, depth=0.34)
        >>> network = inference_network(model)
        >>> len(network.layers) < len(model.layers)
        True
        >>> image = np.zeros((1, 32, 32, 1), "float32")
        >>> bool(np.allclose(network(image), model(image), atol=1e-5))
        True
    """
    if not isinstance(model, keras.Model) or len(getattr(model, "inputs", None) or ()) != 1:
        raise SemenetError(
            "Only a functional keras.Model with one input can be folded for inference. "
            f"Received: {type(model).__name__}. Build it with semenet.build or the functional API of Keras."
        )
    if len(model.outputs) != 1:
        raise SemenetError(
            "Only a network with one output can be folded for inference. "
            f"Received: `{model.name}` with {len(model.outputs)} outputs. Make a keras.Model of one output."
        )
    folded = _foldings(model)
    absorbed = {normalization.name for normalization in folded.values()}
    weights = {}

    def replacement(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in folded:
            config = _float32_config(layer) | {"use_bias": True}
            weights[layer.name] = _folded_weights(layer, folded[layer.name])
            return type(layer).from_config(config)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.name not in absorbed:
            scale, shift = _scale_and_shift(layer)
            return keras.layers.Rescaling(scale.tolist(), shift.tolist(), dtype="float32", name=layer.name)
        weights[layer.name] = layer.get_weights()
        return type(layer).from_config(_float32_config(layer))

    def call(layer: keras.layers.Layer, inputs: Any, *others: Any, **arguments: Any) -> Any:
        if layer.name in absorbed or isinstance(layer, _TRAINING_ONLY) or _is_idle_crop(layer, inputs):
            return inputs[0] if isinstance(inputs, list | tuple) else inputs
        if isinstance(layer, keras.layers.Rescaling):
            # The batch normalisation that this layer replaces is called with a mask, which it does not take.
            return layer(inputs)
        return layer(inputs, *others, **arguments)

    image = model.inputs[0]
    sides = image.shape[1:3] if input_size is None else input_size
    new_input = keras.Input((*sides, image.shape[-1]), dtype=image.dtype, name=image.name)
    cloned = clone_uncompiled(
        model,
        # In a list only if the model takes its input in a list.
        input_tensors=keras.tree.pack_sequence_as(model.input, [new_input]),
        clone_function=replacement,
        call_function=call,
    )
    # A plain keras.Model, without the loss and optimizer of training.
    network = ZooModel(cloned.inputs[0], cloned.outputs[0], name=model.name)
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(weights[layer.name])
    network.trainable = False
    if hasattr(model, "class_names"):
        network.class_names = model.class_names
    return network


def computes_in_float32(model: keras.Model) -> bool:
    """Returns whether every layer computes in float32, as all layers of `inference_network` do."""
    return all(layer.compute_dtype == "float32" for layer in model.layers)


def _foldings(model: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """Finds the convolutions whose output only a batch normalisation uses.

    Returns:
        dict of the name of a convolution to this batch normalisation.
    """
    consumers: dict[int, list[keras.layers.Layer]] = {}
    for layer in model.layers:
        for tensor in keras.tree.flatten(layer.input):
            consumers.setdefault(id(tensor), []).append(layer)
    outputs = {id(tensor) for tensor in model.outputs}
    found = {}
    for layer in model.layers:
        users = consumers.get(id(layer.output), [])
        if (
            isinstance(layer, _CONVOLUTIONS)
            and layer.activation is keras.activations.linear
            and len(users) == 1
            and isinstance(users[0], keras.layers.BatchNormalization)
            and id(layer.output) not in outputs
        ):
            found[layer.name] = users[0]
    return found


def _float32_config(layer: keras.layers.Layer) -> dict[str, Any]:
    return layer.get_config() | {"dtype": "float32"}


def _scale_and_shift(normalization: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Returns float64 arrays `(C,)`: a batch normalisation computes `x * scale + shift` at inference."""
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


def _folded_weights(
    convolution: keras.layers.Layer, normalization: keras.layers.BatchNormalization
) -> list[np.ndarray]:
    """Returns the kernel and bias of a convolution that includes the normalisation after it."""
    scale, shift = _scale_and_shift(normalization)
    kernel, *bias = (value.astype("float64") for value in convolution.get_weights())
    # The kernel of a transposed convolution is (height, width, out, in), that of a convolution
    # (height, width, in, out).
    transposed = isinstance(convolution, keras.layers.Conv2DTranspose)
    kernel = kernel * (scale[:, np.newaxis] if transposed else scale)
    return [kernel, (bias[0] * scale if bias else 0) + shift]


def _is_idle_crop(layer: keras.layers.Layer, inputs: Any) -> bool:
    """Returns whether a crop is known to remove nothing; for open sizes it is not known."""
    if not isinstance(layer, CropToMatch):
        return False
    x, reference = inputs
    return None not in x.shape[1:3] and x.shape[1:3] == reference.shape[1:3]
