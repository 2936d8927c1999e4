"""A recipe: everything a training run depends on but the data, as plain data."""

import dataclasses
import json
import math
import pathlib
import runpy
from typing import Annotated, Literal

import tyro

from semenet.data.transforms.augmentation import VIEWS, Augmentation
from semenet.errors import SemenetError
from semenet.models.entries import find_entry


def _comma_separated(metavar):
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda arguments: tuple(name.strip() for name in arguments[0].split(",")),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(value)],
    )


Names = Annotated[tuple[str, ...], _comma_separated("NAME,NAME,...")]


class RecipeError(SemenetError):
    """A recipe's value is out of range, or does not fit its network."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network of the catalogue is trained. The defaults are the paper's, where it states one."""

    entry: tyro.conf.Suppress[str]
    """The network's name in the catalogue."""
    classes: Names = ("normal", "bacteria", "virus")
    """Class names, comma-separated, in the order of the outputs."""
    input_size: int = 512
    """Height and width of the input in pixels, 32 or more."""
    channels: Literal[1, 3] = 1
    """1 for grey, 3 for RGB (a grey image three times)."""
    width: float = 1.0
    """Scales the network's channels."""
    depth: float = 1.0
    """Scales the network's layers in each stage."""
    se_ratio: int | None = None
    """Reduction of the squeeze-and-excitation blocks; None for 16. Only for entries that have them."""
    moex_p: float | None = None
    """Probability of a moment exchange in a step; None for 0.5 (ours). Only for MoEx entries."""
    moex_lam: float | None = None
    """Weight of an image's own label after an exchange; None for 0.9 (ours). Only for MoEx entries."""
    weights: str | None = None
    """Weights to start from: "imagenet", a published name, or a .keras file or run folder."""
    freeze_backbone: bool = False
    """Train the head alone."""
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    """SGD with momentum, Adam, or Adam with decoupled weight decay."""
    learning_rate: float = 1e-4
    """Learning rate, the highest one under a schedule."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 0.0
    """AdamW's decay of the kernels, a share of the learning rate; biases and normalisation have none."""
    schedule: Literal["constant", "cosine"] = "constant"
    """How the learning rate goes; "cosine" anneals it to the minimum."""
    minimum_learning_rate: float = 1e-8
    """Where cosine annealing ends."""
    cycles: int = 1
    """Cycles of cosine annealing, each beginning at the learning rate (ours: the paper states none)."""
    warmup: float = 0.0
    """Share of all steps in which the learning rate rises from 0; with a cosine of one cycle."""
    clip_norm: float = 0.0
    """The gradient is scaled down where its norm over all weights is above this; 0 for no clipping."""
    label_smoothing: float = 0.0
    """Share of each label that is spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """"balanced" weighs an image by how rare its class is in training; the mean weight is 1."""
    ema: float = 0.0
    """Momentum a step of a moving average of the weights, which is then validated and kept; 0 for none."""
    epochs: int = 80
    """Passes over the training images."""
    patience: int = 0
    """Stop after this many epochs without a better figure; 0 to go on to the end."""
    batch_size: int = 16
    """Images a step (ours: the paper states none)."""
    clahe: float = 0.0
    """Share of the training images that get CLAHE."""
    clahe_draw: Literal["epoch", "fixed"] = "epoch"
    """Which images these are: drawn anew each epoch, or one draw of exactly that share (table 3: 0.337)."""
    rotation: float = 0.0
    """Training images are turned by up to this many degrees either way."""
    zoom: float = 0.0
    """Training images are enlarged or shrunk by up to this share of their sides."""
    shift: float = 0.0
    """Training images are moved by up to this share of their sides, across and down."""
    gamma: float = 0.0
    """Training images' grey levels get an exponent drawn from 1 / (1 + this) to 1 + this."""
    contrast: float = 0.0
    """Training images' contrast is raised or lowered by up to this share."""
    views: Names = ("original",)
    """The training set is the union of these views of its images: original, clahe, masked, masked_clahe."""
    inference_clahe: bool = False
    """Whether CLAHE applies to every image in evaluation, prediction and export."""
    teacher: str | None = None
    """Distil from this network: a run folder, a .keras file, or published weights written ENTRY:NAME."""
    distill_temperature: float = 4.0
    """Temperature that softens the teacher's and the network's own probabilities."""
    distill_weight: float = 0.5
    """Weight of the teacher's soft labels; the true labels have the rest."""
    attention_weight: float = 0.0
    """Weight of attention transfer: where in `features` the two networks' activations lie."""
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    """Numeric policy; "auto" is mixed on a GPU (bfloat16 where it has it) and float32 on a CPU."""
    monitor: Literal[
        "val_macro_auroc", "val_accuracy", "val_macro_f1", "val_mean_iou", "val_dice", "val_loss", "loss"
    ] = "val_macro_auroc"
    """The figure by which the best epoch is kept as model.keras."""
    seed: int = 0
    """Seed of initial weights, order of images, augmentation and MoEx."""

    def __post_init__(self):
        """Checks every value.

        Raises:
            RecipeError: for the first one that is out of range.
        """
        entry = find_entry(self.entry)
        segments = entry.segments
        watched = "val_mean_iou, val_dice" if segments else "val_macro_auroc, val_accuracy, val_macro_f1"
        rules = {
            "input_size": (self.input_size >= 32, "must be 32 or more"),
            "learning_rate": (0 < self.learning_rate < math.inf, "must be positive"),
            "momentum": (0 <= self.momentum < 1, "must lie in [0, 1)"),
            "minimum_learning_rate": (
                0 <= self.minimum_learning_rate <= self.learning_rate or self.schedule == "constant",
                "must lie between 0 and the learning rate",
            ),
            "epochs": (self.epochs >= 1, "must be 1 or more"),
            "batch_size": (self.batch_size >= 1, "must be 1 or more"),
            "clahe": (0 <= self.clahe <= 1, "must lie in [0, 1]"),
            "rotation": (0 <= self.rotation <= 180, "must lie in [0, 180] degrees"),
            "weight_decay": (
                self.weight_decay == 0 or (self.optimizer == "adamw" and 0 < self.weight_decay < 1),
                "must lie in [0, 1), and is for adamw",
            ),
            "cycles": (
                self.cycles == 1 or (self.schedule == "cosine" and 1 <= self.cycles <= self.epochs),
                "must be 1 or more, at most one an epoch, and is for the cosine schedule",
            ),
            "warmup": (
                self.warmup == 0 or (self.schedule == "cosine" and self.cycles == 1 and 0 < self.warmup < 1),
                "must lie in [0, 1), and is for the cosine schedule of one cycle",
            ),
            "clip_norm": (0 <= self.clip_norm < math.inf, "must be 0 or more"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "must lie in [0, 1)"),
            "class_weights": (
                self.class_weights == "none" or not segments,
                "is for networks that classify",
            ),
            "ema": (0 <= self.ema < 1, "must lie in [0, 1)"),
            "patience": (self.patience >= 0, "must be 0 or more"),
            "teacher": (self.teacher is None or not segments, "is for networks that classify"),
            "freeze_backbone": (
                not self.freeze_backbone or self.weights is not None,
                "fixes weights that were learnt: it needs --weights",
            ),
            "distill_temperature": (
                0 < self.distill_temperature < math.inf
                and (self.teacher is not None or self.distill_temperature == 4),
                "must be positive, and goes with --teacher",
            ),
            "distill_weight": (
                0 <= self.distill_weight <= 1
                and (self.distill_weight > 0 or self.attention_weight != 0)
                and (self.teacher is not None or self.distill_weight == 0.5),
                "must lie in [0, 1], be positive where attention_weight is 0, and goes with --teacher",
            ),
            "attention_weight": (
                0 <= self.attention_weight < math.inf
                and (self.teacher is not None or self.attention_weight == 0),
                "must be 0 or more, and goes with --teacher",
            ),
            "classes": (
                (len(self.classes) == 1 if segments else len(self.classes) > 1)
                and len(set(self.classes)) == len(self.classes)
                and all(self.classes),
                f"of `{self.entry}` must be {'one name' if segments else 'two or more distinct names'}",
            ),
            "views": (
                bool(self.views)
                and set(self.views) <= set(VIEWS)
                and len(set(self.views)) == len(self.views)
                and not (segments and any(view.startswith("masked") for view in self.views)),
                f"must name, each once, {'original and clahe' if segments else ', '.join(VIEWS)}",
            ),
            "se_ratio": (
                self.se_ratio is None or (entry.squeeze_excite and self.se_ratio >= 1),
                "must be 1 or more, and is for entries with squeeze-and-excitation",
            ),
            "moex_p": (
                self.moex_p is None or (entry.moment_exchange and 0 <= self.moex_p <= 1),
                "must lie in [0, 1], and is for entries with MoEx",
            ),
            "moex_lam": (
                self.moex_lam is None or (entry.moment_exchange and 0 <= self.moex_lam <= 1),
                "must lie in [0, 1], and is for entries with MoEx",
            ),
            "width": (0 < self.width < math.inf, "must be positive"),
            "depth": (0 < self.depth < math.inf, "must be positive"),
            "seed": (0 <= self.seed < 2**31, "must lie in [0, 2**31)"),
            "monitor": (
                self.monitor in (*watched.split(", "), "val_loss", "loss"),
                f"of `{self.entry}` must be one of {watched}, val_loss, loss",
            ),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise RecipeError(
                    f"`{name}` {rule}. Received: {getattr(self, name)!r}. "
                    f"Pass another --{name.replace('_', '-')}."
                )
        # The augmentation checks its own values.
        _ = self.augmentation

    @property
    def segments(self):
        """Whether the network segments lungs and not classifies images."""
        return find_entry(self.entry).segments

    @property
    def lungs_alone(self):
        """Whether the network is fed lungs alone: every view of its training images is masked."""
        return all(view.startswith("masked") for view in self.views)

    @property
    def augmentation(self):
        """The `Augmentation` of the training images."""
        names = (field.name for field in dataclasses.fields(Augmentation))
        return Augmentation(**{name: getattr(self, name) for name in names})

    @property
    def architecture(self):
        """The architecture arguments of `semenet.build`."""
        optional = {name: getattr(self, name) for name in ("se_ratio", "moex_p", "moex_lam")}
        given = {name: value for name, value in optional.items() if value is not None}
        return {"width": self.width, "depth": self.depth} | given

    def to_json(self):
        """The recipe as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text):
        """Reads what `to_json` wrote.

        Raises:
            RecipeError: if it is no recipe of this version.
        """
        try:
            values = json.loads(text)
            tuples = {name: tuple(values[name]) for name in ("classes", "views")}
            return cls(**values | tuples)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise RecipeError(
                "recipe.json must be what this version of semenet writes. "
                f"Received: {text[:80]!r}...: {error}. Train again, or use the version that wrote it."
            ) from error


def list_recipes() -> list[str]:
    """Returns the sorted names of the committed recipes: one for each entry, and `<entry>_dataset2`."""
    return sorted(path.stem for path in _recipes_folder().glob("[!_]*.py"))


def find_recipe(name: str) -> Recipe:
    """Returns the committed recipe of this name.

    Raises:
        RecipeError: for an unknown name; the message lists all names.
    """
    if name not in list_recipes():
        raise RecipeError(
            f"A recipe is called by its name. Received: {name!r}. There are {', '.join(list_recipes())}."
        )
    return runpy.run_path(str(_recipes_folder() / f"{name}.py"))["RECIPE"]


def _recipes_folder() -> pathlib.Path:
    """The folder `recipes`: inside the installed package, or beside it in a checkout."""
    package = pathlib.Path(__file__).parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parent / "recipes"
