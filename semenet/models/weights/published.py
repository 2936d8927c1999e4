"""Finds published weights by their metadata. It reads only JSON: listing the weights does not load Keras."""

import os
from pathlib import Path

from semenet.models.entries import CATALOG
from semenet.models.weights import fetching
from semenet.models.weights.described_set import CACHE, PublishedSet, read_published
from semenet.models.weights.errors import MissingWeightsError, NoWeightsError
from semenet.models.weights.listing.remedies import remedy_for_missing
from semenet.models.weights.places import METADATA, zoo_places


def described_sets(entry_name: str) -> dict[str, PublishedSet]:
    """Finds what is published for an entry, also where this machine has only the description of a set.

    Args:
        entry_name: name of the entry in the catalogue.

    Returns:
        dict of name to `PublishedSet`, whose `origin` is None if only the description is here.

    Raises:
        MetadataError: as `published_sets`.
    """
    return _described_only(entry_name) | published_sets(entry_name)


def all_sets() -> list[PublishedSet]:
    """Finds all sets with weights of all entries, also where this machine has only the description.

    Raises:
        MetadataError: as `published_sets`.
    """
    found = [described for entry in CATALOG for described in described_sets(entry).values()]
    return [described for described in found if described.weights is not None]


def availability(described: PublishedSet) -> str:
    """Returns where a set is, or where it can be fetched from, for a list."""
    if described.origin is not None:
        return f"in {described.origin}"
    if described.name in fetching.offered(described.entry):
        return f"can be fetched from {os.environ[fetching.URL]}"
    return "not on this machine"


def published_sets(entry_name: str) -> dict[str, PublishedSet]:
    """Finds what is published for an entry and present on this machine, with weights or only with metrics.

    A set is in `<zoo>/<entry>/<name>/` of one of the `zoo_places`, or was fetched into the cache before.

    Args:
        entry_name: name of the entry in the catalogue.

    Returns:
        dict of name to `PublishedSet`.

    Raises:
        MetadataError: a metadata.json is not JSON, has a missing key, or lists a file outside its folder.
    """
    sets = {path.parent.name: read_published(path, CACHE) for path in fetching.cached(entry_name)}
    for place in reversed(zoo_places()):
        for path in place.path.glob(f"{entry_name}/*/{METADATA}"):
            found = read_published(path, place.origin)
            if not (place.is_partial and _is_description(found)):
                sets[found.name] = found
    return dict(sorted(sets.items()))


def _described_only(entry_name: str) -> dict[str, PublishedSet]:
    return {
        path.parent.name: read_published(path)
        for place in zoo_places()
        if place.is_partial
        for path in sorted(place.path.glob(f"{entry_name}/*/{METADATA}"))
    }


def _is_description(published: PublishedSet) -> bool:
    return published.weights is not None and not published.path.exists()


def published_names(entry_name: str) -> list[str]:
    """Lists the names of an entry's weights: on this machine, or available from `SEMENET_ZOO_URL`.

    Args:
        entry_name: name of the entry in the catalogue.

    Raises:
        MetadataError: as `published_sets`.

    Example:
        >>> from semenet.models import published_names
        >>> published_names("unet")
        ['lung']
    """
    local = {name for name, published in published_sets(entry_name).items() if published.weights is not None}
    return sorted(local | set(fetching.offered(entry_name)))


def parse_published_name(text: str | Path) -> tuple[str, str] | None:
    """Splits `ENTRY:NAME`, the name of published weights.

    Returns:
        `(entry, name)`; None if the text does not start with an entry of the catalogue and a colon.

    Example:
        >>> from semenet.models import parse_published_name
        >>> parse_published_name("unet:lung")
        ('unet', 'lung')
        >>> parse_published_name("runs/first") is None
        True
    """
    entry, colon, name = str(text).partition(":")
    return (entry, name) if colon and entry in CATALOG else None


def find_published(entry_name: str, name: str) -> PublishedSet | None:
    """Finds one set of published weights, and fetches it from `SEMENET_ZOO_URL` if it is not on this machine.

    Args:
        entry_name: name of the entry in the catalogue.
        name: name of the weights.

    Returns:
        `PublishedSet`; None if there are no weights of this name.

    Raises:
        MetadataError: as `published_sets`.
        FetchError: the weights cannot be fetched, or differ from what this version of semenet expects.
        NoWeightsError: only metrics are published under this name.
    """
    local = published_sets(entry_name)
    if name in local:
        if local[name].weights is None:
            raise NoWeightsError(
                f"A network needs published weights to be loaded. Received: {entry_name}:{name}, for which "
                f"the zoo has only a card with metrics: {local[name].folder / 'card.md'}. Train the network "
                "with the command on that card."
            )
        return local[name]
    if name in fetching.offered(entry_name):
        return read_published(fetching.fetch(entry_name, name), CACHE)
    return None


def require_published(entry_name: str, name: str) -> PublishedSet:
    """Finds one set of published weights, as `find_published`, and raises an error if there is none.

    Args:
        entry_name: name of the entry in the catalogue.
        name: name of the weights.

    Raises:
        MissingWeightsError: there are no weights of this name on this machine; the message says how to get
            them, or lists the names there are.
        MetadataError: as `published_sets`.
        FetchError: as `find_published`.
        NoWeightsError: as `find_published`.
    """
    published = find_published(entry_name, name)
    if published is None:
        raise MissingWeightsError(
            "Published weights are given as ENTRY:NAME. "
            f"Received: {entry_name}:{name}. {remedy(entry_name, name)}"
        )
    return published


def remedy(entry_name: str, name: str, imagenet: bool = False) -> str:
    """Returns the sentences that end an error about weights that are not on this machine.

    Args:
        entry_name: name of the entry in the catalogue.
        name: name of the weights that are missing.
        imagenet: whether "imagenet" is accepted too.
    """
    sizes = {found: described.size for found, described in described_sets(entry_name).items()}
    return remedy_for_missing(entry_name, name, published_names(entry_name), sizes, imagenet)
