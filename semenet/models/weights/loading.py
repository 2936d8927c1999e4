"""Loads a saved network, with every custom class of the zoo known."""

import pathlib
import zipfile

import keras

from semenet.errors import SemenetError
from semenet.models.backbones.u_net import CropToMatch
from semenet.models.layers.heads import ClassifierHead, SegmentationHead
from semenet.models.layers.moment_exchange import MoExModel, MomentExchange

CUSTOM_OBJECTS = {
    item.__name__: item for item in (ClassifierHead, CropToMatch, MoExModel, MomentExchange, SegmentationHead)
}


class WeightsError(SemenetError):
    """A file of weights, or a saved model, cannot be found, read or used."""


def load_model(path):
    """Loads a trained network.

    Args:
        path: a `.keras` file, or a run folder (its `model.keras`, the best epoch).

    Returns:
        `keras.Model` as it was saved, compiled if it was; `model.class_names` holds its classes, in the
        order of the outputs, where it ends in a head of the zoo.

    Raises:
        WeightsError: if there is no such file, or it is no complete `.keras` file.
    """
    path = pathlib.Path(path)
    file = path / "model.keras" if path.is_dir() else path
    if not file.exists():
        raise WeightsError(
            "A model is loaded from a .keras file or from a run folder that holds model.keras. "
            f"Received: {path}, where there is no {file.name}. Train to the end of an epoch first, "
            "or check the path."
        )
    if not zipfile.is_zipfile(file):
        raise WeightsError(
            f"A .keras file must be a complete zip archive. Received: {file}, {file.stat().st_size} "
            "bytes, which is none. Copy or train it again."
        )
    try:
        model = keras.models.load_model(file, custom_objects=CUSTOM_OBJECTS)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"A .keras file must be one that this Keras ({keras.__version__}) can read. "
            f"Received: {file}. Keras says: {error}"
        ) from error
    head = next((layer for layer in model.layers if layer.name == "head"), None)
    if hasattr(head, "class_names"):
        model.class_names = head.class_names
    return model
