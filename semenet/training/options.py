"""Options of a run that are no part of its recipe, as plain data that loads no TensorFlow."""

import dataclasses
import pathlib
from typing import Any, Literal

from semenet.errors import SemenetError


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """How a run reads its data. No option changes the pixels of a batch.

    Example:
        >>> options = semenet.training.DataOptions(on_error="skip", cache="memory")
        >>> options.skip_at_most
        0.05
    """

    on_error: Literal["raise", "skip"] = "raise"
    """What to do with files that cannot be read: "raise" stops at the first one; "skip" tries all files
    before training and leaves the unreadable ones out. run.json lists them."""
    skip_at_most: float = 0.05
    """With --on-error skip: the largest share of a split's rows that may be left out."""
    allow_patient_overlap: bool = False
    """Train although patients occur in two splits, which makes all metrics too high; run.json lists them."""
    cache: Literal["none", "memory", "disk"] = "none"
    """Where decoded and resized images are stored from the first epoch on."""
    cache_folder: pathlib.Path | None = None
    """Folder of a cache on disk, which later runs may share. It is never deleted."""

    @property
    def cache_arguments(self) -> dict[str, Any]:
        """The cache as keyword arguments of the pipeline's functions: `cache` and `cache_folder`."""
        return {"cache": None if self.cache == "none" else self.cache, "cache_folder": self.cache_folder}


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How a run is carried out. No option changes the result, except for rounding.

    Raises:
        SemenetError: a value is out of range.

    Example:
        >>> semenet.training.RunOptions(checkpoint_every=0)
        Traceback (most recent call last):
        ...
        semenet.errors.SemenetError: `checkpoint_every` must be 1 step or more. Received: 0. ...
    """

    deterministic: bool = False
    """Use only TensorFlow operations that give the same bits each time; slightly slower."""
    checkpoint_every: int | None = None
    """Steps between two checkpoints within an epoch; None: a checkpoint every ten minutes."""
    tensorboard: bool = True
    """Write TensorBoard event files into the run folder."""
    distribute: Literal["none", "mirrored", "data_parallel"] = "none"
    """"none": one device; "mirrored": all GPUs of one machine with TensorFlow's MirroredStrategy;
    "data_parallel": the devices of all processes with Keras' DataParallel on JAX (docs/cluster.md)."""
    coordinator: str | None = None
    """With data_parallel: HOST:PORT of rank 0. None: from the variables of Slurm or Kubernetes."""
    processes: int | None = None
    """With data_parallel: the number of processes. None: from the scheduler's variables, else 1."""
    rank: int | None = None
    """With data_parallel: the number of this process, from 0. None: from the scheduler's variables."""

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise SemenetError(
                f"`checkpoint_every` must be 1 step or more. Received: {self.checkpoint_every}. "
                "Leave it out for a checkpoint every ten minutes."
            )
