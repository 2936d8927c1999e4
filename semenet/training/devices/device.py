"""The devices that a run trains on: one device, and the interface of several."""

import contextlib
from types import TracebackType
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from semenet.errors import SemenetError


class DistributionError(SemenetError):
    """A way of training on several devices that does not fit the backend, the recipe or the machine."""


class Devices:
    """One device. The subclasses do the same with several devices.

    Attributes:
        replicas: number of devices, over all processes, that each take an equal part of every batch.
        part: (rank, number of processes): the share of each batch that this process reads, from rank 0.
    """

    replicas = 1
    part = (0, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(finished=error is None)

    @property
    def is_chief(self) -> bool:
        """Whether this is rank 0, which writes the run folder and shows the progress."""
        return self.part[0] == 0

    @property
    def jit_compile(self) -> bool | str:
        """The argument `jit_compile` of `keras.Model.compile`."""
        if keras.backend.backend() != "tensorflow":
            return "auto"
        # On a CPU, XLA takes minutes to compile these networks, and their steps are slower afterwards.
        return "auto" if tf.config.list_physical_devices("GPU") else False

    def check(self, batch_size: int, clip_norm: float | None = None) -> None:
        """Checks that a recipe fits the devices.

        Args:
            batch_size: images in a step, over all devices.
            clip_norm: the norm that gradients are clipped to; None for no clipping.

        Raises:
            DistributionError: it does not fit.
        """
        if batch_size % self.replicas:
            raise DistributionError(
                f"Each of {self.replicas} devices takes an equal part of a batch. Received: --batch-size "
                f"{batch_size}. Pass a multiple of {self.replicas}, such as "
                f"{-(-batch_size // self.replicas) * self.replicas}."
            )

    def scope(self) -> contextlib.AbstractContextManager:
        """Returns the context in which the network is built, compiled, restored, fitted and measured."""
        return contextlib.nullcontext()

    def prepare_model(self, model: keras.Model) -> None:
        """Adapts a new network to the devices, within `scope` and before it is compiled."""

    def saving_scope(self, model: keras.Model) -> contextlib.AbstractContextManager:
        """Returns the context in which the network, or a copy with the same layers, is saved."""
        return contextlib.nullcontext()

    def local_rows(self, count: int) -> slice:
        """Returns the validation rows that this process predicts.

        Args:
            count: number of all rows.

        Returns:
            Consecutive rows; their number differs by at most one among the processes.

        Raises:
            DistributionError: there are fewer rows than processes.
        """
        rank, processes = self.part
        if count < processes:
            raise DistributionError(
                f"Each of {processes} processes must validate at least one image. Received: {count} images "
                "in the split val. Start fewer processes, or add images."
            )
        return slice(count * rank // processes, count * (rank + 1) // processes)

    def predict(self, model: keras.Model, images: tf.data.Dataset, count: int) -> np.ndarray:
        """Predicts the images of this process during a training, without the other processes.

        Args:
            model: the network.
            images: batches `(N, H, W, C)`; the length of all but the last is a multiple of `replicas`.
            count: number of images in total.

        Returns:
            float32 array `(count, ...)`, in the order of the images.
        """
        return model.predict(images, verbose=0)[:count]

    def gather(self, array: np.ndarray) -> np.ndarray:
        """Joins the arrays of all processes. All of them must call it.

        Args:
            array: `(n, ...)`; n may differ among the processes.

        Returns:
            The arrays of all ranks, joined along the first axis, in every process.
        """
        return np.asarray(array)

    def broadcast(self, value: Any) -> Any:
        """Returns rank 0's value in every process. All of them must call it, and each waits for the others.

        Args:
            value: any JSON-serialisable value; only that of rank 0 is used.
        """
        return value

    def close(self, finished: bool = True) -> None:
        """Releases the devices.

        Args:
            finished: whether the work is done. If so, this process waits for the others; if not, they end.
        """
