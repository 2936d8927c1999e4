"""What a classifier predicts for a split, and heat maps of what spoke for it, of one pass over the images."""

import numpy as np

from semenet.inference.class_activation import check_finite, grad_cam_function
from semenet.progress import track


class Predictions:
    """A classifier's probabilities for images, and heat maps of the classes predicted.

    For a head of global average pooling the maps are kept of the forward pass that predicts; for another one
    Grad-CAM makes those that are asked for, in a pass of its own.

    Args:
        run: `semenet.training.run_folder.run.Run` of the classifier.
        rows: DataFrame of the N rows to predict.
        score: function of images, of `semenet.inference.scoring.scoring_function_with_maps`.
        lungs: `semenet.inference.lung_masks.LungMasks`, for a network that is fed lungs alone.
        batch_size: int, images predicted at a time.

    Attributes:
        probabilities: float32 array `(N, K)`.
        predicted: int array `(N,)`.
        method: what the maps are made by, "cam" or "grad-cam".

    Raises:
        ImageError: an image, or a mask that is needed, cannot be read.
        ValueError: a mask is needed and absent.
    """

    def __init__(self, run, rows, score, lungs, batch_size):
        self._run, self._rows, self._lungs, self._batch_size = run, rows, lungs, batch_size
        batches = track(lungs.network_inputs(rows, run, batch_size), len(rows), "Predicting")
        probabilities, maps = zip(*map(score, batches), strict=True)
        self.probabilities = np.concatenate(probabilities)
        self.predicted = self.probabilities.argmax(axis=1)
        self._maps = None if maps[0] is None else np.concatenate(maps)
        self._explain = grad_cam_function(run.model) if self._maps is None else None
        self.method = "grad-cam" if self._maps is None else "cam"

    def heat_maps(self, chosen):
        """Heat maps for the classes predicted.

        Args:
            chosen: int array `(n,)`, places in `rows`, of one or more.

        Returns:
            float32 array `(n, h, w)` in [0, 1], as of `semenet.inference.class_activation`.

        Raises:
            ValueError: the network's features are not finite.
        """
        if self._explain is None:
            maps = self._maps[chosen]
            check_finite(self._run.model, maps)
            return maps
        some, classes = self._rows.iloc[chosen].reset_index(drop=True), self.predicted[chosen]
        parts = []
        for images in self._lungs.network_inputs(some, self._run, self._batch_size):
            parts.append(self._explain(images, classes[: len(images)])[0])
            classes = classes[len(images) :]
        return np.concatenate(parts)
