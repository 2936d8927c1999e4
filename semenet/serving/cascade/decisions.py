"""The decision rule of the cascade: the joint distribution by the chain rule, and when to abstain."""

import dataclasses

import tensorflow as tf

from semenet.errors import SemenetError

# The stage that decided or abstained. The graph returns indices into this list.
REASONS = ("stage1", "stage2", "abstain_stage1", "abstain_stage2")
ABSTAIN = "abstain"
# The prediction for images that the gate rejects, see `semenet.inference.input_gate`.
REJECTED = "rejected"


@dataclasses.dataclass(frozen=True)
class ChainRule:
    """Combines the probabilities of two stages, the second of which divides one class of the first.

    Attributes:
        stage1: the K1 classes of stage 1.
        stage2: the K2 classes of stage 2.
        refines: the class of stage 1 that stage 2 divides.
        confidences: for each stage the lowest probability of its predicted class at which it answers, as
            chosen by `semenet calibrate`; None for a stage that never abstains.

    Raises:
        SemenetError: `refines` is not a class of stage 1, or both stages have a class of the same name.
    """

    stage1: tuple[str, ...]
    stage2: tuple[str, ...]
    refines: str
    confidences: tuple[float | None, float | None] = (None, None)

    def __post_init__(self) -> None:
        if self.refines not in self.stage1:
            raise SemenetError(
                f"Stage 2 divides a class of stage 1, which are {', '.join(self.stage1)}. "
                f"Received: {self.refines!r}. Name one of them."
            )
        if twice := set(self.class_names[: len(self.stage1) - 1]) & set(self.stage2):
            raise SemenetError(
                "The classes of the two stages must have different names. "
                f"Received: {', '.join(sorted(twice))} in both. Train one stage with other --classes."
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K1 - 1 + K2 classes: those of stage 1 except the divided one, then those of stage 2."""
        return (*(name for name in self.stage1 if name != self.refines), *self.stage2)

    def joint(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """Computes the joint distribution: `P(class of stage 2) = P(divided class) * P(class | divided)`.

        Args:
            first: float32 `(N, K1)`, the probabilities of stage 1.
            second: float32 `(N, K2)`, those of stage 2.

        Returns:
            float32 tensor `(N, K1 - 1 + K2)`, in the order of `class_names`.
        """
        place = self.stage1.index(self.refines)
        return tf.concat(
            [first[:, :place], first[:, place + 1 :], first[:, place : place + 1] * second], axis=1
        )

    def decide(self, first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the most probable class of the joint distribution, and the stage that decided or abstained.

        A stage abstains if the probability of its own predicted class is below its confidence; stage 2 only
        if the decision is one of its classes.

        Args:
            first: as for `joint`.
            second: as for `joint`.

        Returns:
            Two int32 tensors `(N,)`: the index into `class_names`, also where a stage abstains, and the index
            into `REASONS`.
        """
        chosen = tf.argmax(self.joint(first, second), axis=1, output_type=tf.int32)
        by_second = chosen >= len(self.stage1) - 1
        reason = tf.where(by_second, REASONS.index("stage2"), REASONS.index("stage1"))
        reason = tf.where(by_second & self._uncertain(second, 1), REASONS.index("abstain_stage2"), reason)
        reason = tf.where(self._uncertain(first, 0), REASONS.index("abstain_stage1"), reason)
        return chosen, reason

    def _uncertain(self, probabilities: tf.Tensor, stage: int) -> tf.Tensor:
        confidence = self.confidences[stage]
        highest = tf.reduce_max(probabilities, axis=1)
        return highest < (-1.0 if confidence is None else confidence)
