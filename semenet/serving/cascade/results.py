"""The results of a cascade for a sequence of images."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

import numpy as np


@dataclasses.dataclass(frozen=True)
class CascadeResult:
    """The decisions of a cascade on N images.

    Attributes:
        class_names: the K classes of the joint distribution.
        probabilities: float32 `(N, K)`, the joint distribution. Each row sums to 1; it is 0 throughout if the
            image is rejected, because the outputs of the networks are then meaningless.
        stage1_probabilities: float32 `(N, K1)`, calibrated if stage 1 is; 0 for rejected images.
        stage2_probabilities: float32 `(N, K2)`, likewise, conditional on the class that stage 2 divides.
        predicted: for each image the most probable class, "abstain", or "rejected".
        reasons: for each image the stage that decided or abstained, one of
            `semenet.serving.cascade.decisions.REASONS`, or the first of its `input_flags`.
        input_flags: for each image the codes of `semenet.inference.input_gate.CODES` that apply. An image
            with any code is rejected.
        lung_flags: for each image the checks of `semenet.inference.lung_plausibility.CHECKS` that its lung
            mask failed. If it failed any, stage 2 received the whole image.
        lung_masks: bool `(N, H, W)`, in the input size of the segmentation network.
        stage1_heat_maps: float32 `(N, h, w)` in [0, 1], for the class that stage 1 predicts; None unless
            requested.
        stage2_heat_maps: likewise for stage 2.
        stage1_boxes: int32 `(N, 4)`, the part of each image that the heat map of stage 1 covers: top, left,
            bottom and right; None without heat maps, and where stage 1 has no lung view and sees all.
        stage2_boxes: likewise for stage 2.
        stage1_inputs: uint8 `(N, H, W, C)`, the images as stage 1 received them; None without heat maps.
        stage2_inputs: likewise for stage 2.

    Example:
        >>> result = semenet.Cascade.open("cascade").predict(np.zeros((200, 200), np.uint8))
        >>> result.class_names
        ('normal', 'bacteria', 'other_viral', 'COVID-19')
        >>> result.lung_masks.shape
        (1, 32, 32)
    """

    class_names: tuple[str, ...]
    probabilities: np.ndarray
    stage1_probabilities: np.ndarray
    stage2_probabilities: np.ndarray
    predicted: list[str]
    reasons: list[str]
    input_flags: list[tuple[str, ...]]
    lung_flags: list[tuple[str, ...]]
    lung_masks: np.ndarray
    stage1_heat_maps: np.ndarray | None = None
    stage2_heat_maps: np.ndarray | None = None
    stage1_boxes: np.ndarray | None = None
    stage2_boxes: np.ndarray | None = None
    stage1_inputs: np.ndarray | None = None
    stage2_inputs: np.ndarray | None = None

    @classmethod
    def concatenate(cls, results: Iterable[CascadeResult]) -> CascadeResult:
        """Joins the results of one batch or more into one."""
        results = list(results)
        merged = {}
        for field in dataclasses.fields(cls):
            values = [getattr(result, field.name) for result in results]
            if field.name == "class_names" or values[0] is None:
                merged[field.name] = values[0]
            elif isinstance(values[0], list):
                merged[field.name] = list(itertools.chain.from_iterable(values))
            else:
                merged[field.name] = np.concatenate(values)
        return cls(**merged)
