"""What reads the images: its networks, and what their cards say they are bad at."""

from __future__ import annotations

import dataclasses
import os

from semenet.errors import SemenetError
from semenet.models.weights.published import PublishedSet, find_published, parse_published_name
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.cascade.saved_cascade import is_cascade, read_cascade
from semenet.training.run_folder.run import Run


@dataclasses.dataclass(frozen=True)
class NetworkCard:
    """What is known about one network.

    Attributes:
        place: its place, such as "Stage 1" or "Lungs".
        name: its path, or `ENTRY:NAME` of published weights.
        summary: what it does, from its card; "" without a card.
        not_for: what it is not intended for; "" without a card.
        cautions: what it is known to be bad at; empty without a card.
        audit: the verdict of its audit and the first sentence of the reason; "" without one.
    """

    place: str
    name: str
    summary: str = ""
    not_for: str = ""
    cautions: tuple[str, ...] = ()
    audit: str = ""

    @property
    def has_card(self) -> bool:
        """Whether anything is known about what the network is bad at."""
        return bool(self.not_for or self.cautions or self.audit)


@dataclasses.dataclass(frozen=True)
class ReaderDescription:
    """What reads the images.

    Attributes:
        words: the reader, such as "a cascade of three networks".
        cards: its networks.
    """

    words: str
    cards: tuple[NetworkCard, ...]


def describe_cascade(cascade: Cascade, folder: str | os.PathLike | None = None) -> ReaderDescription:
    """Describes a cascade; its folder, if it was opened from one, tells where its networks came from."""
    origins = read_cascade(folder).origins if folder is not None and is_cascade(folder) else None
    runs = tuple(cascade.runs.values())
    origins = origins or ("",) * len(runs)
    cards = (
        _card(place, run, origin)
        for place, run, origin in zip(("Stage 1", "Lungs", "Stage 2"), runs, origins, strict=True)
    )
    return ReaderDescription("a cascade of three networks", tuple(cards))


def describe_network(run: Run, lungs: Run | None) -> ReaderDescription:
    """Describes a single network, and the one that finds the lungs for it, if that is another one."""
    cards = [_card("Network", run)]
    if lungs is not None:
        cards.append(_card("Lungs", lungs))
    return ReaderDescription("a single network", tuple(cards))


def _card(place: str, run: Run, origin: str = "") -> NetworkCard:
    published = run.published if run.published is not None else _published(origin)
    if published is None:
        return NetworkCard(place, origin or run.name)
    metadata = published.metadata
    audit = metadata.get("audit")
    return NetworkCard(
        place,
        f"{published.entry}:{published.name}",
        metadata.get("summary", ""),
        metadata.get("not_for", ""),
        tuple(metadata.get("cautions", ())),
        "" if audit is None else f"{audit['verdict']}. {audit['words'][0]}",
    )


def _published(origin: str) -> PublishedSet | None:
    """Returns the published weights that a saved network was copied from, if they are here."""
    name = parse_published_name(origin)
    try:
        return None if name is None else find_published(*name)
    except SemenetError:
        return None
