"""What the server reports of a file: the same as `semenet look`, for each kind of model."""

import base64
import json
import types

import cv2
import numpy as np
import pytest
from hand_made_networks import brightness_network, chest_image, threshold_unet, viewed_classifier

import semenet
from semenet.data.images.errors import ImageError
from semenet.data.phantom.frontal import draw_radiograph
from semenet.serving.exports.saved_model import DESCRIPTION, export
from semenet.serving.image_reports.report_json import report_json, report_pictures
from semenet.serving.server.page.routes import _content
from semenet.serving.server.page.served_reports import ServedReports
from semenet.serving.server.request_errors import RequestError
from semenet.serving.server.served_model import ServedModel

FIELDS = ("outcome", "predicted", "sentences", "facts", "cautions", "size", "lungs_outline", "box")
NETWORK_FIELDS = ("title", "question", "given", "class_names", "confidence", "thresholds", "explained")


def report_on(model, path):
    """The report on a file, as the route makes it."""
    reports = ServedReports(model)
    file = reports.read(path.read_bytes(), str(path))
    return reports.report(file, model.compute(reports.signature, file.inputs))


def assert_same(served, looked):
    """Compares what the two reports show, but for the names of networks and the picture of the film."""
    found, expected = report_json(served), report_json(looked)
    assert {name: found[name] for name in FIELDS} == {name: expected[name] for name in FIELDS}
    assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
    assert len(found["networks"]) == len(expected["networks"])
    for one, other in zip(found["networks"], expected["networks"], strict=True):
        assert {name: one[name] for name in NETWORK_FIELDS} == {name: other[name] for name in NETWORK_FIELDS}
        np.testing.assert_allclose(one["probabilities"], other["probabilities"], atol=1e-5)
        for name in ("in_lungs", "lung_area"):
            assert one[name] == pytest.approx(other[name], abs=1e-4)
    pictures, others = report_pictures(served), report_pictures(looked)
    assert set(pictures) == set(others)
    # What a network received is the same to the pixel.
    assert all(pictures[name] == others[name] for name in pictures if name.startswith("input"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    cv2.imwrite(str(folder / "film.png"), draw_radiograph("normal", size=256, seed=1).image)
    cv2.imwrite(str(folder / "chest.png"), chest_image((200, 260), seed=1))
    photograph = np.zeros((120, 120, 3), np.uint8)
    photograph[:, :60] = (20, 160, 240)
    cv2.imwrite(str(folder / "photograph.png"), photograph)
    (folder / "film.tif").write_bytes(b"II*\0")
    return folder


def test_a_cascade_reports_as_look_does(cascade_model, cascade_folder, folder):
    files = [folder / name for name in ("film.png", "chest.png", "photograph.png")]
    looked = semenet.look(files, cascade_folder)
    assert {report.outcome for report in looked} > {"rejected"}
    for file, expected in zip(files, looked, strict=True):
        assert_same(report_on(cascade_model, file), expected)


@pytest.mark.parametrize("kind", ["boxed", "whole", "unet"])
def test_another_network_gets_the_view_it_can(folder, tmp_path, kind):
    unet = threshold_unet(tmp_path / "unet.keras")
    network = {
        "boxed": lambda path: viewed_classifier(path, ("normal", "virus"), (40, 48), lungs_box=True),
        "whole": lambda path: brightness_network(path, ("normal", "virus"), [0.0, 0.01]),
        "unet": threshold_unet,
    }[kind](tmp_path / f"{kind}.keras")
    lungs = {"lungs": unet} if kind == "boxed" else {}
    model = ServedModel(export(network, tmp_path / "saved", **lungs))
    files = [folder / "film.png", folder / "photograph.png"]
    looked = semenet.look(files, network, **({} if kind == "unet" else {"lungs": unet}))
    served = [report_on(model, file) for file in files]
    assert served[1].outcome == looked[1].outcome == "rejected"
    if kind == "whole":
        # No network of the model finds the lungs.
        assert dict(served[0].facts)["Lungs"].startswith("Not looked for")
        assert served[0].probabilities == pytest.approx(looked[0].probabilities, abs=1e-5)
        assert (served[0].lungs_outline, served[0].networks[0].in_lungs) == ("", None)
    else:
        assert_same(served[0], looked[0])


def test_the_answer_names_every_picture_that_its_html_shows(cascade_model, folder):
    content = json.loads(_content(report_on(cascade_model, folder / "film.png"), for_page=True))
    parts = content["html"].split('src="')[1:]
    names = {part.partition('"')[0] for part in parts}
    assert names == set(content["pictures"]) >= {"film", "thumbnail", "input1", "map2", "layer2"}
    film = base64.b64decode(content["pictures"]["film"]["b64"])
    decoded = cv2.imdecode(np.frombuffer(film, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, semenet.read_image(folder / "film.png"))


def test_other_formats_are_refused_in_words(cascade_model, folder):
    with pytest.raises(ImageError, match="PNG, JPEG and DICOM"):
        ServedReports(cascade_model).read((folder / "film.tif").read_bytes(), "film.tif")


@pytest.mark.parametrize("change", ["missing", "earlier"])
def test_a_model_without_a_description_is_named(tmp_path, change):
    if change == "earlier":
        (tmp_path / DESCRIPTION).parent.mkdir()
        (tmp_path / DESCRIPTION).write_text('{"network": "cascade"}')
    with pytest.raises(RequestError, match="Export it again"):
        ServedReports(types.SimpleNamespace(path=tmp_path, name="m", signatures={}))
