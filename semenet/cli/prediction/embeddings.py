"""The commands `embed` and `probe`."""

import pathlib
from typing import Annotated

import tyro

from semenet.cli.help.argument_types import LungsRun, Positional, RunPath
from semenet.cli.tensorflow_import import import_tensorflow


def embed(
    run: RunPath,
    manifest: Annotated[pathlib.Path, tyro.conf.arg(metavar="MANIFEST"), Positional],
    out: pathlib.Path,
    split: str | None = None,
    root: pathlib.Path | None = None,
    lungs: LungsRun = None,
    batch_size: int = 16,
) -> None:
    """Writes the embedding of every image of a manifest: the mean of the network's last feature map.

    If the process is killed, the same command resumes it, and ends with the same table to the bit.

    Args:
        run: Run folder, .keras file, or ENTRY:NAME of published weights, of a classifier.
        manifest: CSV with the columns file and patient.
        out: Table to write, .parquet or .csv.
        split: The split to embed. None: all rows.
        root: Folder that the manifest's paths are relative to. None: the manifest's own.
        lungs: For a network that needs lung masks: a U-Net, such as unet:lung. None: the manifest's masks.
        batch_size: Images per step; the last bits of an embedding depend on it.
    """
    import_tensorflow()
    from semenet.inference.embedding_columns import is_embedding_column
    from semenet.serving.prediction.embedding_table import embed as embed_manifest

    table = embed_manifest(run, manifest, out, split=split, root=root, lungs=lungs, batch_size=batch_size)
    width = sum(map(is_embedding_column, table.columns))
    print(f"{len(table)} images of {table['patient'].nunique()} patients, {width} features of each.")
    print(out)


def probe(
    features: Annotated[pathlib.Path, tyro.conf.arg(metavar="FEATURES"), Positional],
    label: str = "label",
    split: str | None = None,
    folds: int = 5,
    resamples: int = 2000,
    seed: int = 0,
    out: pathlib.Path | None = None,
) -> None:
    """Measures how well a logistic regression on embeddings predicts a column, on patients it has not seen.

    Args:
        features: Table that `semenet embed` wrote.
        label: The column to predict.
        split: The split whose images are used. None: all.
        folds: Number of folds of whole patients.
        resamples: Bootstrap resamples of the patients, for the intervals.
        seed: Seed of the folds.
        out: JSON file to write the metrics to. None: only print.
    """
    import json

    from semenet.evaluation.probing.embedding_probe import probe as probe_features
    from semenet.evaluation.probing.embedding_probe import probe_lines
    from semenet.storage.atomic import output_file, write_text

    if out is not None:
        output_file(out)
    found = probe_features(features, label, split=split, folds=folds, resamples=resamples, seed=seed)
    if out is not None:
        write_text(out, json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    print("\n".join(probe_lines(found)))
    if out is not None:
        print(out)


EMBEDDING_COMMANDS = {"embed": embed, "probe": probe}
