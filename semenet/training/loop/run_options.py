"""How a run is carried out, as plain data: on which devices, and how often it saves."""

import dataclasses
from typing import Literal

from semenet.errors import SemenetError


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How a run is carried out. None of it changes what is learnt, up to rounding."""

    deterministic: bool = False
    """Let TensorFlow use only operations that give the same bits each time; a little slower."""
    checkpoint_every: int | None = None
    """Steps between checkpoints within an epoch; None: one whenever ten minutes have passed."""
    tensorboard: bool = True
    """Write TensorBoard's logs into the run folder."""
    distribute: Literal["none", "mirrored", "data_parallel"] = "none"
    """One device; "mirrored": all GPUs of one machine by TensorFlow's MirroredStrategy; "data_parallel": all
    devices of one process or of many by Keras' DataParallel on JAX (docs/cluster.md)."""
    coordinator: str | None = None
    """With data_parallel: HOST:PORT of rank 0. None: from Slurm's or Kubernetes' variables."""
    processes: int | None = None
    """With data_parallel: how many processes there are. None: from the scheduler's variables, else 1."""
    rank: int | None = None
    """With data_parallel: this process's number, from 0. None: from the scheduler's variables."""

    def __post_init__(self):
        """Checks the values.

        Raises:
            SemenetError: for one that is out of range.
        """
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise SemenetError(
                f"`checkpoint_every` must be 1 step or more. Received: {self.checkpoint_every}. "
                "Leave it out to save every ten minutes."
            )
