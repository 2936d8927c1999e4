"""Loads a trained network: a `.keras` file, a run folder, or published weights by name."""

from pathlib import Path

import keras

from semenet.models.catalog import build
from semenet.models.entries import CATALOG
from semenet.models.weights.errors import MissingWeightsError
from semenet.models.weights.keras_files import load_keras_file
from semenet.models.weights.published import parse_published_name, published_names, require_published


def load_model(path: str | Path) -> keras.Model:
    """Loads a trained network.

    Args:
        path: a `.keras` file; a run folder (its `model.keras`, the best epoch); or `ENTRY:NAME`, such as
            "unet:lung", for published weights.

    Returns:
        `keras.Model`, not compiled. `model.class_names` holds its classes, in the order of the outputs, if
        the network ends in a head of the zoo.

    Raises:
        MissingWeightsError: there is no such file, and there are no such published weights.
        WeightsError: the file cannot be read, or differs from what was published.
        MetadataError: the metadata of published weights cannot be used.
        NoWeightsError: only metrics are published under this name.
        FetchError: published weights cannot be fetched.

    Example:
        >>> import semenet
        >>> model = semenet.load_model("run")
        >>> model.name, model.class_names
        ('seme_resnet50', ('normal', 'bacteria', 'virus'))
        >>> semenet.load_model("unet:lung").output_shape
        (None, 256, 256, 1)
    """
    if (name := parse_published_name(path)) is not None:
        published = require_published(*name)
        return build(published.entry, weights=published.name)
    if not Path(path).exists():
        sets = [f"{path}:{name}" for name in published_names(path)] if path in CATALOG else []
        remedy = f"give one of {', '.join(sets)}" if sets else "see the published weights with `semenet list`"
        raise MissingWeightsError(
            "A network is loaded from a .keras file, a run folder, or published weights given as ENTRY:NAME. "
            f"Received: {path}, which does not exist. Check the path, or {remedy}."
        )
    return load_keras_file(path)
