"""Recipes: everything that a training run depends on except its data, as plain data."""

import dataclasses
import functools
import json
import pathlib
import runpy
from typing import Annotated, Any, Literal, Self

import tyro

from semenet.data.pipeline.sampling import Sampling
from semenet.data.transforms.augmentation import ACQUISITION_CHANGES, Augmentation
from semenet.data.transforms.lung_view import LungView
from semenet.errors import SemenetError, did_you_mean
from semenet.models.entries import find_entry
from semenet.models.placements import MOEX_POSITIONS
from semenet.storage.json_files import JsonError, dataclass_schema, parse_json
from semenet.training.input_sizes import SizePhase, parse_sizes, size_phases, sizes_rule
from semenet.training.recipe_rules import normal_names, recipe_rules


def _comma_separated(metavar: str) -> tyro.constructors.PrimitiveConstructorSpec:
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda arguments: (
            tuple(name.strip() for name in arguments[0].split(",")) if arguments[0].strip() else ()
        ),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(value)],
    )


Names = Annotated[tuple[str, ...], _comma_separated("NAME,NAME,...")]
Sizes = Annotated[tuple[str, ...], _comma_separated("SIZE@SHARE,...")]


class RecipeError(SemenetError):
    """A recipe with a value that is out of range or does not fit its network."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network of the catalogue is trained. The defaults are the paper's, where it states them.

    Raises:
        RecipeError: a value is out of range; SemenetError for one of the `augmentation`.

    Example:
        >>> recipe = semenet.training.Recipe("seme_resnet50", epochs=10, clahe=0.4)
        >>> recipe.optimizer, recipe.learning_rate
        ('sgd', 0.0001)
    """

    entry: tyro.conf.Suppress[str]
    """The network's name in the catalogue."""
    classes: Names = ("normal", "bacteria", "virus")
    """Class names, comma-separated, in the order of the outputs."""
    labels: Literal["one", "several"] = "one"
    """"several": an image has any number of the classes, given by the columns label:NAME (1, 0 or empty)."""
    input_size: int = 512
    """Height and width of the input in pixels, 32 or more."""
    input_sizes: Sizes = ()
    """Growing input sizes with their shares of the epochs, 96@0.5,128@0.5: the last is the network's."""
    channels: Literal[1, 3] = 1
    """1 for grey, 3 for RGB (a grey image is repeated three times)."""
    width: float = 1.0
    """Factor for the network's number of channels."""
    depth: float = 1.0
    """Factor for the network's number of layers in each stage."""
    se_ratio: int | None = None
    """Reduction of the squeeze-and-excitation blocks; None for 16. Only for networks that have them."""
    se_placement: str | None = None
    """Position of these blocks: standard (default), pre, post or identity in ResNet50; both (default),
    blocks or transitions in DenseNet169."""
    moex_p: float | None = None
    """Probability of a moment exchange in a step; None for 0.5 (our choice). Only for MoEx networks."""
    moex_lam: float | None = None
    """Weight of an image's own label after an exchange; None for 0.9 (our choice). Only for MoEx networks."""
    moex_position: Literal[None, *MOEX_POSITIONS] = None
    """Position of the exchange: conv1 (the default), after the first convolution and its normalisation; or
    stem, after the first pooling. Only for MoEx networks."""
    bn_momentum: float | None = None
    """Momentum of the moving statistics of batch normalisation; None for 0.9. Not for VGG19."""
    weights: str | None = None
    """Initial weights: "imagenet", the name of published weights, or a .keras file or run folder."""
    freeze_backbone: bool = False
    """Train only the head."""
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    """SGD with momentum, Adam, or Adam with decoupled weight decay."""
    learning_rate: float = 1e-4
    """Learning rate; with a schedule, its highest value."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 0.0
    """Weight decay of AdamW, a share of the learning rate, for kernels but not biases and normalisation."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Schedule of the learning rate; "cosine" anneals it to the minimum."""
    minimum_learning_rate: float = 1e-8
    """Learning rate at the end of cosine annealing."""
    cycles: int = 1
    """Cycles of cosine annealing, each starting at the learning rate (our choice: the paper states none)."""
    warmup: float = 0.0
    """Share of all steps in which the learning rate rises from 0; for a cosine schedule of one cycle."""
    clip_norm: float = 0.0
    """Largest norm of the gradient over all weights, to which it is scaled down; 0 for no clipping."""
    label_smoothing: float = 0.0
    """Share of each label that is spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """"balanced" gives images of rare classes a higher weight; the mean weight of all images is 1."""
    ema: float = 0.0
    """Momentum per step of a moving average of the weights, which is validated and saved; 0 for none."""
    epochs: int = 80
    """Number of times that all training images are used, or that `epoch_images` of them are drawn."""
    epoch_images: int | None = None
    """Training images that are drawn in an epoch; None for as many as there are."""
    balance: Names = ()
    """Columns, comma-separated: draw images by weight so that small cells, such as a label of a source, occur
    more often, and the values of the first column equally often. Empty: all images equally often."""
    balance_power: float = 0.5
    """An image of a cell of n images has the weight 1 / n ** balance_power; 1 makes cells equal."""
    patience: int = 0
    """Stop after this many epochs without an improvement of the monitored metric; 0 for never."""
    batch_size: int = 16
    """Images per step (our choice: the paper states none)."""
    clahe: float = 0.0
    """Share of the training images that CLAHE is applied to."""
    clahe_draw: Literal["epoch", "fixed", "added"] = "epoch"
    """How these images are drawn: anew in each epoch; once, exactly that share (table 3: 0.337); or once, and
    their copies with CLAHE are added instead of replacing the originals (the paper's conclusion)."""
    rotation: float = 0.0
    """Largest rotation of training images in degrees, to either side."""
    zoom: float = 0.0
    """Largest zoom of training images, in or out, as a share of their sides."""
    shift: float = 0.0
    """Largest shift of training images, across and down, as a share of their sides."""
    gamma: float = 0.0
    """Grey levels of training images get an exponent from 1 / (1 + gamma) to 1 + gamma."""
    contrast: float = 0.0
    """Contrast of training images is scaled by 1 / (1 + contrast) to 1 + contrast."""
    acquisition: float = 0.0
    """Probability of each change of how a training image was acquired and stored."""
    acquisition_changes: Names = ACQUISITION_CHANGES
    """These changes; "clahe" is one of random strength."""
    views: Names = ("original",)
    """The training set is the union of these views of its images: original, clahe, masked, masked_clahe."""
    lungs_box: bool = False
    """Cut every image to the bounding box of its lung mask, with a margin; stretch it to the input size."""
    lungs_box_margin: float = 0.04
    """Margin around the lungs' box on each side, as a share of the box's sides."""
    standardize: bool = False
    """Stretch grey levels so that the 2nd and 98th percentile inside the lungs become 28 and 228."""
    inference_clahe: bool = False
    """Apply CLAHE to every image in evaluation, prediction and export."""
    teacher: str | None = None
    """Distil from this network: a run folder, a .keras file, or published weights as ENTRY:NAME."""
    distill_temperature: float = 4.0
    """Temperature that softens the probabilities of the teacher and of the network."""
    distill_weight: float = 0.5
    """Weight of the teacher's soft labels; the true labels have the rest."""
    attention_weight: float = 0.0
    """Weight of attention transfer, which compares where the features of the two networks are active."""
    group_by: Names = ()
    """Columns of the manifest whose combined values are the groups of group DRO, such as label,source."""
    dro_step: float = 0.0
    """Step size of the weights of groups, which rise where the loss is high (group DRO); 0 for none."""
    dro_adjustment: float = 0.0
    """Added to a group's loss for its weight, divided by the square root of its number of images."""
    unlearn: str | None = None
    """Unlearn this column of the manifest, such as source: a classifier of it, whose gradient reaches the
    network reversed, is trained beside the network and is not saved."""
    unlearn_weight: float = 1.0
    """Weight of the reversed gradient at the end of its rise from 0."""
    unlearn_within: str | None = None
    """Compare only images of the same value in this column, such as label: needed where sources differ in
    how frequent the labels are, because unlearning the source would then unlearn the label too."""
    lung_attention_weight: float = 0.0
    """Weight of the share of the class activation map outside the lung mask; needs masks and a GAP head."""
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    """Numeric policy; "auto" is mixed on a GPU, bfloat16 on a CPU that trains faster in it, else float32."""
    monitor: Literal[
        "val_macro_auroc", "val_accuracy", "val_macro_f1", "val_mean_iou", "val_dice", "val_loss", "loss"
    ] = "val_macro_auroc"
    """Metric that decides which epoch is saved as model.keras."""
    seed: int = 0
    """Seed of initial weights, order of images, augmentation and MoEx."""

    def __post_init__(self) -> None:
        """Checks every value. The last of `input_sizes` becomes `input_size`; `classes` get normal form."""
        object.__setattr__(self, "classes", normal_names(self.classes))
        if self.input_sizes and sizes_rule(self.input_sizes, self.epochs) is None:
            object.__setattr__(self, "input_size", parse_sizes(self.input_sizes)[-1][0])
        for name, (holds, rule) in recipe_rules(self).items():
            if not holds:
                words = f"`{name}` {rule}. Received: {getattr(self, name)!r}."
                raise RecipeError(f"{words} Pass another --{name.replace('_', '-')}.")

    @property
    def segments(self) -> bool:
        """Whether the network segments lungs instead of classifying images."""
        return find_entry(self.entry).segments

    @property
    def several_labels(self) -> bool:
        """Whether an image may have several of the classes or none, so that the head is a sigmoid."""
        return self.labels == "several"

    @property
    def lungs_alone(self) -> bool:
        """Whether the network sees nothing but lungs: all views of its training images are masked."""
        return self.augmentation.only_masked

    @property
    def unlearns(self) -> bool:
        """Whether training has losses that unlearn the source: group DRO, a source classifier, attention."""
        return bool(self.dro_step or self.unlearn is not None or self.lung_attention_weight)

    @property
    def lung_view(self) -> LungView:
        """What is done to every image with the help of its lung mask. It checks its own margin."""
        return LungView(self.lungs_box, self.lungs_box_margin, self.standardize)

    @functools.cached_property
    def augmentation(self) -> Augmentation:
        """The augmentation of the training images. It checks its own values."""
        names = (field.name for field in dataclasses.fields(Augmentation))
        return Augmentation(**{name: getattr(self, name) for name in names})

    @functools.cached_property
    def sampling(self) -> Sampling:
        """How training images are drawn. It checks its own values."""
        return Sampling(self.balance, self.balance_power, self.epoch_images)

    @property
    def size_phases(self) -> list[SizePhase]:
        """The parts of the run with one input size each: a single one without `input_sizes`."""
        return size_phases(self.input_sizes or (f"{self.input_size}@1",), self.epochs)

    @property
    def architecture(self) -> dict[str, Any]:
        """The architecture arguments of `semenet.build`."""
        optional = ("se_ratio", "se_placement", "moex_p", "moex_lam", "moex_position", "bn_momentum")
        given = {name: getattr(self, name) for name in optional if getattr(self, name) is not None}
        return {"width": self.width, "depth": self.depth} | given

    def to_json(self) -> str:
        """Returns the recipe as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Reads the JSON text of `to_json`.

        Raises:
            RecipeError: the text is not a recipe of this version, or a value is out of range.
        """
        try:
            values = parse_json(text, dataclass_schema(cls, required=("entry", "classes", "views")))
        except JsonError as error:
            raise RecipeError(
                "recipe.json must have been written by this version of semenet. "
                f"Received: {error}. Train again, or use the version that wrote it."
            ) from error
        tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**values | tuples)


def list_recipes() -> list[str]:
    """Returns the names of the committed recipes: one for each entry, and variants as `<entry>_<variant>`.

    Example:
        >>> [name for name in semenet.training.list_recipes() if name.startswith("vgg19")]
        ['vgg19', 'vgg19_dataset2', 'vgg19_gap']
    """
    return sorted(path.stem for path in _recipes_folder().glob("[!_]*.py"))


def find_recipe(name: str) -> Recipe:
    """Returns a committed recipe by its name.

    Raises:
        RecipeError: there is no recipe of that name; the message lists all names.

    Example:
        >>> semenet.training.find_recipe("unet").classes
        ('lung',)
    """
    if name not in list_recipes():
        raise RecipeError(
            "A recipe must be one of the committed ones. "
            f"Received: {name!r}.{did_you_mean(name, list_recipes())} Available: {', '.join(list_recipes())}."
        )
    return runpy.run_path(str(_recipes_folder() / f"{name}.py"))["RECIPE"]


def _recipes_folder() -> pathlib.Path:
    """Returns the folder `recipes`: inside the installed package, or beside it in a checkout."""
    package = pathlib.Path(__file__).parents[1]
    return next(path for path in (package / "recipes", package.parent / "recipes") if path.is_dir())
