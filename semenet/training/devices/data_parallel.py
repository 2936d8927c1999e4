"""Training on the devices of one or more processes with JAX."""

import atexit
import contextlib
import io
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from semenet.errors import SemenetError
from semenet.training.devices.cluster import ProcessPlace
from semenet.training.devices.device import Devices, DistributionError
from semenet.training.devices.peer_watch import PeerWatch

if TYPE_CHECKING:
    import jax

# How long a process whose arrays have failed waits for the message that names the process that has ended.
_NOTICE_SECONDS = 10


class DataParallelDevices(Devices):
    """All devices of one or more processes, on one or more machines, with JAX.

    JAX exchanges everything, the processes' own messages (`jax.experimental.multihost_utils`) included;
    `PeerWatch` adds what JAX lacks when a process does not start or dies.

    Args:
        place: the place of this process.
        join_seconds: how long the processes wait for each other.

    Raises:
        DistributionError: the backend is not JAX, or it is already in use.
        ClusterError: not all processes have started.
    """

    jit_compile = True

    def __init__(self, place: ProcessPlace, join_seconds: float) -> None:
        if keras.backend.backend() != "jax":
            raise DistributionError(
                "--distribute data_parallel needs Keras on JAX. Received: the Keras backend "
                f"{keras.backend.backend()}. Set the environment variable KERAS_BACKEND=jax and install JAX: "
                "pip install 'semenet[jax]'."
            )
        import jax

        self._peers = None
        self.part = (place.rank, place.processes)
        if place.processes > 1:
            # The coordinator's port is PeerWatch's, so rank 0 chooses another one for JAX.
            self._peers = PeerWatch(place, join_seconds, _free_port() if self.is_chief else 0)
            self._join_jax(place, join_seconds)
        # tf.data needs no GPU, and TensorFlow would reserve most of its memory.
        tf.config.set_visible_devices([], "GPU")
        self.replicas = jax.device_count()
        self._distribution = keras.distribution.DataParallel(
            devices=keras.distribution.list_devices(), auto_shard_dataset=False
        )
        self._own_mesh = jax.sharding.Mesh(np.array(jax.local_devices()), ("batch",))
        self._predictors = {}

    def _join_jax(self, place: ProcessPlace, join_seconds: float) -> None:
        import jax

        host, port = place.coordinator[0], self._peers.jax_port
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        try:
            jax.distributed.initialize(
                f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
                place.processes,
                place.rank,
                # The place is known; JAX would try to find it from the scheduler's variables again.
                cluster_detection_method="deactivate",
                initialization_timeout=join_seconds,
            )
        except RuntimeError as error:
            self.close(finished=False)
            raise DistributionError(
                "The processes must join before any of them uses a device. Received: "
                f"{error} Call open_devices first, and only once in a process."
            ) from error
        # Opens the connections between the processes while all of them are waiting for each other.
        self._synchronize("joined")

    def scope(self) -> contextlib.AbstractContextManager:
        """Returns Keras' scope of the distribution."""
        return self._distribution.scope()

    @contextlib.contextmanager
    def saving_scope(self, model: keras.Model) -> Iterator[None]:
        """Leaves the distribution: saving creates variables, which would wait for the other processes."""
        distribution = keras.distribution.distribution()
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(distribution)

    def predict(self, model: keras.Model, images: tf.data.Dataset, count: int) -> np.ndarray:
        """Predicts as for one device, with a copy of the weights on the devices of this process.

        Nothing is exchanged, so the processes may have different numbers of images.
        """
        import jax

        # During `fit` the trainer holds the weights itself.
        model.jax_state_sync()
        replicated = jax.sharding.NamedSharding(self._own_mesh, jax.sharding.PartitionSpec())
        divided = jax.sharding.NamedSharding(self._own_mesh, jax.sharding.PartitionSpec("batch"))
        weights, state = (
            [_on_own_devices(variable.value, replicated) for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        )
        if id(model) not in self._predictors:

            def outputs(weights: list, state: list, batch: "jax.Array") -> "jax.Array":
                return model.stateless_call(weights, state, batch, training=False)[0]

            # The model is kept too: once it is deleted, another model could get the same id.
            self._predictors[id(model)] = (model, jax.jit(outputs))
        _, predictor = self._predictors[id(model)]
        width = self._own_mesh.size
        results = []
        for batch in images.as_numpy_iterator():
            missing = -len(batch) % width
            filled = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
            results.append(
                np.asarray(predictor(weights, state, jax.device_put(filled, divided)))[: len(batch)]
            )
        return np.concatenate(results)[:count]

    def gather(self, array: np.ndarray) -> np.ndarray:
        """Joins arrays as for one device."""
        if self._peers is None:
            return np.asarray(array)
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(array), allow_pickle=False)
        contents = self._gather_bytes(buffer.getvalue())
        return np.concatenate([np.load(io.BytesIO(content), allow_pickle=False) for content in contents])

    def broadcast(self, value: Any) -> Any:
        """Returns rank 0's value as for one device."""
        if self._peers is None:
            return value
        return json.loads(self._gather_bytes(json.dumps(value if self.is_chief else None).encode())[0])

    def _gather_bytes(self, content: bytes) -> list[bytes]:
        """Returns the bytes of all ranks. As bytes, because JAX would round float64 to float32."""
        from jax.experimental import multihost_utils

        own = np.frombuffer(content, np.uint8)
        # JAX exchanges arrays of one shape: first the lengths, then the bytes, filled up to the longest.
        lengths = multihost_utils.process_allgather(np.array([len(own)], np.int32))[:, 0]
        filled = np.pad(own, (0, lengths.max() - len(own)))
        rows = multihost_utils.process_allgather(filled)
        return [row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)]

    def _synchronize(self, name: str) -> None:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._peers is not None and error is not None and not isinstance(error, SemenetError):
            # Where another process has ended, arrays fail with many kinds of errors. PeerWatch's thread then
            # prints which one has ended, and ends this process.
            time.sleep(_NOTICE_SECONDS)
        super().__exit__(kind, error, traceback)

    def close(self, finished: bool = True) -> None:
        """Releases the devices. After a failure JAX is not shut down: it would wait for others and abort."""
        if self._peers is None:
            return
        if finished:
            self._synchronize("finished")
        self._peers.close(finished)
        self._peers = None
        if not finished:
            # Registered after JAX's own exit function, and therefore called before it.
            atexit.register(_leave)


def _on_own_devices(value: Any, sharding: "jax.sharding.NamedSharding") -> Any:
    """Returns a replicated array of all processes' devices as one of this process's, without a copy."""
    import jax

    if not isinstance(value, jax.Array):
        return value
    pieces = {shard.device: shard.data for shard in value.addressable_shards}
    ordered = [pieces[device] for device in sharding.mesh.devices.flat]
    return jax.make_array_from_single_device_arrays(value.shape, sharding, ordered)


def _free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
