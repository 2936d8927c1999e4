"""Numbered batches of arrays as a tf.data.Dataset, and errors raised inside of one."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import tensorflow as tf

from semenet.data.images.errors import ImageError
from semenet.data.pipeline.cache import CacheError
from semenet.data.transforms.host_calls import host_call
from semenet.errors import SemenetError

if TYPE_CHECKING:
    import numpy as np

    from semenet.data.pipeline.batches import EvaluationBatches, TrainingBatches

# TensorFlow wraps an error of a reader in its own error, as text. The marks delimit the original message.
_ERROR_START, _ERROR_END = "<<semenet:", ":semenet>>"
_ERRORS = (ImageError, CacheError)
# One batch that is ready and one that is being made; more would only use memory.
_PREFETCHED_BATCHES = 2


def as_dataset(batches: TrainingBatches | EvaluationBatches, start: int, stop: int) -> tf.data.Dataset:
    """Makes a dataset of numbered batches, in order, with as many threads as processors.

    Datasets of the same batches share their cache. Sets OpenCV to one thread, because tf.data runs several
    batches in parallel.

    Args:
        batches: the batches.
        start: the number of the first batch.
        stop: the number after the last batch. Batches of training continue without end, epoch after epoch.

    Returns:
        A dataset of images, uint8 (batch, height, width, channels) in [0, 255], or of pairs (images,
        targets), targets float32: one-hot (batch, classes), or masks (batch, height, width, 1) in {0, 1}.
        A dict takes the place of the images where the batches have extra inputs.

    Raises:
        ImageError: inside `unwrapped_errors`, when an image or mask cannot be read.
        CacheError: inside `unwrapped_errors`, when the cache cannot be written.
        SemenetError: `start` or `stop` is negative, or `stop` is less than `start`.
    """
    if not 0 <= start <= stop:
        raise SemenetError(
            "Batches are numbered from 0, in order: 0 <= start <= stop. "
            f"Received: start={start}, stop={stop}. An epoch has {batches.steps} batches."
        )
    cv2.setNumThreads(1)
    images = tf.TensorSpec((None, *batches.images.size, batches.channels), tf.uint8)
    extra = {
        name: tf.TensorSpec((None, *shape), dtype) for name, (shape, dtype) in batches.extra_inputs.items()
    }
    structure = [{"images": images} | extra if extra else images]
    if batches.target_shape is not None:
        structure.append(tf.TensorSpec((None, *batches.target_shape), tf.float32))
    specs = tf.nest.flatten(structure)

    @host_call
    def make(step: np.ndarray) -> tuple[np.ndarray, ...]:
        try:
            return tuple(tf.nest.flatten(batches[int(step)]))
        except _ERRORS as error:
            marked = f"{_ERROR_START}{type(error).__name__}:{error}{_ERROR_END}"
            raise type(error)(marked) from None

    def load(step: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, ...]:
        parts = tf.numpy_function(make, [step], [spec.dtype for spec in specs], stateful=False)
        shaped = [tf.ensure_shape(part, spec.shape) for part, spec in zip(parts, specs, strict=True)]
        packed = tf.nest.pack_sequence_as(structure, shaped)
        return tuple(packed) if len(packed) > 1 else packed[0]

    dataset = tf.data.Dataset.range(start, stop)
    dataset = dataset.map(load, num_parallel_calls=os.cpu_count(), deterministic=True)
    options = tf.data.Options()
    # Nothing is left to tune, and in TensorFlow 2.21 the tuning thread, which wakes every five seconds,
    # sometimes delays the end of a dataset until it wakes.
    options.autotune.enabled = False
    # The first batch is made while the network is traced.
    options.experimental_warm_start = True
    return dataset.prefetch(_PREFETCHED_BATCHES).with_options(options)


@contextlib.contextmanager
def unwrapped_errors() -> Iterator[None]:
    """Raises the original error of a dataset's reader instead of TensorFlow's wrapped one.

    Put it around any code that takes elements from a dataset of this package: a loop, `fit`, `predict`.

    Raises:
        ImageError: an image or mask cannot be read; the message names the file.
        CacheError: the cache on disk cannot be written.

    Example:
        >>> rows = semenet.read_manifest("manifest.csv").rows
        >>> dataset = semenet.data.evaluation_dataset(
        ...     rows.assign(path="missing.png"), input_size=(64, 64), batch_size=8
        ... )
        >>> with semenet.data.unwrapped_errors():
        ...     images = list(dataset)
        Traceback (most recent call last):
        ...
        semenet.data.images.errors.MissingImageError: ...missing.png...
    """
    try:
        yield
    except tf.errors.OpError as error:
        wrapped = re.search(f"{_ERROR_START}(.*?):(.*?){_ERROR_END}", str(error), re.DOTALL)
        if wrapped is None:
            raise
        raise _error_type(wrapped[1])(wrapped[2]) from None


def _error_type(name: str) -> type[SemenetError]:
    """Returns the class of a reader's error by its name: one of `_ERRORS` or of their subclasses."""
    candidates = list(_ERRORS)
    for candidate in candidates:
        candidates += candidate.__subclasses__()
    return next(candidate for candidate in candidates if candidate.__name__ == name)
