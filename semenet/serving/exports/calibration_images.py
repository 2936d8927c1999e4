"""Images for the calibration of an int8 network: they determine the ranges of its values."""

import pathlib

import numpy as np
import pandas as pd

from semenet.data.images.listing import list_images
from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.inference.lung_masks import LungMasks
from semenet.storage.file_names import shown_name
from semenet.training.run_folder.run import Run

COUNT = 200
SPLIT = "train"
_BATCH_SIZE = 16


def calibration_images(source: pathlib.Path | str, run: Run, count: int = COUNT) -> np.ndarray:
    """Reads images as the inputs of a network.

    Args:
        source: a manifest's CSV, whose split `train` is used (with lung masks if the network needs the
            lungs); or a folder of images.
        run: the network's run.
        count: largest number of images; they are evenly spaced over those available.

    Returns:
        uint8 array `(n, H, W, C)` in [0, 255].

    Raises:
        ManifestError: the manifest cannot be used, or does not have the split.
        ImageError: an image cannot be read, or the folder has none.
        SemenetError: the network needs the lungs, and there are no masks.
    """
    source = pathlib.Path(source)
    if source.is_dir():
        if run.needs_lungs:
            raise SemenetError(
                "A network that needs lung masks must be calibrated on a manifest with lung masks. "
                f"Received: {source}, a folder. Give a CSV; `semenet masks` computes the masks."
            )
        files = list_images([source])
        names = [shown_name(file) for file in files]
        # Objects, because pyarrow's strings cannot hold a path that is not UTF-8.
        rows = pd.DataFrame({"file": names, "path": pd.Series(map(str, files), dtype=object)})
    else:
        rows = read_manifest(source, required=("mask",) if run.needs_lungs else ()).split(SPLIT)
    positions = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    chosen = rows.iloc[positions].reset_index(drop=True)
    return np.concatenate(list(LungMasks().network_inputs(chosen, run, _BATCH_SIZE)))
