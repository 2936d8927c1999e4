"""A run folder: what a training run leaves behind, and how later steps read it."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import platform
from typing import TYPE_CHECKING

import pandas as pd

from semenet.errors import SemenetError, WrongTypeError
from semenet.models.loading import load_model
from semenet.models.weights.errors import WeightsError
from semenet.models.weights.published import PublishedSet, parse_published_name, require_published
from semenet.storage.hashing import file_sha256
from semenet.training.recipe import Recipe

if TYPE_CHECKING:
    import keras

MODEL = "model.keras"
LAST_WEIGHTS = "last.weights.h5"
RECIPE = "recipe.json"
RECORD = "run.json"
HISTORY = "history.csv"
TIMINGS = "timings.csv"
CHECKPOINT = "checkpoints/last.npz"
CALIBRATION = "calibration.json"
TENSORBOARD = "tensorboard"
WRITTEN = (MODEL, LAST_WEIGHTS, RECIPE, RECORD, HISTORY, TIMINGS)
PACKAGES = ("semenet", "keras", "tensorflow", "numpy", "opencv-python-headless", "scikit-learn")
# What tells other folders of semenet by a file in them: what they are, and who takes them.
_OTHER_FOLDERS = {
    "cascade.json": (
        "a cascade: `semenet predict` and `semenet export` take it. Give the run of one of its networks, "
        "or, to evaluate or explain it, its .keras file in this folder."
    ),
    "saved_model.pb": (
        "a SavedModel: `semenet serve` takes it. Give the run or the cascade that it was exported from."
    ),
}


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


def model_file(path):
    """`pathlib.Path` of the network: a run folder's, or a bare `.keras` file itself."""
    path = pathlib.Path(path)
    return path / MODEL if path.is_dir() else path


def calibration_file(path):
    """Where the calibration of a network stands, or would stand.

    Args:
        path: a run folder, or a bare `.keras` file.

    Returns:
        `pathlib.Path`: `calibration.json` in the run folder, also for the folder's own `model.keras`;
        `<stem>.calibration.json` beside a file that stands alone.
    """
    file = model_file(path)
    in_run = file.name == MODEL and file.with_name(RECIPE).is_file()
    return file.with_name(CALIBRATION if in_run else f"{file.stem}.{CALIBRATION}")


def read_calibration(path):
    """What `semenet.evaluation.measure.calibration.calibrate` wrote of a network.

    Args:
        path: a run folder, or a bare `.keras` file.

    Returns:
        dict of its calibration.json; None where there is none.

    Raises:
        RunFolderError: if it is broken, or of another network than the one there now.
    """
    file = calibration_file(path)
    if not file.exists():
        return None
    try:
        calibration = json.loads(file.read_text(encoding="utf-8"))
        temperature, model_sha256 = float(calibration["temperature"]), calibration["model_sha256"]
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature {temperature}")
        if not isinstance(calibration["operating_points"], dict):
            raise TypeError("operating_points")
        if missing := {"split", "count", "manifest_sha256"} - set(calibration):
            raise KeyError(*sorted(missing))
        abstain = calibration["abstain"]
        if abstain is not None:
            shares = {name: abstain[name] for name in ("target_accuracy", "confidence")}
            # NaN is in no range either: nothing would be less sure than that.
            if not all(isinstance(share, (int, float)) and 0 <= share <= 1 for share in shares.values()):
                raise ValueError(f"abstain {shares}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            "A calibration is whole JSON with a temperature above 0, model_sha256, operating_points and "
            f"abstain. Received: {file}: {error!r}. Run `semenet calibrate` again, or delete the file: then "
            "the temperature is 1, and nothing is abstained from."
        ) from error
    if model_sha256 != file_sha256(model_file(path)):
        raise RunFolderError(
            f"A calibration holds for the network it was made of. Received: {file}, made before "
            f"{model_file(path).name} was written anew, as by a training that went on. "
            "Run `semenet calibrate` again, or delete the file."
        )
    return calibration


def versions():
    """dict of the versions that figures depend on, Python's and the packages'."""
    packages = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {"python": platform.python_version()} | packages


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained network and what is known of its training.

    Attributes:
        path: the run folder, a bare `.keras` file, or the folder of published weights; None for a network in
            memory.
        recipe: `Recipe`, or None for a bare file.
        record: dict of run.json (manifest and its hash, versions, command); empty for a bare file.
        history: DataFrame of history.csv, a row an epoch, or None.
        published: `semenet.models.weights.published.PublishedSet`, or None for what is not of the zoo.
        built: a network in memory; None for a network that is loaded from `path`.
    """

    path: pathlib.Path | None
    recipe: Recipe | None = None
    record: dict = dataclasses.field(default_factory=dict)
    history: pd.DataFrame | None = None
    published: PublishedSet | None = None
    built: "keras.Model | None" = None

    @classmethod
    def open(cls, network):
        """Opens a run folder, a `.keras` file, or published weights. The network is loaded when first used.

        Args:
            network: the folder or file; or `ENTRY:NAME`, such as "unet:lung", for published weights. A `Run`
                is returned unchanged, and a model is wrapped by `from_model`.

        Raises:
            WrongTypeError: `network` is something else.
            WeightsError: if there is none of these; RecipeError for a broken recipe.json.
            MetadataError: a metadata.json of the zoo cannot be used.
            FetchError: published weights cannot be fetched.
        """
        if isinstance(network, Run):
            return network
        if not isinstance(network, str | os.PathLike):
            return cls.from_model(network)
        if (name := parse_published_name(network)) is not None:
            return cls._of_the_zoo(*name)
        path = pathlib.Path(network)
        if not (path.is_file() or (path / MODEL).is_file()):
            nothing = f"none of them. Check the path; a run has {MODEL} once its first epoch has ended."
            what = next((what for name, what in _OTHER_FOLDERS.items() if (path / name).is_file()), nothing)
            raise WeightsError(
                f"A run is a folder that holds {MODEL}, a .keras file, or ENTRY:NAME of published weights. "
                f"Received: {path}, which is {what}"
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

    @classmethod
    def from_model(cls, model: "keras.Model") -> "Run":
        """Wraps a network in memory, without recipe, record or calibration.

        Args:
            model: a network that `semenet.build` or `semenet.load_model` returned.

        Raises:
            WrongTypeError: `model` is not a `keras.Model`.
        """
        import keras

        if not isinstance(model, keras.Model):
            raise WrongTypeError(
                "A network is a keras.Model, a Run, the path of a run folder or .keras file, or ENTRY:NAME "
                f"of published weights. Received: {model!r} of type {type(model).__name__}."
            )
        return cls(None, built=model)

    @classmethod
    def _of_the_zoo(cls, entry, name):
        published = require_published(entry, name)
        # Of a set that somebody wrote by hand it need not be known how it was trained.
        training = published.metadata.get("training")
        if training is None:
            return cls(published.folder, published=published)
        record = {"command": training["command"], "manifest_sha256": training["manifest_sha256"]}
        recipe = Recipe.from_json(json.dumps(training["recipe"]))
        return cls(published.folder, recipe, record, published=published)

    @property
    def name(self):
        """str, how a command names it: its path, or `ENTRY:NAME` of published weights.

        For a network in memory it is the name of the model.
        """
        if self.built is not None:
            return self.built.name
        return str(self.path) if self.published is None else f"{self.published.entry}:{self.published.name}"

    @functools.cached_property
    def sha256(self):
        """str, the hash of the network: of its file, or of the list of its published weights' files.

        For a network in memory it is the hash of its architecture and weights.
        """
        if self.built is not None:
            digest = hashlib.sha256(self.built.to_json().encode())
            for weight in self.built.get_weights():
                digest.update(weight.tobytes())
            return digest.hexdigest()
        return file_sha256(model_file(self.path)) if self.published is None else self.published.sha256

    @functools.cached_property
    def model(self):
        """The network, `keras.Model` with `class_names`.

        Raises:
            WeightsError: if the file cannot be read, or its network ends in no head of the zoo, or in one
                that gives logits.
        """
        if self.published is not None:
            return load_model(self.name)
        model = load_model(self.path) if self.built is None else self.built
        if not hasattr(model, "class_names"):
            raise WeightsError(
                "A network that is evaluated, explained or exported ends in the zoo's `head`, which "
                f"names its classes. Received: {self.name}, whose last layer is {model.layers[-1].name}. "
                "Build it with semenet.build."
            )
        activation = model.get_layer("head").activation.__name__
        if activation not in ("softmax", "sigmoid"):
            raise WeightsError(
                "A network that is evaluated, explained or exported gives probabilities: its head has "
                f"softmax or sigmoid. Received: {self.name}, whose head is {activation}. Build it with "
                "activation='softmax' and weights of this file."
            )
        return model

    @functools.cached_property
    def calibration(self):
        """dict of calibration.json, or None where the network is not calibrated.

        Raises:
            RunFolderError: if it is broken, or of another network than the one there now.
        """
        if self.built is not None:
            return None
        if self.published is not None:
            return self.published.metadata.get("calibration")
        return read_calibration(self.path)

    @property
    def temperature(self):
        """float, what the network's logits are divided by; 1.0 where it is not calibrated.

        Raises:
            RunFolderError: as `calibration`.
        """
        return 1.0 if self.calibration is None else float(self.calibration["temperature"])

    @property
    def activation(self):
        """str, "softmax" or "sigmoid", which makes the outputs probabilities."""
        return self.model.get_layer("head").activation.__name__

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
    def lungs_alone(self):
        """bool, whether the network is fed lungs alone, all else black, as its head has it."""
        return getattr(self.model.get_layer("head"), "lungs_alone", False)

    @property
    def segments(self):
        """bool, whether the network gives masks `(N, H, W, K)` and not class probabilities `(N, K)`."""
        return len(self.model.output_shape) == 4
