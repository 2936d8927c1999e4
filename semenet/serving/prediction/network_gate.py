"""The input gate of a single network: what the cascade checks first, for each file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from semenet.inference.input_gate import CODES, MIN_SIDE, gate_graph, gate_input

# The thumbnail of an image, and what its file shows.
GateInput = tuple[np.ndarray, np.ndarray]


class NetworkGate:
    """Names what makes images unsuitable for a network of upright frontal radiographs.

    An image is too small where it has less detail than both the gate and the network use.

    Args:
        input_size: height and width of the network's input.
    """

    def __init__(self, input_size: tuple[int, int]) -> None:
        self._min_side = min(MIN_SIDE, *input_size)
        self._graph = tf.function(gate_graph(), autograph=False)

    def prepare(self, image: np.ndarray, coloured: bool) -> GateInput:
        """Prepares an image.

        Args:
            image: uint8 `(H, W)` in [0, 255].
            coloured: whether its file is in colour, see `semenet.data.images.colour`.
        """
        thumbnail, marks = gate_input(image, coloured)
        marks[1] = min(image.shape) < self._min_side
        return thumbnail, marks

    def flags(self, prepared: Sequence[GateInput]) -> list[str]:
        """Returns for each prepared image the `CODES` that apply, separated by spaces."""
        thumbnails, marks = (np.stack(part) for part in zip(*prepared, strict=True))
        applies = self._graph(tf.constant(thumbnails), tf.constant(marks)).numpy()
        return [" ".join(code for code, mark in zip(CODES, row, strict=True) if mark) for row in applies]
