"""A run folder: what a training run leaves behind, and how later steps read it."""

import dataclasses
import functools
import importlib.metadata
import json
import pathlib
import platform

import pandas as pd

from semenet.errors import SemenetError
from semenet.models.loading import WeightsError, load_model
from semenet.training.recipe import Recipe

MODEL = "model.keras"
LAST_WEIGHTS = "last.weights.h5"
RECIPE = "recipe.json"
RECORD = "run.json"
HISTORY = "history.csv"
TIMINGS = "timings.csv"
CHECKPOINT = "checkpoints/last.npz"
TENSORBOARD = "tensorboard"
WRITTEN = (MODEL, LAST_WEIGHTS, RECIPE, RECORD, HISTORY, TIMINGS)
PACKAGES = ("semenet", "keras", "tensorflow", "numpy", "opencv-python-headless", "scikit-learn")


class RunFolderError(SemenetError):
    """A run folder cannot take this run: it is another run's, somebody's data, or broken."""


def read_record(folder):
    """The dict of a run folder's run.json.

    Raises:
        RunFolderError: if there is none, or it is broken.
    """
    path = pathlib.Path(folder) / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        needed = {"status", "manifest_sha256"}
        if record["status"] == "finished":
            needed |= {"best", "best_epoch"}
        if missing := needed - set(record):
            raise KeyError(*missing)
        return record
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"A run folder with {RECIPE} also holds a whole {RECORD}. Received: {path}: {error}. "
            "Train anew into another folder."
        ) from error


def versions():
    """dict of the versions that figures depend on, Python's and the packages'."""
    packages = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {"python": platform.python_version()} | packages


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained network and what is known of its training.

    Attributes:
        path: the run folder, or a bare `.keras` file.
        recipe: `Recipe`, or None for a bare file.
        record: dict of run.json (manifest and its hash, versions, command); empty for a bare file.
        history: DataFrame of history.csv, a row an epoch, or None.
    """

    path: pathlib.Path
    recipe: Recipe | None = None
    record: dict = dataclasses.field(default_factory=dict)
    history: pd.DataFrame | None = None

    @classmethod
    def open(cls, path):
        """Opens a run folder or a `.keras` file. The network is loaded when first used.

        Raises:
            WeightsError: if there is neither; RecipeError for a broken recipe.json.
        """
        path = pathlib.Path(path)
        if not (path.is_file() or (path / MODEL).is_file()):
            raise WeightsError(
                f"A run is a folder that holds {MODEL}, or a .keras file. Received: {path}, which is "
                f"neither. Check the path; a run has {MODEL} once its first epoch has ended."
            )
        if path.is_file() or not (path / RECIPE).is_file():
            return cls(path)
        history = path / HISTORY
        return cls(
            path,
            Recipe.from_json((path / RECIPE).read_text(encoding="utf-8")),
            read_record(path),
            pd.read_csv(history) if history.is_file() else None,
        )

    @functools.cached_property
    def model(self):
        """The network, `keras.Model` with `class_names`.

        Raises:
            WeightsError: if the file cannot be read, or its network ends in no head of the zoo, or in one
                that gives logits.
        """
        model = load_model(self.path)
        if not hasattr(model, "class_names"):
            raise WeightsError(
                "A network that is evaluated, explained or exported ends in the zoo's `head`, which "
                f"names its classes. Received: {self.path}, whose last layer is {model.layers[-1].name}. "
                "Build it with semenet.build."
            )
        activation = model.get_layer("head").activation.__name__
        if activation not in ("softmax", "sigmoid"):
            raise WeightsError(
                "A network that is evaluated, explained or exported gives probabilities: its head has "
                f"softmax or sigmoid. Received: {self.path}, whose head is {activation}. Build it with "
                "activation='softmax' and weights of this file."
            )
        return model

    @property
    def class_names(self):
        """tuple of str, in the order of the outputs."""
        return self.model.class_names

    @property
    def input_size(self):
        """`(height, width)` in pixels; 512 where the network takes any."""
        return tuple(side or 512 for side in self.model.input_shape[1:3])

    @property
    def channels(self):
        """1 or 3."""
        return self.model.input_shape[-1]

    @property
    def inference_clahe(self):
        """bool, whether images get CLAHE before the network, as its head has it."""
        return self.model.get_layer("head").inference_clahe

    @property
    def segments(self):
        """bool, whether the network gives masks `(N, H, W, K)` and not class probabilities `(N, K)`."""
        return len(self.model.output_shape) == 4
