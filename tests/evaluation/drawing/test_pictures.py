"""Names in figures are text, never a markup; a figure that fails is told, and costs nothing else."""

import base64
import xml.etree.ElementTree

import numpy as np
import pytest

from semenet.evaluation.drawing import pictures, plots
from semenet.evaluation.drawing.pictures import FigureWarning, picture

NAMES = (r"$\frac{$", "$a_b$ & <b>", "_hidden\x07 -- %", "{x}\\")


def svg_of(uri):
    text = base64.b64decode(uri.removeprefix("data:image/svg+xml;base64,")).decode()
    # Raises for what is no XML.
    xml.etree.ElementTree.fromstring(text)
    return text


def test_names_are_drawn_as_they_are():
    true_index = np.arange(12) % 4
    probabilities = np.full((12, 4), 0.25)
    matrix = np.eye(4, dtype=int)
    for figure in (
        plots.roc_curves(true_index, probabilities, NAMES),
        plots.precision_recall_curves(true_index, probabilities, NAMES),
        plots.confusion(matrix, NAMES),
    ):
        # matplotlib writes every text in a comment of the file.
        found = svg_of(picture("x", figure, "y")["uri"])
        assert r"$\frac{$" in found
        assert "_hidden" in found


def test_figures_of_plain_names_do_not_depend_on_it():
    """Numbers with a sign have the same glyphs as before."""
    figure = plots.confusion(np.eye(2, dtype=int), ("a", "b"))
    assert svg_of(plots.svg_uri(figure)).count("100 %") == 2


def test_a_figure_that_fails_is_told(monkeypatch):
    def fail(figure):
        raise ValueError("Expected end of text")

    monkeypatch.setattr(pictures, "svg_uri", fail)
    with pytest.warns(FigureWarning, match="'ROC curves' could not be drawn .*Expected end of text"):
        found = picture("ROC curves", None, "areas")
    assert "This figure could not be drawn." in svg_of(found["uri"])
    assert found["alt"] == "areas"
