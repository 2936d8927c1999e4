"""Each image's partner in a batch: the image before it, also where several devices share the batch."""

import keras
from keras import ops


def roll_batch(batch):
    """Rolls a batch by one, so that every image stands where its successor stood.

    Under a TensorFlow strategy each replica holds a part of the batch, in order: a part's first image gets
    the last one of the part before it, which the replicas tell each other. Call it on all of them or on none,
    and outside any control flow, where TensorFlow's mirrored replicas cannot meet. On JAX an array is the
    whole batch wherever its parts lie.

    Args:
        batch: tensor `(N, ...)`, numbers of any dtype; N is 1 or more on every replica.

    Returns:
        Tensor of the same shape and dtype. Gradients flow back to the replica that a partner came from.
    """
    replica = _replica()
    if replica is None:
        return ops.roll(batch, 1, axis=0)
    count, own = replica.num_replicas_in_sync, replica.replica_id_in_sync_group
    # Of a whole batch only the last images cross over: a sum with zeros, which is exact, goes the way of
    # gradients and batch statistics, in an order that all replicas keep. all_gather starts on its own.
    last = batch[-1:]
    is_own = ops.reshape(ops.arange(count) == own, (count,) + (1,) * (len(batch.shape) - 1))
    all_last = replica.all_reduce("SUM", ops.where(is_own, last, ops.zeros_like(last)))
    before = (own - 1) % count
    return ops.concatenate([all_last[before : before + 1], batch[:-1]], axis=0)


def is_divided():
    """Whether several replicas share the batch that is being computed, each with a part of it."""
    return _replica() is not None


def _replica():
    """TensorFlow's context of this replica, or None where the batch is whole."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return None
    return tf.distribute.get_replica_context()
