"""Embeddings: what a classifier has computed of an image before its head, one vector an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from semenet.errors import SemenetError
from semenet.progress import track

if TYPE_CHECKING:
    import pandas as pd

    from semenet.inference.lung_masks import LungMasks
    from semenet.training.run_folder.run import Run

# The last feature map of every classifier of the zoo.
LAYER = "features"


def embedding_network(model: keras.Model) -> keras.Model:
    """Returns a network from images to the spatial means of the last feature map, float32 `(N, F)`.

    Args:
        model: a classifier of the zoo.

    Raises:
        SemenetError: the network has no such feature map.
    """
    if LAYER not in (layer.name for layer in model.layers):
        raise SemenetError(
            f"An embedding is the mean of the layer `{LAYER}`, which the classifiers of the zoo have. "
            f"Received: {model.name}, which has no such layer. Use a network that `semenet.build` built."
        )
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32", name="embedding")
    return keras.Model(model.inputs[0], pooled(model.get_layer(LAYER).output))


def check_embeds(run: Run) -> None:
    """Checks that a run is of a classifier.

    Raises:
        SemenetError: it is of a segmentation network.
    """
    if run.segments:
        raise SemenetError(
            "Embeddings are computed by a classifier. "
            f"Received: {run.name}, a segmentation network. Give the run of a classifier."
        )


def embedding_function(run: Run) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function that computes the embeddings of batches of prepared images.

    Equal batches give bitwise equal embeddings.

    Args:
        run: a classifier's run.

    Returns:
        A function from images, uint8 `(N, H, W, C)` in [0, 255], to float32 `(N, F)`: the mean over all
        positions of the last feature map, with F channels.

    Raises:
        SemenetError: the run is of a segmentation network.

    Example:
        >>> embed = semenet.inference.embedding_function(semenet.training.Run.open("run"))
        >>> embed(np.zeros((2, 32, 32, 1), np.uint8)).dtype
        dtype('float32')
    """
    check_embeds(run)
    network = embedding_network(run.model)
    signature = tf.TensorSpec((None, *run.input_size, run.channels), tf.uint8)
    compute = tf.function(
        lambda images: network(images, training=False), input_signature=[signature], autograph=False
    )
    return lambda images: compute(images).numpy()


def embed_rows(run: Run, rows: pd.DataFrame, masks: LungMasks, batch_size: int) -> Iterator[np.ndarray]:
    """Yields the embeddings of the rows of a manifest, batch after batch, and shows the progress.

    Args:
        run: a classifier's run.
        rows: rows of a manifest.
        masks: source of the lung masks, for a network that needs them.
        batch_size: images per batch.

    Yields:
        float32 `(n, F)`, in the order of the rows.

    Raises:
        ImageError: an image or mask cannot be read.
        SemenetError: a mask is needed and missing, or an embedding is not finite.
    """
    embed = embedding_function(run)
    for images in track(masks.network_inputs(rows, run, batch_size), len(rows), "Embedding"):
        found = embed(images)
        if not np.isfinite(found).all():
            raise SemenetError(
                f"Embeddings must be finite. Received: {np.count_nonzero(~np.isfinite(found))} values of "
                f"{run.name} that are not. Training diverged, or a half-precision policy overflows."
            )
        yield found
