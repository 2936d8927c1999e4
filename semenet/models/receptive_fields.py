"""Receptive fields: the input pixels that a cell of a feature map depends on, and their centre."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from semenet.errors import SemenetError
from semenet.models.backbones.u_net import CropToMatch
from semenet.models.layers.moment_exchange import MomentExchange

_POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
# The output of these layers depends on every position of their input.
_WHOLE_IMAGE = (
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Flatten,
)
# Layers whose output at a position depends only on their inputs at this position (MoEx: at inference).
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
    """A layer has no receptive field in pixels, or one that cannot be derived from the graph."""


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of the cells of a feature map.

    Every pair is (height, width); lengths are in input pixels. Cell i is centred at `start + i * stride`,
    where pixel p of the input is centred at p. Because of padding, `start` depends on the architecture and,
    if a strided layer pads asymmetrically, on the size of the input.

    Attributes:
        size: extent of the pixels that a cell far from the borders depends on; after transposed
            convolutions, where cells differ by their phase, the largest.
        stride: distance between the centres of neighbouring cells.
        start: centre of the first cell; after transposed convolutions, of the line fitted through all cells.
        cells: size of the feature map in cells.
        input_size: size of the input in pixels for which this holds.

    Example:
        >>> from semenet.models import receptive_field
        >>> receptive_field(semenet.build("vgg19_gap", width=0.125), input_size=(224, 224)).size
        (268, 268)
    """

    size: tuple[int, int]
    stride: tuple[float, float]
    start: tuple[float, float]
    cells: tuple[int, int]
    input_size: tuple[int, int]


def receptive_field(
    model: keras.Model, layer: str = "features", input_size: Sequence[int] | None = None
) -> ReceptiveField:
    """Derives the receptive field of a layer's cells from the graph.

    The size is `rf_n = rf_(n-1) + (k_n - 1) * prod(s_1 ... s_(n-1))` with kernels k and strides s; a
    transposed convolution divides the product of strides. Where branches join, the field is the extent of all
    of them. Gates of squeeze-and-excitation are ignored, although they depend on the whole image.

    Args:
        model: a flat functional model of images `(N, H, W, C)`, with the kinds of layers that the zoo uses.
        layer: name of a layer with a feature map `(N, h, w, C)`.
        input_size: (height, width) in pixels; None for that of the model.

    Returns:
        `ReceptiveField`.

    Raises:
        ReceptiveFieldError: there is no such layer, it comes after a global pooling, a layer before it has an
            unknown kind, or the size of the input is neither given nor fixed.

    Reference:
        The paper, section 3.1. Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks",
        https://distill.pub/2019/computing-receptive-fields

    Example:
        >>> from semenet.models import receptive_field
        >>> receptive_field(semenet.build("resnet50_gap", width=0.125)).size
        (483, 483)
    """
    graph = _Graph(model, layer, input_size)
    sizes, strides, starts = [], [], []
    for axis in (0, 1):
        # After transposed convolutions, the field of a cell depends on its place in a period.
        period = graph.period(axis)
        cells = np.arange(period + 1)
        low, high = graph.pixel_range(cells, cells, axis, clip=False)
        stride = float(low[-1] - low[0]) / period
        centres = (low + high) / 2 - stride * cells
        sizes.append(int((high - low)[:-1].max()) + 1)
        strides.append(stride)
        starts.append(float(centres[:-1].mean()))
    return ReceptiveField(tuple(sizes), tuple(strides), tuple(starts), graph.cells, graph.input_size)


def cell_field(
    model: keras.Model, layer: str, cell: Sequence[int], input_size: Sequence[int] | None = None
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Derives the input pixels that one cell depends on, without padding.

    Args:
        model: as for `receptive_field`.
        layer: as for `receptive_field`.
        cell: (row, column) in the layer's feature map.
        input_size: as for `receptive_field`.

    Returns:
        ((top, bottom), (left, right)): first and last row and column of the input.

    Raises:
        ReceptiveFieldError: as `receptive_field`, or there is no such cell.

    Example:
        >>> from semenet.models import cell_field
        >>> model = semenet.build("resnet50_gap", width=0.125)
        >>> cell_field(model, "conv1_relu", (0, 10))
        ((0, 3), (17, 23))
    """
    graph = _Graph(model, layer, input_size)
    if not all(0 <= index < count for index, count in zip(cell, graph.cells, strict=True)):
        raise ReceptiveFieldError(
            f"A cell of {layer!r} must be inside its feature map of {graph.cells[0]} x {graph.cells[1]}. "
            f"Received: {tuple(cell)}. Count from 0."
        )
    ranges = []
    for axis, index in enumerate(cell):
        low, high = graph.pixel_range(np.array([index]), np.array([index]), axis, clip=True)
        ranges.append((int(low[0]), int(high[0])))
    return tuple(ranges)


@dataclasses.dataclass(frozen=True)
class _Window:
    """The cells of a layer's input that one cell of its output depends on, along one axis."""

    kernel: int = 1
    stride: int = 1
    before: int = 0
    transposed: bool = False

    def input_range(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the first and last input cells of the output cells from `low` to `high`."""
        if self.transposed:
            low, high = low + self.before - self.kernel + 1, high + self.before
            return -(-low // self.stride), high // self.stride
        return low * self.stride - self.before, high * self.stride - self.before + self.kernel - 1


class _Graph:
    """The layers from the input of a model to one layer, with their windows and sizes of feature maps."""

    def __init__(self, model: keras.Model, layer: str, input_size: Sequence[int] | None) -> None:
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
                "Only layers before the global pooling have a receptive field in pixels. "
                f"Received: {layer!r}, which depends on the whole image. Use 'features'."
            )

    def _add(self, operation: Any) -> None:
        inputs = keras.tree.flatten(operation.input)
        output = id(operation.output)
        spatial = [tensor for tensor in inputs if self.sizes[id(tensor)] is not None]
        if not spatial or isinstance(operation, _WHOLE_IMAGE):
            self.sizes[output] = None
            return
        if isinstance(operation, CropToMatch):
            cropped, reference = inputs
            self.sizes[output] = self.sizes[id(reference)]
            spatial = [cropped]
            windows = (_Window(), _Window())
        else:
            sides = self.sizes[id(spatial[0])]
            rows, columns = (_window(operation, sides, axis) for axis in (0, 1))
            windows, self.sizes[output] = zip(rows, columns, strict=True)
        self.steps.append((output, [id(tensor) for tensor in spatial], windows))

    def _needed(self) -> Iterator[tuple[int, list[int], tuple[_Window, _Window]]]:
        """Yields the steps that the target depends on, last step first."""
        needed = {id(self.target)}
        for output, inputs, windows in reversed(self.steps):
            if output in needed:
                needed.update(inputs)
                yield output, inputs, windows

    def period(self, axis: int) -> int:
        """Returns the number of cells after which the fields repeat, shifted by whole pixels."""
        return math.prod(windows[axis].stride for *_, windows in self._needed() if windows[axis].transposed)

    def pixel_range(
        self, low: np.ndarray, high: np.ndarray, axis: int, clip: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the first and last pixels that ranges of cells depend on.

        Args:
            low: int array, the first cell of each range.
            high: int array, the last cell of each range.
            axis: 0 for rows, 1 for columns.
            clip: whether to leave out the padding of the input and of every feature map in between.
        """
        ranges = {id(self.target): (low, high)}
        for output, inputs, windows in self._needed():
            low, high = windows[axis].input_range(*ranges[output])
            for tensor in inputs:
                first, last = low, high
                if clip:
                    first, last = np.maximum(low, 0), np.minimum(high, self.sizes[tensor][axis] - 1)
                if tensor in ranges:
                    first = np.minimum(first, ranges[tensor][0])
                    last = np.maximum(last, ranges[tensor][1])
                ranges[tensor] = (first, last)
        return ranges[id(self.source)]


def _window(operation: Any, sides: Sequence[int], axis: int) -> tuple[_Window, int]:
    """Returns the window of a layer along an axis, and the length of its output."""
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
        # TensorFlow pads as few pixels as possible; if their number is odd, more at the end.
        return _Window(kernel, stride, max((count - 1) * stride + kernel - side, 0) // 2), count
    if isinstance(operation, _POSITION_BY_POSITION):
        return _Window(), side
    raise ReceptiveFieldError(
        "A receptive field can be derived for convolutions, poolings, paddings, and layers that treat each "
        "position alone. "
        f"Received: {operation.name!r}, a {type(operation).__name__}. Choose a layer before it."
    )


def _input_size(model: keras.Model, input_size: Sequence[int] | None) -> tuple[int, int]:
    size = model.input_shape[1:3] if input_size is None else tuple(input_size)
    if len(size) != 2 or not all(side is not None and side >= 1 for side in size):
        raise ReceptiveFieldError(
            "A receptive field depends on the (height, width) of the input. "
            f"Received: {size} for `{model.name}`. Give `input_size`, such as (512, 512)."
        )
    return tuple(int(side) for side in size)


def _output(model: keras.Model, name: str) -> keras.KerasTensor:
    maps = {
        layer.name: layer.output for layer in model.layers if len(getattr(layer.output, "shape", ())) == 4
    }
    if name not in maps:
        raise ReceptiveFieldError(
            "A layer must have a feature map (N, H, W, C) to have a receptive field. "
            f"Received: {name!r} for `{model.name}`. Layers with one: {', '.join(maps)}."
        )
    return maps[name]
