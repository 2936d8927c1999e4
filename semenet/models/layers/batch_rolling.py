"""Rolls a batch by one image, and sums over its parts, also if several devices share the batch."""

from typing import Any

import keras
from keras import ops


def roll_batch(batch: keras.KerasTensor) -> keras.KerasTensor:
    """Rolls a batch by one: position i of the result holds image i - 1, the partner of image i.

    Under a TensorFlow strategy each replica holds a part of the batch, in order. The first image of a part
    gets the last image of the previous part, which the replicas exchange. Call this function on all replicas
    or on none, and outside any control flow, in which TensorFlow's mirrored replicas cannot synchronise. On
    JAX an array is the whole batch, wherever its parts are stored.

    Args:
        batch: tensor `(N, ...)`, numbers of any dtype; N is 1 or more on every replica.

    Returns:
        Tensor of the same shape and dtype. Gradients flow back to the replica of the partner.
    """
    replica = _replica()
    if replica is None:
        return ops.roll(batch, 1, axis=0)
    count, own = replica.num_replicas_in_sync, replica.replica_id_in_sync_group
    # Only the last image of each part moves to another replica. It is sent by a sum with zeros, which is
    # exact and is scheduled in the same order on all replicas, like gradients and batch statistics.
    # all_gather is scheduled independently of them.
    last = batch[-1:]
    is_own = ops.reshape(ops.arange(count) == own, (count,) + (1,) * (len(batch.shape) - 1))
    all_last = replica.all_reduce("SUM", ops.where(is_own, last, ops.zeros_like(last)))
    before = (own - 1) % count
    return ops.concatenate([all_last[before : before + 1], batch[:-1]], axis=0)


def sum_over_replicas(values: keras.KerasTensor) -> keras.KerasTensor:
    """Returns the sum of a tensor over all replicas that share the batch; without any, the tensor itself.

    Call it on all replicas or on none, and outside any control flow, as `roll_batch`.
    """
    replica = _replica()
    return values if replica is None else replica.all_reduce("SUM", values)


def is_divided() -> bool:
    """Returns whether the batch is divided among several replicas."""
    return _replica() is not None


def _replica() -> Any:
    """Returns TensorFlow's `ReplicaContext` of this replica, or None if the batch is not divided."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return None
    return tf.distribute.get_replica_context()
