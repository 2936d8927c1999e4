"""Images by which the ranges of an int8 network's values are found."""

import pathlib

import numpy as np
import pandas as pd

from semenet.data.images.listing import list_images
from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.inference.lung_masks import LungMasks
from semenet.storage.file_names import shown_name

COUNT = 200
SPLIT = "train"
_BATCH = 16


def calibration_images(source, run, count=COUNT):
    """Reads images as a network is fed them.

    Args:
        source: a manifest's CSV, of which the split `train` is taken (with lung masks for a network that is
            fed lungs alone); or a folder of images.
        run: `semenet.training.run_folder.run.Run`.
        count: int, how many to take at most: evenly spaced over what there is.

    Returns:
        uint8 array `(n, H, W, C)` in [0, 255].

    Raises:
        ManifestError: the manifest cannot be used, or has no such split.
        ImageError: an image cannot be read, or a folder has none.
        SemenetError: the network is fed lungs alone, and there are no masks.
    """
    source = pathlib.Path(source)
    if source.is_dir():
        if run.lungs_alone:
            raise SemenetError(
                "A network that is fed lungs alone is calibrated on a manifest with a lung mask for every "
                f"image. Received: {source}, a folder. Give a CSV; `semenet masks` finds the masks."
            )
        files = list_images([source])
        names = [shown_name(file) for file in files]
        # Objects: the strings of pyarrow hold no path that is not UTF-8.
        rows = pd.DataFrame({"file": names, "path": pd.Series(map(str, files), dtype=object)})
    else:
        rows = read_manifest(source, required=("mask",) if run.lungs_alone else ()).split(SPLIT)
    places = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    return np.concatenate(
        list(LungMasks().network_inputs(rows.iloc[places].reset_index(drop=True), run, _BATCH))
    )
