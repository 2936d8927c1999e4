"""The folders of this machine that may hold published weights, in the order in which they are searched."""

import dataclasses
import functools
import importlib.metadata
import os
import sys
from pathlib import Path

from semenet.models.weights.errors import WeightsError

FOLDER = "SEMENET_ZOO"
ENTRY_POINTS = "semenet.zoo"
METADATA = "metadata.json"
_PACKAGE = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder with the layout of the repository's folder `zoo`.

    Attributes:
        path: the folder.
        origin: where it comes from, for messages.
        is_partial: whether it describes all sets and holds the weights of only some of them.
    """

    path: Path
    origin: str
    is_partial: bool = False


def zoo_places() -> list[Place]:
    """Returns the folders that may hold published weights.

    They are `SEMENET_ZOO`; the folder `zoo` of the checkout, or of the installed package, which holds
    `unet:lung` and the cards of all other sets; and the folders of installed wheels such as `semenet-zoo`.

    Raises:
        WeightsError: an installed wheel with weights is incomplete.
    """
    places = []
    if os.environ.get(FOLDER):
        places.append(Place(Path(os.environ[FOLDER]), FOLDER))
    if (_PACKAGE / "zoo").is_dir():
        places.append(Place(_PACKAGE / "zoo", "the package semenet", is_partial=True))
    else:
        places.append(Place(_PACKAGE.parent / "zoo", "the checkout"))
    places += _installed_places(tuple(sys.path))
    return [place for place in places if place.path.is_dir()]


# Reading the metadata of a hundred distributions takes some 20 ms.
@functools.lru_cache(maxsize=4)
def _installed_places(_: tuple[str, ...]) -> list[Place]:
    """Returns the folders of the packages that the entry points of the group `semenet.zoo` name.

    The packages are not imported: they hold data, and no code of theirs has to run.
    """
    places = []
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        folder = Path(point.dist.locate_file(point.module.replace(".", "/")))
        if not folder.is_dir():
            raise WeightsError(
                f"An installed wheel with weights must hold the package that its entry point {ENTRY_POINTS} "
                f"names. Received: {point.dist.name}, without {folder}. Install it again, or remove it with "
                f"`pip uninstall {point.dist.name}`."
            )
        places.append(Place(folder, f"the package {point.dist.name}"))
    return places
