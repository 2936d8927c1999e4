"""Scores radiographs on disk with a network or a cascade, whichever is given."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from semenet.errors import SemenetError
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.cascade.saved_cascade import is_cascade
from semenet.serving.prediction.cascade_predictions import predict_cascade
from semenet.serving.prediction.network_predictions import BATCH_SIZE, predict_network

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from semenet.training.run_folder.run import Run


def predict(
    network: Cascade | Run | keras.Model | str | os.PathLike,
    images: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike | None = None,
    *,
    on_error: Literal["raise", "skip"] | None = None,
    batch_size: int = BATCH_SIZE,
    tta: int = 1,
    lungs: Run | keras.Model | str | os.PathLike | None = None,
    maps: str | os.PathLike | None = None,
    map_choice: MapChoice = DEFAULT_MAPS,
    gated: bool | None = None,
    dicom_out: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Scores image files with a network or a cascade.

    `predict_network` and `predict_cascade` describe the tables in detail.

    Args:
        network: a network: a built model, a `Run`, the path of a run folder or `.keras` file, or `ENTRY:NAME`
            of published weights. Or a cascade, or the folder of a saved one.
        images: one path or several, files or folders (searched recursively), of PNG, JPEG, TIFF, BMP or
            DICOM.
        out: table to write, or None: a CSV, and for a cascade also .parquet. With a saved cascade, the same
            call resumes after a process was killed.
        on_error: for a network only. "raise" (the default) stops at the first unreadable file; "skip"
            omits such files and lists them. A cascade always continues and marks such files in the table.
        batch_size: images per step.
        tta: for a network only: the number of test-time augmentation views to average; 1 uses the image
            alone.
        lungs: for a network that needs lung masks: a segmentation network that finds them.
        maps: folder for heat maps of the predicted classes, for a cascade those of both stages; or None.
            Each image gets `<stem>_heatmap.png` and `<stem>_overlay.png`, and `maps.csv` lists them.
        map_choice: the method and the layer of the heat maps.
        gated: for a network only: whether to reject images that are not upright frontal radiographs (the
            default), or to answer and only flag them. A saved cascade knows itself.
        dicom_out: for a cascade only: folder for DICOM objects about the DICOM images among the files: a
            Structured Report, a Segmentation of the lungs, and captures of the heat maps.

    Returns:
        One row per image: `file`, one column of probabilities per class, `predicted` and `input_flags`, the
        codes of the input gate; a rejected image has "rejected" and 0 for every class. A cascade adds
        `reason` and `lung_flags`. For a segmentation network: `file`, the share of the image that belongs to
        the class, `mask` and `input_flags`.

    Raises:
        ImageError: a path does not exist, a folder has no image, or a file cannot be read.
        WeightsError: the network cannot be loaded.
        CascadeError: the cascade is not complete.
        OutputError: the table cannot be written.
        SemenetError: an argument is invalid, or a network returns NaN.

    Example:
        >>> table = semenet.predict("run", "images")
        >>> table.columns.tolist()
        ['file', 'normal', 'bacteria', 'virus', 'predicted', 'input_flags']
        >>> len(table)
        45
        >>> table = semenet.predict("cascade", "images", "predictions.csv")
        >>> table.columns.tolist()[-4:]
        ['predicted', 'reason', 'input_flags', 'lung_flags']
    """
    if isinstance(network, Cascade) or (isinstance(network, str | os.PathLike) and is_cascade(network)):
        if (on_error, tta, lungs, gated) != (None, 1, None, None):
            name = "a Cascade" if isinstance(network, Cascade) else os.fspath(network)
            raise SemenetError(
                "A cascade has its own segmentation network and input gate, uses each image once, and "
                f"continues after unreadable files. Received: {name} with --on-error, --tta, --lungs or "
                "--no-gate. Remove these options; `semenet cascade --no-gate` makes one without the gate."
            )
        return predict_cascade(
            network,
            images,
            out,
            batch_size=batch_size,
            maps=maps,
            map_choice=map_choice,
            dicom_out=dicom_out,
        )
    if dicom_out is not None:
        raise SemenetError(
            f"DICOM results are those of a cascade. Received: --dicom-out {os.fspath(dicom_out)} with one "
            "network. Give a cascade's folder; `semenet cascade` makes one."
        )
    return predict_network(
        network,
        images,
        out,
        on_error=on_error or "raise",
        batch_size=batch_size,
        tta=tta,
        lungs=lungs,
        maps=maps,
        map_choice=map_choice,
        gated=gated is not False,
    )
