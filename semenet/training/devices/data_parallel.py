"""Training on the devices of one process or of many, by JAX."""

import atexit
import contextlib
import io
import json
import os
import socket
import sys
import time

import keras
import numpy as np

from semenet.errors import SemenetError
from semenet.training.devices.device import Devices, DistributionError
from semenet.training.devices.roll_call import RollCall

# How long a process whose arrays have failed waits for the line to say which other one has ended.
_NOTICE_SECONDS = 10


class DataParallelDevices(Devices):
    """All devices of this process or of several, on one machine or many, by JAX.

    Args:
        place: `Place` of this process.
        join_seconds: how long the processes wait for each other.

    Raises:
        DistributionError: for another backend than JAX, or one that was in use already.
        ClusterError: if not all processes turn up.
    """

    jit_compile = True

    def __init__(self, place, join_seconds):
        if keras.backend.backend() != "jax":
            raise DistributionError(
                "--distribute data_parallel is Keras' on JAX. Received: the Keras backend "
                f"{keras.backend.backend()}. Set the environment variable KERAS_BACKEND=jax, and install it: "
                "pip install 'semenet[jax]'."
            )
        self._line = None
        self.part = (place.rank, place.processes)
        if place.processes > 1:
            self._line = RollCall(place, join_seconds)
            self._join_jax(place, join_seconds)
        import jax
        import tensorflow as tf

        # tf.data needs no GPU, and TensorFlow would take most of its memory.
        tf.config.set_visible_devices([], "GPU")
        self.replicas = jax.device_count()
        self._distribution = keras.distribution.DataParallel(
            devices=keras.distribution.list_devices(), auto_shard_dataset=False
        )
        here = np.array(jax.local_devices())
        self._here = jax.sharding.Mesh(here, ("batch",))
        self._predictors = {}

    def _join_jax(self, place, join_seconds):
        import jax

        host = place.coordinator[0]
        # Rank 0 takes a free port for JAX: the one that was named belongs to the line.
        port = self.agree(_free_port() if self.is_chief else None)
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        try:
            jax.distributed.initialize(
                f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
                place.processes,
                place.rank,
                # The place is known: JAX would guess from the scheduler's variables once more.
                cluster_detection_method="deactivate",
                initialization_timeout=join_seconds,
            )
        except RuntimeError as error:
            self.close(finished=False)
            raise DistributionError(
                "Processes join before any of them uses a device. Received: "
                f"{error} Call open_devices first, and once in a process."
            ) from error

    def scope(self):
        """Keras' scope of the distribution."""
        return self._distribution.scope()

    @contextlib.contextmanager
    def for_saving(self, model):
        """Outside of the distribution: saving makes variables, which would wait for the other processes."""
        distribution = keras.distribution.distribution()
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(distribution)

    def predict(self, model, images, count):
        """As for one device, by a copy of the weights that lies on this process's own devices.

        Nothing is exchanged, so that processes may have different numbers of images.
        """
        import jax

        # In the middle of `fit` the trainer holds the weights itself.
        model.jax_state_sync()
        whole = jax.sharding.NamedSharding(self._here, jax.sharding.PartitionSpec())
        divided = jax.sharding.NamedSharding(self._here, jax.sharding.PartitionSpec("batch"))
        weights, state = (
            [_on_own_devices(variable.value, whole) for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        )
        if id(model) not in self._predictors:

            def outputs(weights, state, batch):
                return model.stateless_call(weights, state, batch, training=False)[0]

            # With its model, whose identity another one could get once it is gone.
            self._predictors[id(model)] = (model, jax.jit(outputs))
        _, predictor = self._predictors[id(model)]
        width = self._here.size
        results = []
        for batch in images.as_numpy_iterator():
            missing = -len(batch) % width
            filled = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
            results.append(
                np.asarray(predictor(weights, state, jax.device_put(filled, divided)))[: len(batch)]
            )
        return np.concatenate(results)[:count]

    def gather(self, array):
        """As for one device."""
        if self._line is None:
            return np.asarray(array)
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(array), allow_pickle=False)
        said = self._line.gather(buffer.getvalue())
        return np.concatenate([np.load(io.BytesIO(part), allow_pickle=False) for part in said])

    def agree(self, value):
        """As for one device."""
        if self._line is None:
            return value
        return json.loads(self._line.gather(json.dumps(value if self.is_chief else None).encode())[0])

    def __exit__(self, kind, error, traceback):
        if self._line is not None and error is not None and not isinstance(error, SemenetError):
            # Where another process has ended, arrays fail with errors of many kinds: the line says so, and
            # ends this one.
            time.sleep(_NOTICE_SECONDS)
        super().__exit__(kind, error, traceback)

    def close(self, finished=True):
        """As for one device. After a failure JAX is not asked to end: it would wait for others and abort."""
        if self._line is None:
            return
        self._line.close(finished)
        self._line = None
        if not finished:
            # Registered after JAX's own, and so called before it.
            atexit.register(_leave)


def _on_own_devices(value, sharding):
    """A replicated array of all processes' devices as one of this process's, without a copy."""
    import jax

    if not isinstance(value, jax.Array):
        return value
    pieces = {shard.device: shard.data for shard in value.addressable_shards}
    ordered = [pieces[device] for device in sharding.mesh.devices.flat]
    return jax.make_array_from_single_device_arrays(value.shape, sharding, ordered)


def _free_port():
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


def _leave():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
