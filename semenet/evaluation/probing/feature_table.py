"""Reads a table of embeddings that `semenet embed` wrote."""

import importlib.util
import os
import pathlib

import numpy as np
import pandas as pd

from semenet.errors import MissingFileError, SemenetError
from semenet.inference.embedding_columns import is_embedding_column
from semenet.storage.csv_cells import unescape_table

_NEEDED = ("file", "patient", "network", "network_sha256")


def read_features(path: str | os.PathLike) -> tuple[pd.DataFrame, np.ndarray]:
    """Reads a table of embeddings.

    Args:
        path: .parquet or .csv file, from `semenet.embed`.

    Returns:
        (rows, features): the columns that describe the images, all str; and float32 `(N, F)`.

    Raises:
        MissingFileError: the file does not exist.
        SemenetError: it is no table of embeddings, or .parquet without pyarrow.

    Example:
        >>> from semenet.evaluation.probing import read_features
        >>> semenet.embed("run", "manifest.csv", "features.csv").shape[0]
        45
        >>> rows, features = read_features("features.csv")
        >>> features.shape, rows["patient"][0]
        ((45, 256), 'normal-0000')
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise MissingFileError(
            f"Embeddings are read from an existing file. Received: {path}, which does not exist. "
            "Write it with `semenet embed`."
        )
    if path.suffix == ".parquet":
        if importlib.util.find_spec("pyarrow") is None:
            raise SemenetError(
                f"Parquet needs pyarrow, which is not installed. Received: {path}. Run "
                "pip install 'semenet[parquet]', or write a .csv file."
            )
        # Opened here, because pyarrow cannot open a path that is not UTF-8.
        with open(path, "rb") as file:
            frame = pd.read_parquet(file)
    else:
        frame = unescape_table(pd.read_csv(path, dtype=str, keep_default_na=False))
    columns = [name for name in frame.columns if is_embedding_column(name)]
    missing = [name for name in _NEEDED if name not in frame]
    if missing or not columns:
        raise SemenetError(
            "A table of embeddings has the columns file, patient, network, network_sha256, e0, e1, ... "
            f"Received: {path} without {', '.join(missing) or 'e0'}. Write it with `semenet embed`."
        )
    rows = frame.drop(columns=columns).astype(str).reset_index(drop=True)
    return rows, frame[columns].to_numpy(np.float32)
