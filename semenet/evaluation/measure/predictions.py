"""Class probabilities and heat maps of a classifier for the images of a split, from a single pass."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from semenet.inference.heat_maps.class_activation import check_finite
from semenet.inference.heat_maps.explained_layers import LAST, is_pooled, layer_name
from semenet.inference.heat_maps.graphs import default_method
from semenet.inference.heat_maps.map_choice import method_function, method_name
from semenet.inference.lung_masks import LungMasks
from semenet.progress import track
from semenet.training.run_folder.run import Run


class Predictions:
    """A classifier's probabilities for images, and heat maps of the predicted classes.

    By default, if the network ends in global average pooling, the class activation maps of the predicting
    forward pass are kept. Otherwise the requested maps are computed in a second pass, by default by Grad-CAM.

    Args:
        run: the run of the classifier.
        rows: DataFrame of the N rows to predict.
        score: scoring function, as returned by `semenet.inference.scoring.scoring_function_with_maps`.
        lungs: source of the lung masks, for a network that needs them.
        batch_size: number of images predicted at a time.
        map_method: a key of `semenet.inference.heat_maps.class_activation.METHODS`; None for the default.
        map_layer: name or stride of the layer whose feature map is weighted.

    Attributes:
        probabilities: float32 array `(N, K)`.
        predicted: int array `(N,)`, the index of the predicted class.
        boxes: for each image the rectangle of it that the network sees; None without a lung view.
        flags: for each image the checks that its lung mask failed, separated by spaces; None likewise.
        method: how the maps are computed, such as "cam" or "grad-cam".
        layer: name of the layer whose feature map is weighted.

    Raises:
        ImageError: an image, or a mask that is needed, cannot be read.
        SemenetError: a mask is needed and missing.
    """

    def __init__(
        self,
        run: Run,
        rows: pd.DataFrame,
        score: Callable[..., Any],
        lungs: LungMasks,
        batch_size: int,
        map_method: str | None = None,
        map_layer: str | int = LAST,
    ) -> None:
        # Before the pass over all images: an unknown method or layer.
        self.layer = layer_name(run.model, map_layer)
        self.method = method_name(map_method or default_method(run.model, self.layer))
        keeps = (self.method, self.layer) == ("cam", LAST) and is_pooled(run.model)
        self._explain = None if keeps else method_function(self.method)(run.model, self.layer)
        self._run, self._rows, self._lungs, self._batch_size = run, rows, lungs, batch_size
        self.boxes, self.flags = None, None
        batches = track(self._inputs(), len(rows), "Predicting")
        probabilities, maps = zip(*map(score, batches), strict=True)
        self.probabilities = np.concatenate(probabilities)
        self.predicted = self.probabilities.argmax(axis=1)
        self._maps = np.concatenate(maps) if keeps else None
        self._explain_class: Callable[..., Any] | None = None

    def _inputs(self) -> Iterator[np.ndarray]:
        """Yields batches of images, and collects what is found about their lungs."""
        for batch in self._lungs.prepared(self._rows, self._run, self._batch_size):
            if batch.flags is not None:
                self.boxes = [*(self.boxes or []), *batch.boxes]
                self.flags = [*(self.flags or []), *batch.flags]
            yield batch.images

    @property
    def lungs(self) -> dict[str, Any]:
        """Of a network with a lung view: the source of the masks, and how many of them are implausible."""
        implausible = sum(flags != "" for flags in self.flags)
        return {"masks": self._lungs.source, "images": len(self._rows), "implausible": implausible}

    def heat_maps(self, indices: np.ndarray, class_index: int | None = None) -> np.ndarray:
        """Returns heat maps for the predicted classes, or for one class.

        Args:
            indices: int array `(n,)`, positions in `rows`, at least one.
            class_index: the class; None for the predicted ones.

        Returns:
            float32 array `(n, h, w)` in [0, 1]; see `semenet.inference.heat_maps.class_activation`.

        Raises:
            SemenetError: the network's features are not finite.
        """
        explain = self._explain
        if class_index is not None:
            if self._explain_class is None:
                self._explain_class = explain or method_function(self.method)(self._run.model, self.layer)
            explain = self._explain_class
        if explain is None:
            maps = self._maps[indices]
            check_finite(self._run.model, maps)
            return maps
        rows, classes = self._rows.iloc[indices].reset_index(drop=True), self.predicted[indices]
        if class_index is not None:
            classes = np.full(len(indices), class_index)
        parts = []
        for images in self._lungs.network_inputs(rows, self._run, self._batch_size):
            parts.append(explain(images, classes[: len(images)])[0])
            classes = classes[len(images) :]
        return np.concatenate(parts)
