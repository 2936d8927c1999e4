"""The cascade of published networks, which is used where no other network is named."""

from typing import NamedTuple

from semenet.serving.cascade.cascade import Cascade


class CascadeNames(NamedTuple):
    """The names of a cascade's published networks, and the class of stage 1 that stage 2 divides."""

    stage1: str
    lungs: str
    stage2: str
    refines: str


PUBLISHED_CASCADE = CascadeNames(
    "seme_resnet50:hospitals", "unet:lung", "seme_densenet169:hospitals", "virus"
)


def open_published_cascade() -> Cascade:
    """Opens the networks of `PUBLISHED_CASCADE` as one cascade.

    Raises:
        WeightsError: their weights cannot be found or read.
    """
    return Cascade(*PUBLISHED_CASCADE)
