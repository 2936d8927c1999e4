"""Reads `.keras` files, with every custom class of the zoo known to Keras."""

import zipfile
import zlib
from pathlib import Path

import keras

from semenet.models.backbones.u_net import CropToMatch
from semenet.models.layers.fused_normalization import BatchNormalization
from semenet.models.layers.heads import ClassifierHead, SegmentationHead
from semenet.models.layers.moment_exchange import MoExModel, MomentExchange
from semenet.models.layers.zoo_model import ZooModel, as_zoo_model
from semenet.models.weights.errors import MissingWeightsError, WeightsError
from semenet.models.weights.keras_archive import check_keras_archive
from semenet.models.weights.metadata_schema import SHARDS_SCHEMA
from semenet.storage.json_files import JsonError, read_json

MODEL_FILE = "model.keras"
# What zipfile raises for damaged, encrypted or unknown parts too.
_ARCHIVE_ERRORS = (
    *(JsonError, OSError, EOFError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
# Keras' messages may repeat a whole configuration.
_SHOWN = 600
CUSTOM_OBJECTS = {
    item.__name__: item
    for item in (
        BatchNormalization,
        ClassifierHead,
        CropToMatch,
        MoExModel,
        MomentExchange,
        SegmentationHead,
        ZooModel,
    )
}


def load_keras_file(path: Path | str) -> keras.Model:
    """Loads a network from a `.keras` file.

    The loss, the metrics and the optimizer that the file may hold are not loaded: a prediction does not need
    them, and they may be of classes that are not known here.

    Args:
        path: a `.keras` file, or a run folder (its `model.keras`, the best epoch).

    Returns:
        `keras.Model`, not compiled. `model.class_names` holds its classes, in the order of the outputs, if
        the network ends in a head of the zoo.

    Raises:
        MissingWeightsError: there is no such file.
        WeightsError: it is not a complete `.keras` file, or this Keras cannot read it.
    """
    path = Path(path)
    file = path / MODEL_FILE if path.is_dir() else path
    if not file.exists():
        missing = f"{path} has no {MODEL_FILE}" if path.is_dir() else f"{path} does not exist"
        raise MissingWeightsError(
            f"A network is loaded from a .keras file or from a run folder that holds {MODEL_FILE}. "
            f"Received: {missing}. Train to the end of an epoch first, or check the path."
        )
    if not zipfile.is_zipfile(file):
        raise WeightsError(
            f"A .keras file must be a complete zip archive. Received: {file}, {file.stat().st_size} "
            "bytes, which is not one. Copy it again, or train again."
        )
    try:
        check_keras_archive(file)
    except _ARCHIVE_ERRORS as error:
        raise WeightsError(
            "A .keras file must be the archive of a network that Keras wrote. "
            f"Received: {file}: {str(error) or type(error).__name__}. Copy it again, or train again."
        ) from error
    try:
        model = keras.models.load_model(file, custom_objects=CUSTOM_OBJECTS, compile=False)
    # A configuration of another program or version can raise anything in Keras' own code.
    except Exception as error:
        raise WeightsError(
            f"A .keras file must be one that this Keras ({keras.__version__}) can read. "
            f"Received: {file}. Keras says: {type(error).__name__}: {str(error)[:_SHOWN]}"
        ) from error
    # Files of earlier versions hold a plain model.
    return as_zoo_model(model)


def load_weights_file(model: keras.Model, path: Path) -> None:
    """Loads a `.weights.h5` file, or a `.weights.json` file, which must name files of its own folder.

    Raises:
        JsonError: the `.weights.json` file cannot be used.
        OSError: as Keras, which raises other built-in errors too.
    """
    if path.suffix == ".json":
        read_json(path, SHARDS_SCHEMA)
    model.load_weights(path)
