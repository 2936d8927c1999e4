"""What a run asks of the device that it trains on, and of several in its place."""

import contextlib

import keras
import numpy as np

from semenet.errors import SemenetError


class DistributionError(SemenetError):
    """A way of training on several devices does not fit the backend, the recipe or the machine."""


class Devices:
    """One device, and what the other modes do in its place.

    Attributes:
        replicas: devices that share each batch, each taking an equal part of it, over all processes.
        part: (rank, processes): which share of each batch this process reads, counted from 0.
        is_chief: whether this process writes the run folder and shows the progress.
    """

    replicas = 1
    part = (0, 1)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close(finished=error is None)

    @property
    def is_chief(self):
        return self.part[0] == 0

    @property
    def jit_compile(self):
        """What `compile` takes as `jit_compile`."""
        if keras.backend.backend() != "tensorflow":
            return "auto"
        import tensorflow as tf

        # XLA takes minutes to compile these networks for a CPU, and its step is slower there.
        return "auto" if tf.config.list_physical_devices("GPU") else False

    def check(self, batch_size, clip_norm=None):
        """Checks that a recipe fits.

        Args:
            batch_size: images in a step, over all devices.
            clip_norm: the norm that gradients are clipped to, or None.

        Raises:
            DistributionError: if it does not.
        """
        if batch_size % self.replicas:
            raise DistributionError(
                f"Each of {self.replicas} devices takes an equal part of a batch. Received: --batch-size "
                f"{batch_size}. Pass a multiple of {self.replicas}, such as "
                f"{-(-batch_size // self.replicas) * self.replicas}."
            )

    def scope(self):
        """Context manager in which the network is built, compiled, restored, fitted and measured."""
        return contextlib.nullcontext()

    def adopt(self, model):
        """Fits a network that was just built, in the scope and before it is compiled, to the devices."""

    def for_saving(self, model):
        """Context manager in which the network, or another one of its layers, is saved as one device's."""
        return contextlib.nullcontext()

    def share(self, count):
        """Which of `count` validation rows this process predicts.

        Args:
            count: number of all rows.

        Returns:
            slice of the rows: consecutive ones, a number that differs by one at most among the processes.

        Raises:
            DistributionError: if there are fewer rows than processes.
        """
        rank, processes = self.part
        if count < processes:
            raise DistributionError(
                f"Each of {processes} processes validates one image or more. Received: {count} images in the "
                "split val. Start fewer processes, or add images."
            )
        return slice(count * rank // processes, count * (rank + 1) // processes)

    def predict(self, model, images, count):
        """Predicts in the middle of a training, without the other processes: see `gather`.

        Args:
            model: the network.
            images: tf.data.Dataset of batches of images `(N, H, W, C)`; all but the last have a length that
                is a multiple of `replicas`.
            count: number of images in all.

        Returns:
            float32 array `(count, ...)`, in the order of the images.
        """
        return model.predict(images, verbose=0)[:count]

    def gather(self, array):
        """Joins what the processes hold; all of them have to call it.

        Args:
            array: array `(n, ...)`; n may differ among the processes.

        Returns:
            The arrays of all ranks joined along the first axis, in every process.
        """
        return np.asarray(array)

    def agree(self, value):
        """Tells all processes what rank 0 has decided; all of them have to call it, and none goes on before.

        Args:
            value: anything of JSON; that of rank 0 counts.

        Returns:
            Rank 0's value.
        """
        return value

    def close(self, finished=True):
        """Lets the devices go.

        Args:
            finished: whether the work is done: a process then waits for the others. Otherwise they end, too.
        """
