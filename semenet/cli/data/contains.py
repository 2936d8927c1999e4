"""The command `semenet data contains`: copies of an image in a data set, and the images most like it."""

import pathlib
from typing import Annotated

import tyro

from semenet.cli.help.argument_types import LungsRun, Positional
from semenet.cli.progress import progress_bars
from semenet.cli.tensorflow_import import import_tensorflow
from semenet.errors import SemenetError

ManifestPath = Annotated[pathlib.Path, tyro.conf.arg(metavar="CSV"), Positional]
ImagePath = Annotated[pathlib.Path, tyro.conf.arg(metavar="IMAGE"), Positional]
NetworkPath = Annotated[pathlib.Path | None, tyro.conf.arg(name="with", metavar="RUN|ENTRY:NAME")]
_SHOWN = ("file", "label", "patient", "split")


def data_contains(
    manifest: ManifestPath,
    image: ImagePath,
    split: str = "train",
    root: pathlib.Path | None = None,
    near: float = 0.9,
    features: pathlib.Path | None = None,
    network: NetworkPath = None,
    lungs: LungsRun = None,
) -> None:
    """Prints whether an image, or a copy of it, is in a data set (yes or no), and the rows that match.

    With embeddings of the data set, it also prints the five images that are nearest to it.

    Args:
        manifest: CSV with the columns file, patient and split.
        image: Radiograph to search for.
        split: Split to search; "all" searches every split.
        root: Folder that the manifest's paths start from. None: the manifest's own folder.
        near: Similarity, 0.5 to 1, from which two images count as copies.
        features: Embeddings of the data set, written by `semenet embed`. None: no nearest images.
        network: With --features: the network that computed them. None: the one that the table names.
        lungs: With --features, for a network that needs lung masks: a U-Net, such as unet:lung.
    """
    from semenet.data.checks.copies import find_image
    from semenet.data.images.reading import read_image
    from semenet.data.manifest.table import read_manifest

    if features is None and (network is not None or lungs is not None):
        raise SemenetError(
            "--with and --lungs belong to embeddings. Received: no --features. Write them with "
            "`semenet embed`, or leave these options out."
        )
    pixels = read_image(image)
    searched = None if split == "all" else split
    with progress_bars() as progress:
        matches = find_image(
            read_manifest(manifest, root, required=()),
            pixels,
            split=searched,
            min_similarity=near,
            progress=lambda done, total: progress("Reading", done, total),
        )
    print("yes" if matches else "no")
    if not matches:
        print(f"searched {'every split' if searched is None else f'the split {searched}'}")
    for match in matches:
        print("\t".join(f"{key}={value}" for key, value in match.items() if key != "similarity"), end="\t")
        print(f"similarity={match['similarity']:.3f}")
    if features is not None:
        _print_nearest(image, features, searched, network, lungs)


def _print_nearest(
    image: pathlib.Path,
    features: pathlib.Path,
    split: str | None,
    network: pathlib.Path | None,
    lungs: pathlib.Path | None,
) -> None:
    """Prints the five images whose embeddings are nearest to that of an image."""
    import_tensorflow()
    from semenet.evaluation.probing.feature_table import read_features
    from semenet.serving.prediction.embedding_table import nearest_images

    rows, values = read_features(features)
    if split is not None and "split" in rows:
        of_split = (rows["split"] == split).to_numpy()
        rows, values = rows[of_split].reset_index(drop=True), values[of_split]
    if rows.empty:
        raise SemenetError(
            f"The nearest images are looked for among those of the split. Received: {features} without "
            f"images of {split}. Embed the whole manifest, or give another --split."
        )
    named = rows["network"].iloc[0] if network is None else network
    print(f"nearest by embeddings of {named}:")
    for _, row in nearest_images(named, image, rows, values, lungs=lungs).iterrows():
        print("\t".join(f"{name}={row[name]}" for name in _SHOWN if name in row), end="\t")
        print(f"similarity={row['similarity']:.3f}")
