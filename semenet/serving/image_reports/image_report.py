"""The report on one image: plain data, and its view in a notebook."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

Outcome = Literal["answer", "abstain", "rejected", "error"]


@dataclasses.dataclass(frozen=True)
class NetworkReport:
    """What one network received of an image, and what it returned.

    Attributes:
        title: the network's place, such as "Stage 1", "Stage 2" or "Network".
        question: what it was asked, in words.
        name: its path, or `ENTRY:NAME` of published weights.
        given: what it received, in words.
        input_size: `(height, width)` of what it received, in pixels.
        input_picture: that image, as the bytes of a WebP file.
        class_names: the K classes; none for a segmentation network.
        probabilities: the K probabilities, calibrated if the network is.
        confidence: the lowest probability of the predicted class at which it answers; None where it was not
            chosen.
        thresholds: for sigmoid outputs, the probability from which on each class is reported; None for
            others.
        explained: the class that the heat map explains, "" without one.
        heat_map: float32 `(h, w)` in [0, 1]; None for a segmentation network.
        map_picture: the radiograph with the heat map in colour, as the bytes of a WebP file; None without.
        map_layer: the heat map alone, transparent where it is 0, likewise.
        in_lungs: the share of the heat map inside the lungs; None where there is no map, no heat or no lungs.
        lung_area: the lungs' share of what the network saw, which a uniform map would have; None likewise.

    Example:
        >>> stage1, stage2 = semenet.look("images/000000.png", "cascade")[0].networks
        >>> stage1.class_names, stage1.given
        (('normal', 'bacteria', 'virus'), 'the whole image, 32 x 32 pixels')
    """

    title: str
    question: str
    name: str
    given: str
    input_size: tuple[int, int]
    input_picture: bytes = dataclasses.field(repr=False)
    class_names: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    confidence: float | None = None
    thresholds: tuple[float, ...] | None = None
    explained: str = ""
    heat_map: np.ndarray | None = dataclasses.field(default=None, repr=False)
    map_picture: bytes | None = dataclasses.field(default=None, repr=False)
    map_layer: bytes | None = dataclasses.field(default=None, repr=False)
    in_lungs: float | None = None
    lung_area: float | None = None


@dataclasses.dataclass(frozen=True)
class ImageReport:
    """What was found for one image file.

    A notebook shows it with its pictures.

    Attributes:
        file: the file's path, by `semenet.storage.file_names.shown_name`.
        outcome: "answer"; "abstain", where a stage was not sure enough; "rejected" by the input gate; or
            "error" for a file that cannot be read.
        predicted: as in the table of `semenet.predict`; "error" for a file that cannot be read.
        sentences: the result and the reason for it, in plain words.
        row: the values of the table of `semenet.predict` for this file.
        probabilities: dict of each class to its final probability; empty if there is none to show.
        facts: pairs of a name and a sentence, such as what the input gate found.
        cautions: sentences on what speaks against the answer.
        size: `(height, width)` of the image in pixels; None for a file that cannot be read.
        film: the image, shrunk to at most 640 pixels, as the bytes of a WebP file; None likewise.
        thumbnail: the same with at most 112 pixels.
        lungs_outline: the outline of the lungs, as the path of an SVG in the unit square times 1,000; "" if
            none were found.
        box: top, left, bottom and right of the part that the last network received, as shares of the image;
            None if that is the whole image.
        networks: what each network received and returned; none for an image that the gate rejects.

    Example:
        >>> report = semenet.look("images/000000.png", "cascade")[0]
        >>> report.outcome
        'answer'
        >>> [network.title for network in report.networks]
        ['Stage 1', 'Stage 2']
        >>> len(report.sentences)
        2
    """

    file: str
    outcome: Outcome
    predicted: str
    sentences: tuple[str, ...]
    row: tuple = dataclasses.field(repr=False)
    probabilities: dict[str, float] = dataclasses.field(default_factory=dict)
    facts: tuple[tuple[str, str], ...] = ()
    cautions: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    film: bytes | None = dataclasses.field(default=None, repr=False)
    thumbnail: bytes | None = dataclasses.field(default=None, repr=False)
    lungs_outline: str = dataclasses.field(default="", repr=False)
    box: tuple[float, float, float, float] | None = None
    networks: tuple[NetworkReport, ...] = ()

    def _repr_html_(self) -> str:
        from semenet.serving.image_reports.page import render_reports

        return render_reports([self])
