"""The table of the zoo's networks. Reading it does not load Keras."""

import dataclasses
import difflib
import fnmatch

from semenet.errors import SemenetError

DATASET1_CLASSES = ("normal", "bacteria", "virus")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One network of the zoo.

    Attributes:
        backbone: "vgg19", "resnet50", "densenet169" or "unet".
        head: "flatten" (the paper's base networks), "gap" or "segmentation".
        input_size: default height and width in pixels.
        parameters: number of parameters, trainable or not, with the default input (one channel) and classes.
        paper: the table or figure of the paper that shows the network.
        squeeze_excite: whether the network has squeeze-and-excitation blocks.
        moment_exchange: whether the network has a moment exchange (MoEx) layer.
        class_names: default classes, in the order of the outputs.
        hidden_units: sizes of the hidden layers of a flatten head.

    Example:
        >>> from semenet.models import find_entry
        >>> entry = find_entry("seme_resnet50")
        >>> entry.backbone, entry.head, entry.input_size, entry.squeeze_excite
        ('resnet50', 'gap', 512, True)
    """

    backbone: str
    head: str
    input_size: int
    parameters: int
    paper: str
    squeeze_excite: bool = False
    moment_exchange: bool = False
    class_names: tuple[str, ...] = DATASET1_CLASSES
    hidden_units: tuple[int, ...] = ()

    @property
    def segments(self) -> bool:
        """Whether the network predicts a mask instead of class probabilities."""
        return self.head == "segmentation"


CATALOG = {
    "vgg19": Entry("vgg19", "flatten", 224, 139_581_379, "table 4, base", hidden_units=(4096, 4096)),
    "vgg19_gap": Entry("vgg19", "gap", 512, 20_024_771, "table 4, GAP"),
    "resnet50": Entry("resnet50", "flatten", 224, 23_882_499, "table 4, base"),
    "resnet50_gap": Entry("resnet50", "gap", 512, 23_587_587, "table 4, GAP"),
    "se_resnet50": Entry("resnet50", "gap", 512, 26_118_579, "table 4, SE", squeeze_excite=True),
    "moex_resnet50": Entry("resnet50", "gap", 512, 23_587_587, "table 5, MoEx", moment_exchange=True),
    "seme_resnet50": Entry(
        "resnet50",
        "gap",
        512,
        26_118_579,
        "tables 4 and 5, SEME",
        squeeze_excite=True,
        moment_exchange=True,
    ),
    "densenet169": Entry("densenet169", "flatten", 224, 12_881_219, "table 4, base"),
    "densenet169_gap": Entry("densenet169", "gap", 512, 12_641_603, "table 4, GAP"),
    "se_densenet169": Entry("densenet169", "gap", 512, 13_299_947, "table 4, SE", squeeze_excite=True),
    "moex_densenet169": Entry("densenet169", "gap", 512, 12_641_603, "table 5, MoEx", moment_exchange=True),
    "seme_densenet169": Entry(
        "densenet169",
        "gap",
        512,
        13_299_947,
        "tables 4 and 5, SEME",
        squeeze_excite=True,
        moment_exchange=True,
    ),
    "unet": Entry("unet", "segmentation", 512, 20_563_265, "figure 15, lungs", class_names=("lung",)),
}


def list_models(pattern: str = "*") -> list[str]:
    """Lists the names of the entries that match a shell pattern, in the order of the catalogue.

    Args:
        pattern: shell pattern such as "seme_*".

    Returns:
        list of str, empty if no name matches.

    Example:
        >>> import semenet
        >>> semenet.list_models("seme_*")
        ['seme_resnet50', 'seme_densenet169']
    """
    return fnmatch.filter(CATALOG, pattern)


def find_entry(name: str) -> Entry:
    """Returns the catalogue entry with this name.

    Raises:
        SemenetError: for an unknown name; the message lists the closest names.

    Example:
        >>> from semenet.models import find_entry
        >>> find_entry("unet").class_names
        ('lung',)
    """
    if name not in CATALOG:
        close = difflib.get_close_matches(str(name).lower(), CATALOG, n=3, cutoff=0.4)
        raise SemenetError(
            f"A network is built by its name in the catalogue. Received: {name!r}. "
            f"Closest: {', '.join(close or CATALOG)}. semenet.list_models() lists all."
        )
    return CATALOG[name]
