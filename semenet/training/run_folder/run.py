"""A trained network together with what is known about its training."""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from semenet.data.transforms.lung_view import LungView
from semenet.errors import SemenetError, WrongTypeError
from semenet.models.loading import load_model
from semenet.models.weights.described_set import PublishedSet
from semenet.models.weights.errors import WeightsError
from semenet.models.weights.places import METADATA
from semenet.models.weights.published import parse_published_name, require_published
from semenet.storage.hashing import file_sha256
from semenet.training.recipe import Recipe, RecipeError
from semenet.training.run_folder.file_names import HISTORY, MODEL, RECIPE, model_file
from semenet.training.run_folder.record import read_calibration, read_history, read_recipe, read_record

if TYPE_CHECKING:
    import keras

# Other folders that semenet writes, recognised by one of their files: what they are, and what to do.
_OTHER_FOLDERS = {
    "cascade.json": (
        "a cascade, which `semenet look`, `predict`, `evaluate`, `explain` and `export` accept. Pass the run "
        "of one of its networks, or its .keras file in this folder."
    ),
    "saved_model.pb": (
        "a SavedModel, which `semenet serve` accepts. Pass the run or the cascade that it was exported from."
    ),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained network and what is known about its training.

    Attributes:
        path: the run folder, a single `.keras` file, or the folder of published weights; None for a network
            in memory.
        recipe: the recipe; None for a single file.
        record: the content of run.json (manifest and its hash, versions, command); empty for a single file.
        history: history.csv, one row per epoch; None where there is none.
        published: the published weights; None for a network that is not from the zoo.
        built: a network in memory; None for a network that is loaded from `path`.

    Example:
        >>> run = semenet.training.Run.open("run")
        >>> run.class_names
        ('normal', 'bacteria', 'virus')
        >>> run.input_size
        (32, 32)
        >>> run.record["status"]
        'finished'
    """

    path: pathlib.Path | None
    recipe: Recipe | None = None
    record: dict[str, Any] = dataclasses.field(default_factory=dict)
    history: pd.DataFrame | None = None
    published: PublishedSet | None = None
    built: "keras.Model | None" = None

    @classmethod
    def open(cls, network: "str | os.PathLike | keras.Model | Run") -> "Run":
        """Opens a run folder, a `.keras` file, or published weights. The network is loaded on first use.

        Args:
            network: the folder or file; or `ENTRY:NAME`, such as "unet:lung", for published weights. A `Run`
                is returned unchanged, and a model is wrapped by `from_model`.

        Raises:
            WrongTypeError: `network` is something else.
            WeightsError: there is no such network.
            RecipeError: recipe.json is damaged.
            RunFolderError: run.json is missing or damaged.
            MetadataError: a metadata.json of the zoo cannot be used.
            FetchError: published weights cannot be fetched.
        """
        if isinstance(network, Run):
            return network
        if not isinstance(network, str | os.PathLike):
            return cls.from_model(network)
        if (name := parse_published_name(network)) is not None:
            return cls._open_published(*name)
        path = pathlib.Path(network)
        if not (path.is_file() or (path / MODEL).is_file()):
            neither = f"none of these. Check the path; a run has {MODEL} after its first epoch."
            found = (text for name, text in _OTHER_FOLDERS.items() if (path / name).is_file())
            raise WeightsError(
                f"A run is a folder with {MODEL}, a .keras file, or ENTRY:NAME of published weights. "
                f"Received: {path}, which is {next(found, neither)}"
            )
        if path.is_file() or not (path / RECIPE).is_file():
            return cls(path)
        history = path / HISTORY
        return cls(
            path,
            read_recipe(path / RECIPE),
            read_record(path),
            read_history(history) if history.is_file() else None,
        )

    @classmethod
    def from_model(cls, model: "keras.Model") -> Self:
        """Wraps a network in memory, without recipe, record or calibration.

        Args:
            model: a network that `semenet.build` or `semenet.load_model` returned.

        Raises:
            WrongTypeError: `model` is not a `keras.Model`.
        """
        import keras

        if not isinstance(model, keras.Model):
            raise WrongTypeError(
                "A network must be a keras.Model, a Run, the path of a run folder or .keras file, or "
                f"ENTRY:NAME of published weights. Received: {model!r} of type {type(model).__name__}."
            )
        return cls(None, built=model)

    @classmethod
    def _open_published(cls, entry: str, name: str) -> Self:
        published = require_published(entry, name)
        # Sets that were written by hand may not say how they were trained.
        training = published.metadata.get("training")
        if training is None:
            return cls(published.folder, published=published)
        record = {"command": training["command"], "manifest_sha256": training["manifest_sha256"]}
        try:
            recipe = Recipe.from_json(json.dumps(training["recipe"]))
        except SemenetError as error:
            raise RecipeError(f"{published.folder / METADATA}, training/recipe: {error}") from error
        return cls(published.folder, recipe, record, published=published)

    @property
    def name(self) -> str:
        """The name that commands accept, path or `ENTRY:NAME`; for a network in memory, the model's name."""
        if self.built is not None:
            return self.built.name
        return str(self.path) if self.published is None else f"{self.published.entry}:{self.published.name}"

    @functools.cached_property
    def sha256(self) -> str:
        """The hash of the network's file, or of the list of files of published weights.

        For a network in memory, the hash of its architecture and weights.
        """
        if self.built is not None:
            digest = hashlib.sha256(self.built.to_json().encode())
            for weight in self.built.get_weights():
                digest.update(weight.tobytes())
            return digest.hexdigest()
        return file_sha256(model_file(self.path)) if self.published is None else self.published.sha256

    @functools.cached_property
    def model(self) -> "keras.Model":
        """The network, with `class_names`.

        Raises:
            WeightsError: the file cannot be read, or the network does not end in a head of the zoo that
                returns probabilities.
        """
        if self.published is not None:
            return load_model(self.name)
        model = load_model(self.path) if self.built is None else self.built
        if not hasattr(model, "class_names"):
            raise WeightsError(
                "A network that is evaluated, explained or exported must end in the zoo's layer `head`, "
                f"which holds the class names. Received: {self.name}, whose last layer is "
                f"{model.layers[-1].name}. Build the network with semenet.build."
            )
        activation = model.get_layer("head").activation.__name__
        if activation not in ("softmax", "sigmoid"):
            raise WeightsError(
                "A network that is evaluated, explained or exported must return probabilities: its head "
                f"needs softmax or sigmoid. Received: {self.name}, whose head has {activation}. Build the "
                "network with activation='softmax' and the weights of this file."
            )
        return model

    @functools.cached_property
    def calibration(self) -> dict[str, Any] | None:
        """The content of calibration.json; None where the network is not calibrated.

        Raises:
            RunFolderError: the file is damaged, or belongs to another network.
        """
        if self.built is not None:
            return None
        if self.published is not None:
            return self.published.metadata.get("calibration")
        return read_calibration(self.path)

    @property
    def temperature(self) -> float:
        """The number that the network's logits are divided by; 1.0 where it is not calibrated.

        Raises:
            RunFolderError: as for `calibration`.
        """
        return 1.0 if self.calibration is None else float(self.calibration["temperature"])

    @property
    def activation(self) -> str:
        """The activation that turns logits into probabilities: "softmax" or "sigmoid"."""
        return self.model.get_layer("head").activation.__name__

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """For sigmoid outputs, the probability from which on each class is reported; None for others.

        Calibration chooses them (Youden's index); without it they are 0.5.

        Raises:
            RunFolderError: as for `calibration`.
        """
        if self.segments or self.activation != "sigmoid":
            return None
        points = {} if self.calibration is None else self.calibration["operating_points"]
        chosen = [(points.get(name) or {}).get("youden") for name in self.class_names]
        return tuple(0.5 if point is None else float(point["threshold"]) for point in chosen)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names, in the order of the outputs."""
        return self.model.class_names

    @property
    def input_size(self) -> tuple[int, int]:
        """`(height, width)` in pixels; 512 where the network accepts any size."""
        return tuple(side or 512 for side in self.model.input_shape[1:3])

    @property
    def channels(self) -> int:
        """The number of input channels, 1 or 3."""
        return self.model.input_shape[-1]

    @property
    def inference_clahe(self) -> bool:
        """Whether CLAHE is applied to images before the network, as stored in its head."""
        return self.model.get_layer("head").inference_clahe

    @property
    def lungs_alone(self) -> bool:
        """Whether the network's input shows only the lungs, with all else black, as stored in its head."""
        return getattr(self.model.get_layer("head"), "lungs_alone", False)

    @property
    def lung_view(self) -> LungView:
        """What is done to images with the help of their lung masks before the network; from its head."""
        return LungView.from_settings(vars(self.model.get_layer("head")))

    @property
    def needs_lungs(self) -> bool:
        """Whether every image needs a lung mask: for lungs alone, their box or standard grey levels."""
        return not self.segments and (self.lungs_alone or self.lung_view.needs_mask)

    @property
    def segments(self) -> bool:
        """Whether the network returns masks `(N, H, W, K)` instead of class probabilities `(N, K)`."""
        return len(self.model.output_shape) == 4
