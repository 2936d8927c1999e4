"""Computes the embeddings of the images of a manifest, as a table that a killed process can resume."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.inference.embedding_columns import embedding_columns, is_embedding_column
from semenet.inference.embeddings import check_embeds, embed_rows, embedding_network
from semenet.inference.lung_masks import LungMasks
from semenet.serving.prediction.embedding_journal import EmbeddingJournal
from semenet.serving.prediction.table_files import check_table_file, write_table
from semenet.storage.atomic import output_file
from semenet.training.run_folder.run import Run

if TYPE_CHECKING:
    import keras

# Where the images lie on this machine is no part of the table.
_PATHS = ("path", "mask_path")


def embed(
    network: Run | keras.Model | str | os.PathLike,
    manifest: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    split: str | None = None,
    root: str | os.PathLike | None = None,
    lungs: Run | keras.Model | str | os.PathLike | None = None,
    batch_size: int = 16,
) -> pd.DataFrame:
    """Computes the embeddings of the images of a manifest: numbers of each image for another classifier.

    An embedding is the mean over all positions of the network's last feature map. If the process is killed,
    the same call resumes it, and ends with the same table to the bit.

    Args:
        network: a classifier: a run folder, a `.keras` file, `ENTRY:NAME` of published weights, a `Run` or a
            network in memory.
        manifest: path of the manifest's CSV, with the columns file and patient.
        out: table to write, .parquet (with the extra parquet) or .csv; or None.
        split: the split to embed; None for all rows.
        root: the folder that the manifest's paths are relative to; None for the CSV's own.
        lungs: for a network that needs lung masks: a U-Net that segments them; None for the manifest's masks.
        batch_size: images per batch. The last bits of an embedding depend on it.

    Returns:
        The table: the columns of the manifest; `network` and `network_sha256`; and float32 `e0`, `e1`, ...

    Raises:
        ManifestError: the manifest cannot be used, or has no such split.
        ImageError: an image or mask cannot be read.
        WeightsError: the network cannot be loaded.
        OutputError: the table cannot be written, or an unfinished one was begun with something else.
        SemenetError: the network is a segmentation network, a mask is needed and missing, the table's name
            has another ending, or an embedding is not finite.

    Example:
        >>> table = semenet.embed("run", "manifest.csv", "features.csv", split="test")
        >>> table.columns[-1], table["e0"].dtype
        ('e255', dtype('float32'))
    """
    if batch_size < 1:
        raise SemenetError(f"`batch_size` must be 1 or more. Received: {batch_size}. The default is 16.")
    file = None if out is None else output_file(out)
    if file is not None:
        check_table_file(file, "embeddings")
    run = Run.open(network)
    check_embeds(run)
    masks = LungMasks.open(lungs if run.needs_lungs else None)
    table = read_manifest(manifest, root, required=(), require_split=split is not None)
    rows = table.rows if split is None else table.split(split)
    rows = rows.reset_index(drop=True)
    if run.needs_lungs:
        masks.check_available(rows)
    sha256 = run.sha256
    work = {
        "network_sha256": sha256,
        "lungs_sha256": masks.run and masks.run.sha256,
        "images_sha256": _stamp(rows),
    }
    width = embedding_network(run.model).output_shape[-1]
    with EmbeddingJournal(file, work, len(rows), batch_size, width) as journal:
        rest = rows.iloc[sum(map(len, journal.batches)) :].reset_index(drop=True)
        if len(rest):
            for batch in embed_rows(run, rest, masks, batch_size):
                journal.add(batch)
    features = pd.DataFrame(np.concatenate(journal.batches), columns=embedding_columns(width))
    described = rows.drop(columns=[name for name in _PATHS if name in rows])
    described = described.drop(columns=[name for name in described if is_embedding_column(name)])
    described = described.assign(network=run.name, network_sha256=sha256)
    frame = pd.concat([described, features], axis=1)
    if file is not None:
        write_table(frame, file)
    journal.remove()
    return frame


def _stamp(rows: pd.DataFrame) -> str:
    """Returns a hash that changes with the rows, their files and their masks."""
    digest = hashlib.sha256()
    for column in ("file", *_PATHS):
        for path in rows.get(column, ()):
            digest.update(f"{path}|{_file_state(path) if column in _PATHS else ''}\n".encode())
    return digest.hexdigest()


def _file_state(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_size}|{status.st_mtime_ns}"


def nearest_images(
    network: Run | keras.Model | str | os.PathLike,
    image: str | os.PathLike,
    table: pd.DataFrame,
    features: np.ndarray,
    *,
    lungs: Run | keras.Model | str | os.PathLike | None = None,
    count: int = 5,
) -> pd.DataFrame:
    r"""Finds the images of a table of embeddings that are nearest to an image.

    Args:
        network: the network that computed the embeddings.
        image: path of the image.
        table: the table of `semenet.embed`, or its rows of one split.
        features: float `(N, F)`, the embeddings of these rows.
        lungs: for a network that needs lung masks: a U-Net that segments them.
        count: number of images.

    Returns:
        The nearest rows, without their embeddings, and their cosine `similarity` in [-1, 1], nearest first.

    Raises:
        ImageError: the image cannot be read.
        SemenetError: the embeddings are of another network.

    Example:
        >>> table = semenet.embed("run", "manifest.csv")
        >>> features = table.filter(regex=r"^e\d+$").to_numpy()
        >>> semenet.serving.nearest_images("run", "images/000003.png", table, features)["file"][0]
        'images/000003.png'
    """
    run = Run.open(network)
    check_embeds(run)
    made_by = set(table["network_sha256"])
    if made_by != {run.sha256}:
        raise SemenetError(
            "An image is compared with embeddings of the same network. "
            f"Received: {run.name}, and embeddings of {', '.join(sorted(set(table['network'])))}. Give that "
            "network, or embed the images again."
        )
    masks = LungMasks.open(lungs if run.needs_lungs else None)
    row = pd.DataFrame({"file": [str(image)], "path": [str(image)], "patient": [""], "split": [""]})
    (found,) = embed_rows(run, row, masks, 1)
    similarity = _unit(features) @ _unit(found)[0]
    order = np.argsort(-similarity, kind="stable")[:count]
    shown: Iterable[str] = [name for name in table.columns if not is_embedding_column(name)]
    return table.iloc[order][shown].assign(similarity=similarity[order]).reset_index(drop=True)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
