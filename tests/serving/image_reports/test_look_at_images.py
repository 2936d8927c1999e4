"""`semenet look`: the numbers of `semenet predict`, with pictures, words and a row for every file."""

import re
from urllib.parse import unquote

import cv2
import numpy as np
import pandas as pd
import pytest
from hand_made_networks import (
    brightness_network,
    calibrate_by_hand,
    chest_image,
    threshold_unet,
    viewed_classifier,
)

import semenet
from semenet.cli.main import main
from semenet.data.phantom.frontal import draw_radiograph
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.cascade.published_cascade import PUBLISHED_CASCADE
from semenet.serving.image_reports.reader_description import describe_network
from semenet.training.run_folder.run import Run

STAGE2 = ("other_viral", "COVID-19")
WEBP = re.compile(rb"RIFF....WEBP", re.DOTALL)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Folder of hand-made networks: stage 1 abstains unless it is sure."""
    folder = tmp_path_factory.mktemp("networks")
    one = brightness_network(folder / "one.keras", ("normal", "bacteria", "virus"), [0.0, 0.01, 0.02])
    calibrate_by_hand(one, 1.0, {"target_accuracy": 0.9, "confidence": 0.7, "coverage": 1.0, "accuracy": 1.0})
    threshold_unet(folder / "unet.keras")
    brightness_network(folder / "two.keras", STAGE2, [0.0, 0.05], size=(32, 56), alone=True)
    viewed_classifier(folder / "boxed.keras", ("normal", "virus"), (40, 48), lungs_box=True)
    return folder


@pytest.fixture(scope="module")
def saved(networks):
    cascade = Cascade(networks / "one.keras", networks / "unet.keras", networks / "two.keras")
    return cascade.save(networks / "cascade")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two phantoms, an image of dark lungs, a colour photograph, and a damaged file."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(2):
        cv2.imwrite(
            str(folder / f"film {number}.png"), draw_radiograph("normal", size=256, seed=number).image
        )
    cv2.imwrite(str(folder / "chest.png"), chest_image((200, 260), seed=1))
    photograph = np.zeros((120, 120, 3), np.uint8)
    photograph[:, :60] = (20, 160, 240)
    cv2.imwrite(str(folder / "photograph.png"), photograph)
    (folder / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def reports(saved, films):
    return semenet.look(films, saved)


def by_name(reports, name):
    return next(report for report in reports if report.file.endswith(name))


def test_the_numbers_are_those_of_predict(reports, saved, films, tmp_path):
    expected = semenet.predict(saved, films, maps=tmp_path / "maps")
    pd.testing.assert_frame_equal(reports.table(), expected)
    assert {report.outcome for report in reports} >= {"rejected", "error"}


def test_an_unreadable_file_is_a_report_with_the_reason(reports):
    broken = by_name(reports, "broken.png")
    assert (broken.outcome, broken.predicted, broken.networks) == ("error", "error", ())
    assert "broken.png" in broken.sentences[1]


def test_a_photograph_is_refused_and_shows_no_probability(reports):
    photograph = by_name(reports, "photograph.png")
    assert photograph.outcome == "rejected"
    assert "it is in colour" in photograph.sentences[0]
    assert (photograph.probabilities, photograph.networks) == ({}, ())
    assert WEBP.match(photograph.film)


def test_what_each_stage_received_and_where_it_looked(saved, films):
    """Of an image whose lungs are known: stage 2 receives them alone, and a uniform map has their share."""
    cascade = Cascade.open(saved)
    cascade = Cascade(cascade.stage1, cascade.lungs, cascade.stage2, gated=False)
    (report,) = semenet.look(films / "chest.png", cascade)
    first, second = report.networks
    assert first.given == "the whole image, 40 x 48 pixels"
    assert second.given == "the lungs alone with all else black, 56 x 32 pixels"
    received = cv2.imdecode(np.frombuffer(second.input_picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert received.shape == second.input_size == (32, 56)
    assert received[0].max() < 12
    assert received[12:20, 12:20].min() > 20
    # Half of the height, and 7/30 of the width for each lung, less what rounding takes.
    assert first.lung_area == pytest.approx(0.22, abs=0.02)
    assert 0 < first.in_lungs < 1
    assert report.lungs_outline.count("M") == 2
    assert dict(report.facts)["Input gate"] == "Not used."


@pytest.mark.parametrize("network", ["boxed", "one"])
def test_a_classifier_gets_the_view_it_can(networks, films, network):
    file, lungs = films / "chest.png", networks / "unet.keras"
    options = {"lungs": lungs, "gated": False}
    looked = semenet.look([file, films / "broken.png"], networks / f"{network}.keras", **options)
    expected = semenet.predict(networks / f"{network}.keras", file, **options)
    pd.testing.assert_frame_equal(looked.table()[:1], expected)
    assert looked[1].outcome == "error"
    (view,) = looked[0].networks
    if network == "boxed":
        assert view.given == "the box around the lungs, 48 x 40 pixels"
        top, left, bottom, right = looked[0].box
        assert (top, left, bottom, right) == pytest.approx((0.23, 0.14, 0.77, 0.86), abs=0.02)
    else:
        assert (view.confidence, looked[0].box) == (0.7, None)


def test_a_segmentation_network_shows_the_lungs_alone(networks, films):
    file = films / "chest.png"
    looked = semenet.look(file, networks / "unet.keras", gated=False)
    expected = semenet.predict(networks / "unet.keras", file, gated=False)
    pd.testing.assert_frame_equal(looked.table(), expected)
    (refused,) = semenet.look(films / "photograph.png", networks / "unet.keras")
    assert (refused.outcome, refused.networks) == ("rejected", ())
    assert looked[0].sentences[0] == "Lung: 22 % of the image."
    assert looked[0].lungs_outline.count("M") == 2
    assert looked[0].networks[0].map_picture is None


def test_the_page_stands_alone(reports, tmp_path):
    text = reports.save(tmp_path / "findings.html").read_text(encoding="utf-8")
    for report in reports:
        assert all(text.count(str(sentence).split("'")[0][:40]) for sentence in report.sentences)
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*", text)
    assert "default-src 'none'" in text
    assert text.count("Research use only") >= len(reports)
    # Hand-made networks have no card, and the page says so.
    assert text.count("nobody has written down what it is bad at") == 3
    assert [file.name for file in tmp_path.iterdir()] == ["findings.html"]


def test_pictures_beside_the_page(reports, tmp_path):
    text = reports.save(tmp_path / "my findings.html", assets=True).read_text(encoding="utf-8")
    named = set(re.findall(r"src=\"([^\"]+)\"", text))
    files = {str(file.relative_to(tmp_path)) for file in (tmp_path / "my findings_files").iterdir()}
    assert {unquote(name) for name in named} == files
    assert "data:image/webp" not in text
    assert all(WEBP.match((tmp_path / name).read_bytes()) for name in files)


def test_a_notebook_shows_the_reports(reports):
    shown = reports._repr_html_()
    assert shown.count('class="sl-report"') == len(reports)
    assert "<script" not in shown
    assert by_name(reports, "photograph.png").sentences[0] in by_name(reports, "photograph.png")._repr_html_()


def test_the_command_prints_a_table_and_writes_the_page(saved, films, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    out = tmp_path / "new" / "findings.html"
    main(["look", str(films), "--with", str(saved), "--out", str(out)])
    printed = capsys.readouterr().out
    assert "photograph.png" in printed
    assert "Research use only" in printed
    assert printed.splitlines()[-1].startswith("5 images: ")
    assert printed.splitlines()[-1].endswith(f"Open {out}")
    assert out.is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "findings.pdf"], "must be an .html file"),
        (["--lungs", "unet:lung"], "has its own segmentation network"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    saved, films, tmp_path, capsys, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as raised:
        main(["look", str(films), "--with", str(saved), *options])
    assert raised.value.code == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_published_networks_have_cards_that_say_what_they_are_bad_at():
    for name in PUBLISHED_CASCADE[:3]:
        (card,) = describe_network(Run.open(name), None).cards
        assert card.name == name
        assert card.cautions
        assert card.not_for
