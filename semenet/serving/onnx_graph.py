"""Writes a network of the zoo as an ONNX graph, layer by layer, channels first as its runtimes compute."""

import keras
import numpy as np

from semenet.errors import SemenetError
from semenet.metrics.calibration import HIGHEST, LOWEST
from semenet.models.unet import CropToMatch

# Every operator of the graph has been as it is since this version, and every runtime of today reads it.
OPSET = 17
IR_VERSION = 8
INPUT, OUTPUT = "images", "probabilities"


def onnx_graph(network, temperature=1.0):
    """Writes a network, its calibration included, as an ONNX graph.

    Args:
        network: `keras.Model` of `semenet.models.inference.inference_network`, of fixed input size.
        temperature: float above 0, as in `semenet.evaluation.scoring.temper_graph`.

    Returns:
        `onnx.ModelProto`. Its input `images` is uint8 `(N, H, W, C)` in [0, 255]; its output
        `probabilities` is float32 `(N, K)`, or `(N, H, W, K)` of a segmentation network. N is open.
        A node's name begins with its layer's and a slash.

    Raises:
        ImportError: the package onnx is not installed.
        SemenetError: the network has a layer that no network of the zoo has.
    """
    import onnx

    graph = _Graph()
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    height, width, channels = network.input_shape[1:]
    x = graph.node("Cast", [INPUT], to=onnx.TensorProto.FLOAT)
    names = {id(network.inputs[0]): graph.node("Transpose", [x], perm=(0, 3, 1, 2))}
    for layer in layers:
        graph.prefix = f"{layer.name}/"
        taken = [names[id(tensor)] for tensor in keras.tree.flatten(layer.input)]
        names[id(layer.output)] = _writer(layer)(graph, layer, taken)
    graph.prefix = ""
    x = names[id(network.outputs[0])]
    segments = len(network.output_shape) == 4
    if segments:
        x = graph.node("Transpose", [x], perm=(0, 2, 3, 1))
    if temperature != 1:
        x = _temper(graph, x, temperature, keras.activations.serialize(layers[-1].activation))
    graph.node("Identity", [x], output=OUTPUT)
    outputs = ("N", height, width, network.output_shape[-1]) if segments else ("N", network.output_shape[-1])
    described = onnx.helper.make_graph(
        graph.nodes,
        network.name,
        [onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.UINT8, ("N", height, width, channels))],
        [onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, outputs)],
        graph.constants,
    )
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(described, opset_imports=[opset], producer_name="semenet")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


class _Graph:
    """Nodes and constants, in the order in which they are written.

    Attributes:
        prefix: str, what the next nodes' names begin with.
        nodes: list of `onnx.NodeProto`.
        constants: list of `onnx.TensorProto`.
    """

    def __init__(self):
        self.prefix = ""
        self.nodes = []
        self.constants = []

    def node(self, operator, inputs, output=None, **attributes):
        """Writes a node; returns the name of its output."""
        import onnx

        output = output or f"{self.prefix}{operator}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, values, dtype="float32"):
        """Writes an array; returns its name."""
        import onnx

        name = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(np.asarray(values, dtype))
        self.constants.append(onnx.numpy_helper.from_array(array, name))
        return name


def _writer(layer):
    for kind, writer in _WRITERS.items():
        if isinstance(layer, kind):
            return writer
    raise SemenetError(
        f"ONNX is written of the zoo's layers: {', '.join(kind.__name__ for kind in _WRITERS)}. "
        f"Received: `{layer.name}`, a {type(layer).__name__}. Export a SavedModel, which takes any layer."
    )


def _activate(graph, x, layer):
    """The activation of a layer, over the channels at axis 1."""
    kind = keras.activations.serialize(layer.activation)
    operators = {"relu": "Relu", "sigmoid": "Sigmoid", "softmax": "Softmax"}
    if kind == "linear":
        return x
    if kind not in operators:
        raise SemenetError(
            f"ONNX is written of layers with {', '.join(operators)} or no activation. "
            f"Received: `{layer.name}` with {kind}. Export a SavedModel, which takes any activation."
        )
    return graph.node(operators[kind], [x], **({"axis": 1} if kind == "softmax" else {}))


def _activation(graph, layer, inputs):
    return _activate(graph, inputs[0], layer)


def _rescaling(graph, layer, inputs):
    def by_channel(values):
        return graph.constant(np.reshape(values, (1, -1, 1, 1)))

    scaled = graph.node("Mul", [inputs[0], by_channel(layer.scale)])
    return graph.node("Add", [scaled, by_channel(layer.offset)])


def _convolution(graph, layer, inputs):
    kernel = np.transpose(layer.kernel.numpy(), (3, 2, 0, 1))
    weights = [graph.constant(kernel)] + ([graph.constant(layer.bias.numpy())] if layer.use_bias else [])
    x = graph.node(
        "Conv",
        [*inputs, *weights],
        kernel_shape=layer.kernel_size,
        strides=layer.strides,
        dilations=layer.dilation_rate,
        group=layer.groups,
        pads=_pads(layer, layer.kernel_size),
    )
    return _activate(graph, x, layer)


def _transposed_convolution(graph, layer, inputs):
    # TensorFlow's kernel (height, width, out, in) is ONNX' (in, out, height, width).
    kernel = np.transpose(layer.kernel.numpy(), (3, 2, 0, 1))
    if layer.padding != "valid":
        raise SemenetError(
            "ONNX is written of transposed convolutions without padding. "
            f"Received: `{layer.name}` with {layer.padding!r}. Export a SavedModel."
        )
    weights = [graph.constant(kernel)] + ([graph.constant(layer.bias.numpy())] if layer.use_bias else [])
    x = graph.node(
        "ConvTranspose", [*inputs, *weights], kernel_shape=layer.kernel_size, strides=layer.strides
    )
    return _activate(graph, x, layer)


def _padding(graph, layer, inputs):
    (top, bottom), (left, right) = layer.padding
    pads = graph.constant([0, 0, top, left, 0, 0, bottom, right], "int64")
    return graph.node("Pad", [*inputs, pads])


def _pooling(operator):
    def write(graph, layer, inputs):
        return graph.node(
            operator,
            inputs,
            kernel_shape=layer.pool_size,
            strides=layer.strides,
            pads=_pads(layer, layer.pool_size),
        )

    return write


def _pads(layer, window):
    """The zeros of TensorFlow's padding "same", of which an odd one comes last: top, left, bottom, right."""
    if layer.padding == "valid":
        return (0, 0, 0, 0)
    sides = zip(layer.input.shape[1:3], window, layer.strides, strict=True)
    whole = [max((-(-side // stride) - 1) * stride + size - side, 0) for side, size, stride in sides]
    return (*(count // 2 for count in whole), *(count - count // 2 for count in whole))


def _global_average(graph, layer, inputs):
    x = graph.node("GlobalAveragePool", inputs)
    return x if layer.keepdims else graph.node("Flatten", [x])


def _dense(graph, layer, inputs):
    weights = [layer.kernel.numpy(), layer.bias.numpy()]
    if len(layer.input.shape) == 2:
        x = graph.node("Gemm", [*inputs, *map(graph.constant, weights)])
    else:
        # At each position of a map it is a convolution of size 1.
        weights[0] = weights[0].T[..., np.newaxis, np.newaxis]
        x = graph.node("Conv", [*inputs, *map(graph.constant, weights)], kernel_shape=(1, 1))
    return _activate(graph, x, layer)


def _flatten(graph, layer, inputs):
    # The kernel of what follows counts with channels last.
    return graph.node("Flatten", [graph.node("Transpose", inputs, perm=(0, 2, 3, 1))])


def _crop(graph, layer, inputs):
    height, width = layer.output.shape[1:3]
    bounds = [graph.constant(values, "int64") for values in ([0, 0], [height, width], [2, 3])]
    return graph.node("Slice", [inputs[0], *bounds])


def _temper(graph, x, temperature, activation):
    """`semenet.evaluation.scoring.temper_graph`, but for its guard of ties, below float32's rounding."""
    lowest = graph.constant(LOWEST)
    factor = graph.constant(1 / temperature)
    if activation == "softmax":
        logarithm = graph.node("Log", [graph.node("Max", [x, lowest])])
        return graph.node("Softmax", [graph.node("Mul", [logarithm, factor])], axis=-1)
    clipped = graph.node("Clip", [x, lowest, graph.constant(HIGHEST)])
    others = graph.node("Sub", [graph.constant(1.0), clipped])
    logits = graph.node("Sub", [graph.node("Log", [clipped]), graph.node("Log", [others])])
    return graph.node("Sigmoid", [graph.node("Mul", [logits, factor])])


def _operator(name, **attributes):
    return lambda graph, layer, inputs: graph.node(name, inputs, **attributes)


# The zoo's heads are a Dense and a Conv2D.
_WRITERS = {
    keras.layers.Activation: _activation,
    keras.layers.Add: _operator("Add"),
    keras.layers.AveragePooling2D: _pooling("AveragePool"),
    keras.layers.Concatenate: _operator("Concat", axis=1),
    keras.layers.Conv2DTranspose: _transposed_convolution,
    keras.layers.Conv2D: _convolution,
    CropToMatch: _crop,
    keras.layers.Dense: _dense,
    keras.layers.Flatten: _flatten,
    keras.layers.GlobalAveragePooling2D: _global_average,
    keras.layers.Identity: _operator("Identity"),
    keras.layers.MaxPooling2D: _pooling("MaxPool"),
    keras.layers.Multiply: _operator("Mul"),
    keras.layers.Rescaling: _rescaling,
    keras.layers.ZeroPadding2D: _padding,
}
