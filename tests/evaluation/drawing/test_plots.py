import base64

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.evaluation.drawing import plots

TRUE = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.6, 0.3, 0.1],
        [0.2, 0.5, 0.3],
        [0.1, 0.7, 0.2],
        [0.3, 0.4, 0.3],
        [0.25, 0.15, 0.6],
    ]
)
CLASSES = ("normal", "bacteria", "virus")


def legend_texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_roc_curves():
    axes = plots.roc_curves(TRUE, PROBABILITIES, CLASSES).axes[0]
    assert legend_texts(axes.get_legend()) == ["normal: 0.778", "bacteria: 0.875", "virus: 1.000"]
    # bacteria: 0.7, then the false positive 0.5, then 0.4 before all others.
    line = next(line for line in axes.lines if line.get_label().startswith("bacteria"))
    np.testing.assert_allclose(line.get_xydata(), [(0, 0), (0, 0.5), (0.25, 0.5), (0.25, 1), (1, 1)])
    styles = {(line.get_color(), line.get_linestyle()) for line in axes.lines[1:]}
    assert len({colour for colour, _ in styles}) == len({dash for _, dash in styles}) == 3


def test_roc_curves_of_a_class_without_images():
    axes = plots.roc_curves(TRUE[:5], PROBABILITIES[:5], CLASSES).axes[0]
    assert legend_texts(axes.get_legend())[2] == "virus: undefined"


def test_curves_are_undefined_if_all_images_have_one_class():
    for curves in (plots.roc_curves, plots.precision_recall_curves):
        axes = curves(TRUE[:3], PROBABILITIES[:3], CLASSES).axes[0]
        assert legend_texts(axes.get_legend()) == [f"{name}: undefined" for name in CLASSES]


def test_confusion_shows_counts_and_shares():
    axes = plots.confusion([[2, 1, 0], [0, 2, 0], [0, 0, 0]], CLASSES).axes[0]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    # Positions are (column, row): columns predicted, rows true.
    assert shown[0, 0] == "2\n67 %"
    assert shown[1, 0] == "1\n33 %"
    assert shown[0, 1] == "0\n0 %"
    assert shown[2, 2] == "0\n0 %"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted", "True")
    assert [label.get_text() for label in axes.get_yticklabels()] == list(CLASSES)


def test_reliability_diagram():
    before = metrics.reliability(TRUE, PROBABILITIES, bins=5)
    softer = metrics.apply_temperature(PROBABILITIES, 2.0)
    after = metrics.reliability(TRUE, softer, bins=5)
    axes, counts = plots.reliability_diagram(before, after).axes
    assert legend_texts(axes.get_legend()) == ["before calibration", "after calibration"]
    diagonal, line, other = axes.lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [(0, 0), (1, 1)])
    # Confidences 0.4; 0.5, 0.6, 0.6; 0.7, 0.8: all are right in the first and the last bin.
    np.testing.assert_allclose(line.get_xydata(), [(0.4, 1), (1.7 / 3, 2 / 3), (0.75, 1)])
    assert other.get_xydata()[-1, 0] < 0.75
    sizes = axes.collections[0].get_sizes()
    assert sizes[1] == max(sizes)
    steps = [patch.get_data() for patch in counts.patches]
    assert [step.values.tolist() for step in steps] == [[0, 1, 3, 2, 0], after["count"].tolist()]
    assert steps[0].edges.tolist() == before["edges"].tolist()
    assert len({(line.get_color(), line.get_linestyle()) for line in (line, other)}) == 2


def test_reliability_diagram_of_one_network_has_no_legend():
    axes, counts = plots.reliability_diagram(metrics.reliability(TRUE, PROBABILITIES)).axes
    assert axes.get_legend() is None
    assert len(counts.patches) == 1


def test_training_curves():
    history = pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "accuracy": [0.4, 0.5, 0.6],
            "loss": [1.2, 1.0, 0.9],
            "val_loss": [1.3, 1.2, 1.1],
            "val_macro_auroc": [0.5, np.nan, 0.7],
            "learning_rate": [1e-3] * 3,
        }
    )
    figures = plots.training_curves(history, best_epoch=3)
    assert legend_texts(figures["losses"].legends[0]) == ["loss", "val_loss", "best: epoch 3"]
    assert legend_texts(figures["metrics"].legends[0]) == ["accuracy", "val_macro_auroc", "best: epoch 3"]
    np.testing.assert_array_equal(figures["losses"].axes[0].lines[1].get_ydata(), [1.3, 1.2, 1.1])
    assert legend_texts(plots.training_curves(history)["losses"].legends[0]) == ["loss", "val_loss"]


def test_a_single_epoch_is_drawn_as_a_dot():
    figures = plots.training_curves(pd.DataFrame({"epoch": [1], "loss": [1.0]}))
    assert list(figures) == ["losses"]
    assert figures["losses"].axes[0].lines[0].get_marker() == "o"


def test_outlines_follow_the_mask_borders():
    image = np.full((40, 40), 100, np.uint8)
    true, predicted = np.zeros((40, 40), np.uint8), np.zeros((40, 40), bool)
    true[5:20, 5:35] = 1
    predicted[5:36, 5:35] = True
    picture = plots.outlines(image, true, predicted)
    assert (image == 100).all()
    assert tuple(picture[35, 20]) == plots.PREDICTED_COLOUR
    assert tuple(picture[19, 20]) == plots.TRUE_COLOUR
    # Where both masks end, the broad outline is visible beside the thin one.
    assert tuple(picture[5, 20]) == plots.PREDICTED_COLOUR
    assert tuple(picture[3, 20]) == plots.TRUE_COLOUR
    assert tuple(picture[12, 20]) == tuple(picture[38, 38]) == (100, 100, 100)


def test_svg_uri_is_an_svg_and_reproducible():
    uris = [plots.svg_uri(plots.roc_curves(TRUE, PROBABILITIES, CLASSES)) for _ in range(2)]
    assert uris[0] == uris[1]
    head, content = uris[0].split(",")
    assert head == "data:image/svg+xml;base64"
    assert b"<svg" in base64.b64decode(content)


def test_colour_bar_runs_from_black_to_light_yellow():
    image = plots.colour_bar().axes[0].images[0]
    colours = image.cmap(image.norm(image.get_array()))[0, :, :3]
    assert colours[0].max() < 0.02
    assert colours[-1].min() > 0.6
