"""How a run treats its data, as plain data: the command line names it before TensorFlow is loaded."""

import dataclasses
import pathlib
from typing import Literal


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """How a run treats its data. None of it changes the pixels of a batch."""

    on_error: Literal["raise", "skip"] = "raise"
    """Stop at a file that cannot be read, or try all files first and leave such out; run.json lists them."""
    skip_at_most: float = 0.05
    """With --on-error skip: the share of a split's rows that may be left out."""
    allow_patient_overlap: bool = False
    """Train although patients stand in two splits, which flatters every figure; run.json says so."""
    cache: Literal["none", "memory", "disk"] = "none"
    """Where decoded and resized images are kept from the first epoch on."""
    cache_folder: pathlib.Path | None = None
    """Folder of a cache on disk, which later runs may share; nothing deletes it."""

    @property
    def cache_arguments(self):
        """The cache as arguments of the pipeline's functions."""
        return {"cache": None if self.cache == "none" else self.cache, "cache_folder": self.cache_folder}
