"""Receptive fields: which pixels of the input a cell of a feature map sees, and where it is centred."""

import dataclasses
import math

import keras
import numpy as np

from semenet.errors import SemenetError
from semenet.models.backbones.u_net import CropToMatch
from semenet.models.layers.moment_exchange import MomentExchange

_POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
# Beyond these every position has seen every other one.
_WHOLE_IMAGE = (
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Flatten,
)
# What gives each position of its input, or inputs, the same position of its output. MoEx does in inference.
_POSITION_BY_POSITION = (
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.Average,
    keras.layers.BatchNormalization,
    keras.layers.Concatenate,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.Identity,
    keras.layers.LeakyReLU,
    keras.layers.Maximum,
    keras.layers.Multiply,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.SpatialDropout2D,
    keras.layers.Subtract,
    MomentExchange,
)


class ReceptiveFieldError(SemenetError):
    """A layer has no receptive field in pixels, or one that cannot be told from the graph."""


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """What a cell of a feature map sees. Every pair is (height, width), lengths are in input pixels.

    Cell i is centred at `start + i * stride`, where pixel p of the input is centred at p. Padding makes
    `start` depend on the architecture and, where a strided layer pads asymmetrically, on the input's size.

    Attributes:
        size: ints, the extent of the pixels that a cell far from the borders depends on; behind transposed
            convolutions, whose cells differ by their phase, the largest.
        stride: floats, between the centres of neighbouring cells; below 1 for a map finer than the input.
        start: floats, the centre of the first cell; behind transposed convolutions, of the line through all.
        cells: ints, the size of the feature map.
        input_size: ints, the size of the input that this holds for.
    """

    size: tuple[int, int]
    stride: tuple[float, float]
    start: tuple[float, float]
    cells: tuple[int, int]
    input_size: tuple[int, int]


def receptive_field(model, layer="features", input_size=None):
    """Derives the receptive field of a layer's cells from the graph.

    What it amounts to is `rf_n = rf_(n-1) + (k_n - 1) * prod(s_1 ... s_(n-1))` with kernels k and strides s;
    a transposed convolution divides the product of strides. Where branches meet, the field is the extent of
    all of them. Gates computed from globally pooled features (squeeze-and-excitation) are left out: through
    them every cell depends, weakly, on the whole image.

    Args:
        model: a flat functional model with one input, images `(N, H, W, C)`; layers as the zoo has them.
        layer: name of a layer with a feature map `(N, h, w, C)`.
        input_size: (height, width) in pixels; None for the model's own.

    Returns:
        `ReceptiveField`.

    Raises:
        ReceptiveFieldError: there is no such layer, it lies behind a global pooling, a layer on the way is
            of a kind not known here, or the input's size is neither given nor fixed.

    Reference:
        The paper, section 3.1. Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks",
        https://distill.pub/2019/computing-receptive-fields
    """
    graph = _Graph(model, layer, input_size)
    sizes, strides, starts = [], [], []
    for axis in (0, 1):
        # Behind transposed convolutions a cell's field depends on its place in a period.
        period = graph.period(axis)
        cells = np.arange(period + 1)
        low, high = graph.seen(cells, cells, axis, clip=False)
        stride = float(low[-1] - low[0]) / period
        centres = (low + high) / 2 - stride * cells
        sizes.append(int((high - low)[:-1].max()) + 1)
        strides.append(stride)
        starts.append(float(centres[:-1].mean()))
    return ReceptiveField(tuple(sizes), tuple(strides), tuple(starts), graph.cells, graph.input_size)


def cell_field(model, layer, cell, input_size=None):
    """The pixels that one cell sees, without those that lie in the padding.

    Args:
        model: as for `receptive_field`.
        layer: as for `receptive_field`.
        cell: (row, column) in the layer's feature map.
        input_size: as for `receptive_field`.

    Returns:
        ((top, bottom), (left, right)): first and last row and column of the input.

    Raises:
        ReceptiveFieldError: as `receptive_field`, or there is no such cell.
    """
    graph = _Graph(model, layer, input_size)
    if not all(0 <= index < count for index, count in zip(cell, graph.cells, strict=True)):
        raise ReceptiveFieldError(
            f"A cell of {layer!r} lies in its feature map of {graph.cells[0]} x {graph.cells[1]}. "
            f"Received: {tuple(cell)}. Count from 0."
        )
    seen = []
    for axis, index in enumerate(cell):
        low, high = graph.seen(np.array([index]), np.array([index]), axis, clip=True)
        seen.append((int(low[0]), int(high[0])))
    return tuple(seen)


@dataclasses.dataclass(frozen=True)
class _Window:
    """Which cells of its input a cell of a layer's output takes up, along one axis."""

    kernel: int = 1
    stride: int = 1
    before: int = 0
    transposed: bool = False

    def below(self, low, high):
        if self.transposed:
            low, high = low + self.before - self.kernel + 1, high + self.before
            return -(-low // self.stride), high // self.stride
        return low * self.stride - self.before, high * self.stride - self.before + self.kernel - 1


class _Graph:
    """The layers between a model's input and one layer, with each map's size and each step's windows."""

    def __init__(self, model, layer, input_size):
        self.source = model.inputs[0]
        self.input_size = _input_size(model, input_size)
        self.sizes = {id(self.source): self.input_size}
        self.steps = []
        self.target = _output(model, layer)
        for operation in model.operations:
            if not isinstance(operation, keras.layers.InputLayer):
                self._add(operation)
            if id(self.target) in self.sizes:
                break
        self.cells = self.sizes[id(self.target)]
        if self.cells is None:
            raise ReceptiveFieldError(
                "A receptive field in pixels has what lies before the global pooling. "
                f"Received: {layer!r}, which sees the whole image. Use 'features'."
            )

    def _add(self, operation):
        inputs = keras.tree.flatten(operation.input)
        output = id(operation.output)
        spatial = [tensor for tensor in inputs if self.sizes[id(tensor)] is not None]
        if not spatial or isinstance(operation, _WHOLE_IMAGE):
            self.sizes[output] = None
            return
        if isinstance(operation, CropToMatch):
            cut, reference = inputs
            self.sizes[output] = self.sizes[id(reference)]
            spatial = [cut]
            windows = (_Window(), _Window())
        else:
            sides = self.sizes[id(spatial[0])]
            rows, columns = (_window(operation, sides, axis) for axis in (0, 1))
            windows, self.sizes[output] = zip(rows, columns, strict=True)
        self.steps.append((output, [id(tensor) for tensor in spatial], windows))

    def _needed(self):
        """The steps that the target depends on, the last one first."""
        needed = {id(self.target)}
        for output, inputs, windows in reversed(self.steps):
            if output in needed:
                needed.update(inputs)
                yield output, inputs, windows

    def period(self, axis):
        """After how many cells the fields repeat themselves, shifted by whole pixels."""
        return math.prod(windows[axis].stride for *_, windows in self._needed() if windows[axis].transposed)

    def seen(self, low, high, axis, clip):
        """The first and last pixels that ranges of cells depend on.

        Args:
            low: int array, the first cell of each range.
            high: int array, the last ones.
            axis: 0 for rows, 1 for columns.
            clip: whether padding, of the input and of every map on the way, is no pixel.
        """
        ranges = {id(self.target): (low, high)}
        for output, inputs, windows in self._needed():
            low, high = windows[axis].below(*ranges[output])
            for tensor in inputs:
                first, last = low, high
                if clip:
                    first, last = np.maximum(low, 0), np.minimum(high, self.sizes[tensor][axis] - 1)
                if tensor in ranges:
                    first = np.minimum(first, ranges[tensor][0])
                    last = np.maximum(last, ranges[tensor][1])
                ranges[tensor] = (first, last)
        return ranges[id(self.source)]


def _window(operation, sides, axis):
    """A layer's window along an axis, and the length of its output."""
    side = sides[axis]
    if isinstance(operation, keras.layers.ZeroPadding2D):
        before, after = operation.padding[axis]
        return _Window(before=before), side + before + after
    if isinstance(operation, keras.layers.Conv2DTranspose):
        kernel, stride = operation.kernel_size[axis], operation.strides[axis]
        if operation.padding == "same":
            return _Window(kernel, stride, max(kernel - stride, 0) // 2, transposed=True), side * stride
        return _Window(kernel, stride, transposed=True), side * stride + max(kernel - stride, 0)
    if isinstance(operation, (keras.layers.Conv2D, *_POOLINGS)):
        if isinstance(operation, _POOLINGS):
            kernel = operation.pool_size[axis]
        else:
            kernel = (operation.kernel_size[axis] - 1) * operation.dilation_rate[axis] + 1
        stride = operation.strides[axis]
        if operation.padding == "valid":
            return _Window(kernel, stride), (side - kernel) // stride + 1
        count = -(-side // stride)
        # TensorFlow pads as little as it must, and the odd pixel behind.
        return _Window(kernel, stride, max((count - 1) * stride + kernel - side, 0) // 2), count
    if isinstance(operation, _POSITION_BY_POSITION):
        return _Window(), side
    raise ReceptiveFieldError(
        "A receptive field is derived for layers whose windows are known: convolutions, poolings, paddings, "
        "and layers that work position by position. "
        f"Received: {operation.name!r}, a {type(operation).__name__}. Choose a layer before it."
    )


def _input_size(model, input_size):
    size = model.input_shape[1:3] if input_size is None else tuple(input_size)
    if len(size) != 2 or not all(side is not None and side >= 1 for side in size):
        raise ReceptiveFieldError(
            "A receptive field depends on the input's (height, width). "
            f"Received: {size} for `{model.name}`. Give `input_size`, such as (512, 512)."
        )
    return tuple(int(side) for side in size)


def _output(model, name):
    maps = {
        layer.name: layer.output for layer in model.layers if len(getattr(layer.output, "shape", ())) == 4
    }
    if name not in maps:
        raise ReceptiveFieldError(
            "A receptive field is that of a layer with a feature map (N, H, W, C). "
            f"Received: {name!r} for `{model.name}`. Layers with one: {', '.join(maps)}."
        )
    return maps[name]
