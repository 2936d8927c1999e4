"""What reports need to know of networks, as plain data: of an exported network only the graph is left."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from semenet.data.transforms.lung_view import LungView
from semenet.models.receptive_fields import ReceptiveField
from semenet.serving.cascade.decisions import ChainRule
from semenet.serving.image_reports.reader_description import NetworkCard, ReaderDescription
from semenet.serving.image_reports.sentences import network_confidence

if TYPE_CHECKING:
    from semenet.serving.cascade.cascade import Cascade
    from semenet.training.run_folder.run import Run


@dataclasses.dataclass(frozen=True)
class DescribedNetwork:
    """What a report says of a network. The attributes have the names and the meaning of those of `Run`.

    `geometry` is where the cells of its heat maps lie, see
    `semenet.inference.heat_maps.overlays.cell_geometry`; None if that is not known.
    """

    name: str
    class_names: tuple[str, ...]
    input_size: tuple[int, int]
    channels: int
    inference_clahe: bool
    segments: bool
    lungs_alone: bool
    lung_view: LungView
    calibration: dict | None
    thresholds: tuple[float, ...] | None
    geometry: ReceptiveField | None = None


@dataclasses.dataclass(frozen=True)
class DescribedCascade:
    """What a report says of a cascade. The attributes have the names and meaning of those of `Cascade`."""

    stage1: DescribedNetwork
    lungs: DescribedNetwork
    stage2: DescribedNetwork
    refines: str
    gated: bool

    @property
    def runs(self) -> dict[str, DescribedNetwork]:
        """The networks by their place."""
        return {"stage1": self.stage1, "lungs": self.lungs, "stage2": self.stage2}

    @property
    def rule(self) -> ChainRule:
        """The decision rule."""
        stages = self.stage1, self.stage2
        confidences = network_confidence(stages[0]), network_confidence(stages[1])
        return ChainRule(*(stage.class_names for stage in stages), self.refines, confidences)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of the joint distribution."""
        return self.rule.class_names


@dataclasses.dataclass(frozen=True)
class DescribedReader:
    """What reads images, as the file of an exported model keeps it.

    Attributes:
        reader: in words, with the cards of its networks.
        network: a cascade or a single network.
    """

    reader: ReaderDescription
    network: DescribedCascade | DescribedNetwork

    def to_json(self) -> dict[str, Any]:
        """Returns the description, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> DescribedReader:
        """Reads what `to_json` returned, after JSON turned its tuples into lists.

        Raises:
            KeyError, TypeError: it is something else.
        """
        reader, network = described["reader"], described["network"]
        cards = tuple(NetworkCard(**card | {"cautions": tuple(card["cautions"])}) for card in reader["cards"])
        if "refines" in network:
            stages = {place: _network(network[place]) for place in ("stage1", "lungs", "stage2")}
            found = DescribedCascade(**stages, refines=network["refines"], gated=network["gated"])
        else:
            found = _network(network)
        return cls(ReaderDescription(reader["words"], cards), found)


def describe_for_reports(
    reader: ReaderDescription,
    networks: Mapping[str, Run],
    geometries: Mapping[str, ReceptiveField | None],
    cascade: Cascade | None = None,
) -> DescribedReader:
    """Describes what reads images.

    Args:
        reader: in words.
        networks: the networks in the order of the reader's cards, by their places.
        geometries: where the cells of their heat maps lie, by the same places.
        cascade: the cascade of the three networks; None for a single network, which is the first.
    """
    described = {
        place: _described(run, _own_name(card), geometries.get(place))
        for (place, run), card in zip(networks.items(), reader.cards, strict=True)
    }
    cards = tuple(dataclasses.replace(card, name=_own_name(card)) for card in reader.cards)
    network = next(iter(described.values()))
    if cascade is not None:
        network = DescribedCascade(**described, refines=cascade.rule.refines, gated=cascade.gated)
    return DescribedReader(ReaderDescription(reader.words, cards), network)


def _own_name(card: NetworkCard) -> str:
    """Returns a network's name without the folders of the machine on which it was described."""
    return card.name if ":" in card.name else pathlib.PurePath(card.name).name


def _described(run: Run, name: str, geometry: ReceptiveField | None) -> DescribedNetwork:
    calibration = run.calibration
    return DescribedNetwork(
        name,
        run.class_names,
        run.input_size,
        run.channels,
        run.inference_clahe,
        run.segments,
        not run.segments and run.lungs_alone,
        LungView() if run.segments else run.lung_view,
        None if calibration is None else {"abstain": calibration.get("abstain")},
        None if run.segments else run.thresholds,
        geometry,
    )


def _network(described: Mapping[str, Any]) -> DescribedNetwork:
    geometry, thresholds = described["geometry"], described["thresholds"]
    read = {
        "class_names": tuple(described["class_names"]),
        "input_size": tuple(described["input_size"]),
        "lung_view": LungView(**described["lung_view"]),
        "thresholds": None if thresholds is None else tuple(thresholds),
        "geometry": None
        if geometry is None
        else ReceptiveField(**{name: tuple(pair) for name, pair in geometry.items()}),
    }
    return DescribedNetwork(**described | read)
