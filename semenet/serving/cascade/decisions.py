"""How the cascade decides: the joint distribution by the chain rule, and when it does not answer."""

import dataclasses

import tensorflow as tf

from semenet.errors import SemenetError

# What decided, or why nothing did; the graph gives a place in this list.
REASONS = ("stage1", "stage2", "abstain_stage1", "abstain_stage2")
ABSTAIN = "abstain"
# What is no image for the networks, see `semenet.inference.input_gate`: decided on by none of them.
REJECTED = "rejected"


@dataclasses.dataclass(frozen=True)
class ChainRule:
    """One class of stage 1 that stage 2 divides further.

    Attributes:
        stage1: tuple of K1 str, the classes of stage 1.
        stage2: tuple of K2 str, those of stage 2.
        refines: str, the class of stage 1 within which stage 2's hold.
        confidences: two floats or None: how sure each stage has to be of its class for an answer, as
            `semenet calibrate` chose; None for a stage that always answers.

    Raises:
        ValueError: `refines` is no class of stage 1, or a class of one stage is one of the other's.
    """

    stage1: tuple[str, ...]
    stage2: tuple[str, ...]
    refines: str
    confidences: tuple[float | None, float | None] = (None, None)

    def __post_init__(self):
        if self.refines not in self.stage1:
            raise SemenetError(
                f"Stage 2 divides a class of stage 1, which are {', '.join(self.stage1)}. "
                f"Received: {self.refines!r}. Name one of them."
            )
        if twice := set(self.class_names[: len(self.stage1) - 1]) & set(self.stage2):
            raise SemenetError(
                "The classes of the two stages have different names. "
                f"Received: {', '.join(sorted(twice))} in both. Train one with other --classes."
            )

    @property
    def class_names(self):
        """tuple of K1 - 1 + K2 str: stage 1's classes but the one refined, then stage 2's."""
        return (*(name for name in self.stage1 if name != self.refines), *self.stage2)

    def joint(self, first, second):
        """The joint distribution: `P(stage 2's class) = P(the class refined) * P(stage 2's class | it)`.

        Args:
            first: float32 tensor `(N, K1)`, stage 1's probabilities.
            second: float32 tensor `(N, K2)`, stage 2's.

        Returns:
            float32 tensor `(N, K1 - 1 + K2)`, in the order of `class_names`.
        """
        place = self.stage1.index(self.refines)
        return tf.concat(
            [first[:, :place], first[:, place + 1 :], first[:, place : place + 1] * second], axis=1
        )

    def decide(self, first, second):
        """The most probable class of the joint distribution, and what decided or why nothing did.

        A stage that is less sure of its own class than its confidence abstains; stage 2 only where the
        decision is one of its classes.

        Args:
            first: as for `joint`.
            second: as for `joint`.

        Returns:
            int32 tensors `(N,)`: the place in `class_names`, also of what is abstained from, and the place in
            `REASONS`.
        """
        chosen = tf.argmax(self.joint(first, second), axis=1, output_type=tf.int32)
        by_second = chosen >= len(self.stage1) - 1
        reason = tf.where(by_second, REASONS.index("stage2"), REASONS.index("stage1"))
        reason = tf.where(by_second & self._unsure(second, 1), REASONS.index("abstain_stage2"), reason)
        reason = tf.where(self._unsure(first, 0), REASONS.index("abstain_stage1"), reason)
        return chosen, reason

    def _unsure(self, probabilities, stage):
        least = self.confidences[stage]
        surest = tf.reduce_max(probabilities, axis=1)
        return surest < (-1.0 if least is None else least)
