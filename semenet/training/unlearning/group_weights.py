"""Group DRO: the weights of groups of images, which rise where the loss is high, and their mean losses."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from semenet.models.layers.batch_rolling import sum_over_replicas


class GroupWeights(keras.layers.Layer):
    """The weights q of the groups in the loss `sum of q[g] * (mean loss of group g in the batch)`.

    Every step multiplies the weight of each group of the batch by `exp(step * (loss + C / sqrt(n)))`, where
    `loss` is the group's mean loss in the batch, n the number of its training images and C the adjustment,
    and scales all weights to the sum 1. A group that is not in the batch keeps its weight before the scaling.
    Several devices that share a batch use the mean losses of the whole batch.

    Args:
        names: the names of the groups, in the order of their numbers.
        counts: the number of training images of each group, each 1 or more.
        step: the step size of the weights, above 0.
        adjustment: C, 0 or more: small groups, whose training loss says less about other images, count as if
            their loss were higher.

    Attributes:
        log_shares: float32 variable `(groups,)`, not trainable: the logarithms of the weights, because a
            weight below 1e-38 would become 0 and could not rise again.

    Reference:
        Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts",
        https://arxiv.org/abs/1911.08731, algorithm 1 and section 3.3; https://github.com/kohpangwei/group_DRO

    Example:
        >>> from semenet.training.unlearning import GroupWeights
        >>> groups = GroupWeights(("normal/A", "normal/B"), (90, 10), step=1.0)
        >>> losses = np.array([0.0, 0.0, 0.0, np.log(3)], "float32")
        >>> np.asarray(groups.weigh(losses, np.array([0, 0, 0, 1]))).round(3).tolist()
        [0.333, 0.333, 0.333, 3.0]
        >>> {name: round(share, 3) for name, share in groups.shares().items()}
        {'normal/A': 0.25, 'normal/B': 0.75}
    """

    def __init__(
        self, names: Sequence[str], counts: Sequence[int], step: float, adjustment: float = 0.0
    ) -> None:
        super().__init__(name="group_weights", dtype="float32")
        self.names = tuple(names)
        self.step = float(step)
        self.adjustments = (adjustment / np.sqrt(np.asarray(counts, "float64"))).astype("float32")
        self.log_shares = self.add_weight(
            shape=(len(self.names),),
            initializer=keras.initializers.Constant(-np.log(len(self.names))),
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            name="log_shares",
        )
        self.built = True

    def weigh(self, losses: keras.KerasTensor, groups: keras.KerasTensor) -> keras.KerasTensor:
        """Updates the weights by the losses of a batch, and returns the weight of each of its images.

        Args:
            losses: float `(N,)`, the loss of each image.
            groups: int `(N,)`, the group of each image.

        Returns:
            float32 `(N,)`: with these weights the mean of the losses over the batch is the loss of group DRO.
            They are constants: no gradient flows back through them.
        """
        losses = ops.stop_gradient(ops.cast(losses, "float32"))
        member = ops.one_hot(groups, len(self.names), dtype="float32")
        totals = ops.stack([ops.matmul(losses, member), ops.sum(member, axis=0)])
        sums, counts = ops.unstack(sum_over_replicas(totals), num=2)
        present = ops.maximum(counts, 1.0)
        rise = ops.where(counts > 0, self.step * (sums / present + self.adjustments), 0.0)
        log_shares = ops.log_softmax(self.log_shares + rise)
        self.log_shares.assign(log_shares)
        return ops.take(ops.exp(log_shares) * ops.sum(counts) / present, groups)

    def shares(self) -> dict[str, float]:
        """Returns the weight of each group, by name. Their sum is 1."""
        logarithms = ops.convert_to_numpy(self.log_shares).astype("float64")
        return dict(zip(self.names, np.exp(logarithms).tolist(), strict=True))


class GroupLosses(keras.metrics.Metric):
    """The mean loss of each group over an epoch: a dict from `group_loss <name>` to a float.

    It is not a number for a group of which the epoch has not shown an image.

    Args:
        names: the names of the groups, in the order of their numbers.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(name="group_losses", dtype="float32")
        self.names = tuple(names)
        shape = (len(self.names),)
        self.sums = self.add_variable(shape, "zeros", name="sums", aggregation="sum")
        self.counts = self.add_variable(shape, "zeros", name="counts", aggregation="sum")

    def update_state(self, losses: keras.KerasTensor, groups: keras.KerasTensor) -> None:
        """Adds the losses `(N,)` of a batch to their groups, int `(N,)`."""
        member = ops.one_hot(groups, len(self.names), dtype="float32")
        self.sums.assign_add(ops.matmul(ops.cast(losses, "float32"), member))
        self.counts.assign_add(ops.sum(member, axis=0))

    def result(self) -> dict[str, keras.KerasTensor]:
        means = self.sums / self.counts
        return {f"group_loss {name}": means[number] for number, name in enumerate(self.names)}


class GroupWeightsLog(keras.callbacks.Callback):
    """Adds the weight of each group to the logs of an epoch, as `group_weight <name>`."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the weights. Place it before the callbacks that write the logs."""
        logs.update({f"group_weight {name}": share for name, share in self.model.groups.shares().items()})
