import base64
import html.parser
import importlib.resources
import json
import os
import re

import cv2
import jsonschema
import keras
import numpy as np
import pandas as pd
import pytest

import semenet
from semenet.data.images.errors import ImageError
from semenet.data.manifest.table import ManifestError, read_manifest
from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.evaluation.explanation import heat_map_analysis
from semenet.evaluation.split_evaluation import evaluate
from semenet.inference.lung_masks import LungMasks
from semenet.models.layers.heads import ClassifierHead, SegmentationHead
from semenet.training.run_folder.run import Run

SCHEMA = json.loads(
    importlib.resources.files("semenet.evaluation").joinpath("metrics.schema.json").read_text()
)
SIDE = 32
CLASSES = ("normal", "bacteria", "virus")
DARK, MIDDLE, BRIGHT = 25, 125, 230
# file, label, patient, split, grey level: the prediction follows from the grey level.
ROWS = [
    ("n1.png", "normal", "p1", "val", DARK),
    ("n2.png", "normal", "p1", "val", DARK + 20),
    ("n3.png", "normal", "p2", "val", MIDDLE),
    ("b1.png", "bacteria", "p3", "val", MIDDLE),
    ("b2.png", "bacteria", "p4", "val", MIDDLE + 9),
    ("v1.png", "virus", "p5", "val", BRIGHT),
    ("v2.png", "virus", "p6", "val", DARK),
    ("t1.png", "normal", "p7", "train", DARK),
    ("t2.png", "virus", "p8", "train", BRIGHT),
    ("s1.png", "normal", "p9", "test", DARK),
    ("s2.png", "bacteria", "p10", "test", MIDDLE),
]


def brightness_classifier(class_names=CLASSES, activation="softmax", channels=1):
    """Returns a network that predicts normal below 0.3 of white, bacteria up to 0.7 and virus above."""
    image = keras.Input((SIDE, SIDE, channels), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(1, 1, name="conv")(x)
    x = keras.layers.Identity(name="features")(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)
    outputs = ClassifierHead(class_names, activation=activation, name="head")(x)
    model = keras.Model(image, outputs, name="brightness")
    model.get_layer("conv").set_weights(
        [np.full((1, 1, channels, 1), 1 / channels, np.float32), np.zeros(1, np.float32)]
    )
    model.get_layer("head").set_weights([np.float32([[0, 20, 40]]), np.float32([0, -6, -20])])
    return model


def expected_probabilities(grey):
    logits = np.array([0, 20 * grey / 255 - 6, 40 * grey / 255 - 20])
    return np.exp(logits) / np.exp(logits).sum()


def write_data(folder):
    for file, *_, grey in ROWS:
        cv2.imwrite(str(folder / file), np.full((40, 30), grey, np.uint8))
    frame = pd.DataFrame([row[:4] for row in ROWS], columns=["file", "label", "patient", "split"])
    frame.to_csv(folder / "manifest.csv", index=False)
    return folder


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path)


@pytest.fixture
def run(data):
    brightness_classifier().save(data / "model.keras")
    return data / "model.keras"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Folder, run and result of an evaluation of the split val."""
    folder = write_data(tmp_path_factory.mktemp("evaluated"))
    run = folder / "model.keras"
    brightness_classifier().save(run)
    returned = evaluate(run, folder / "manifest.csv", "val", out=folder / "out", batch_size=3)
    return folder, run, returned


class Page(html.parser.HTMLParser):
    """Collects the tags and the visible text of a report."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.hidden = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.hidden = tag == "style"

    def handle_endtag(self, tag):
        self.hidden = False

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_metrics_json(evaluated):
    data, run, returned = evaluated
    written = json.loads((data / "out" / "metrics.json").read_text())
    assert written == returned
    jsonschema.validate(written, SCHEMA)
    assert written["confusion_matrix"] == [[2, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert written["accuracy"] == pytest.approx(5 / 7)
    assert written["macro_f1"] == pytest.approx((2 / 3 + 4 / 5 + 2 / 3) / 3)
    # The darker, the more likely normal: 25, 45, 125 against 125, 134, 230, 25. Virus: 230, 25 against five.
    assert written["per_class.normal.auroc"] == pytest.approx((3.5 + 3 + 2.5) / 12)
    assert written["per_class"]["virus"]["auroc"] == pytest.approx((5 + 0.5) / 10)
    assert written["per_class.bacteria.precision"] == pytest.approx(2 / 3)
    assert written["per_class.virus.support"] == 2
    assert written["class_names"] == list(CLASSES)
    assert written["split"] == "val"
    assert written["manifest_sha256"] == read_manifest(data / "manifest.csv").sha256
    assert (written["count"], written["patients"]) == (7, 6)
    assert written["versions"]["semenet"] == semenet.__version__
    assert written["command"] == (
        f"semenet evaluate {run} --manifest {data / 'manifest.csv'} --split val --out {data / 'out'} "
        "--batch-size 3"
    )
    assert {path.name for path in (data / "out").iterdir()} == {
        "card.md",
        "metrics.json",
        "predictions.csv",
        "report.html",
    }


def test_predictions_csv(evaluated):
    data, *_ = evaluated
    table = pd.read_csv(data / "out" / "predictions.csv")
    assert list(table.columns) == ["file", "patient", "label", "predicted", *CLASSES]
    val = [row for row in ROWS if row[3] == "val"]
    assert table["file"].tolist() == [row[0] for row in val]
    assert table["predicted"].tolist() == [
        "normal",
        "normal",
        "bacteria",
        "bacteria",
        "bacteria",
        "virus",
        "normal",
    ]
    expected = [expected_probabilities(row[4]) for row in val]
    np.testing.assert_allclose(table[list(CLASSES)], expected, atol=1e-5)


def test_heat_maps_need_no_second_pass(data, monkeypatch):
    """Only images whose maps are compared with those of random weights are loaded again."""
    run = save_network_of_lungs_alone(data)
    asked = []
    load = LungMasks.images_with_masks
    monkeypatch.setattr(
        LungMasks,
        "images_with_masks",
        lambda self, rows, *others: asked.append(len(rows)) or load(self, rows, *others),
    )
    monkeypatch.setattr(heat_map_analysis, "MAX_RANDOMIZED", 3)
    result = evaluate(run, data / "manifest.csv", "val", out=data / "out", resamples=200)
    assert result["where"]["images"] == 7
    assert asked == [7, 3]


def test_three_channels(data):
    brightness_classifier(channels=3).save(data / "rgb.keras")
    result = evaluate(data / "rgb.keras", data / "manifest.csv", "val", out=data / "out")
    assert result["accuracy"] == pytest.approx(5 / 7)


def test_a_network_in_memory_equals_its_file(data, run):
    by_file = evaluate(run, data / "manifest.csv", "val", out=data / "by_file", resamples=200)
    model = semenet.load_model(run)
    in_memory = evaluate(model, data / "manifest.csv", "val", out=data / "in_memory", resamples=200)
    different = {name for name, value in in_memory.items() if value != by_file[name]}
    assert different == {"command", "model_sha256"}
    assert in_memory["command"].startswith("semenet evaluate brightness --manifest")


def test_clahe_is_applied_if_the_recipe_has_it(data, run, monkeypatch):
    ramp = np.tile(np.linspace(20, 90, 30, dtype=np.uint8), (40, 1))
    cv2.imwrite(str(data / "n1.png"), ramp)
    monkeypatch.setattr(Run, "inference_clahe", True)
    evaluate(run, data / "manifest.csv", "val", out=data / "out")
    table = pd.read_csv(data / "out" / "predictions.csv")
    prepared = [prepare_image(ramp, (SIDE, SIDE), 1, inference_clahe=clahe) for clahe in (True, False)]
    with_clahe, without = semenet.load_model(run).predict(np.stack(prepared), verbose=0)
    np.testing.assert_allclose(table.loc[0, list(CLASSES)].astype(float), with_clahe, atol=1e-5)
    assert abs(with_clahe - without).max() > 0.01


def test_root_changes_the_paths_but_not_the_hash(data, run):
    (data / "elsewhere").mkdir()
    manifest = (data / "manifest.csv").rename(data / "elsewhere" / "manifest.csv")
    result = evaluate(run, manifest, "val", out=data / "out", root=data)
    assert f"--root {data}" in result["command"]
    assert result["manifest_sha256"] == read_manifest(manifest).sha256


def test_report_is_complete_and_self_contained(evaluated):
    data, run, _ = evaluated
    source = (data / "out" / "report.html").read_text()
    page = Page(source)
    assert "Research use only: not a medical device" in page.text
    assert read_manifest(data / "manifest.csv").sha256 in page.text
    assert f"semenet evaluate .../{run.name}" in page.text
    assert str(data) not in source
    for fact in ("7 images of 6 patients", "0.714", "tensorflow", "train 2 2 1 0 1", "val 7 6 3 2 2"):
        assert fact in page.text
    # Precision, recall and F1, each with its interval.
    number, interval = r"\d\.\d{3}", r"(?: \d\.\d{3} to \d\.\d{3})?"
    assert re.search(rf"bacteria 2 0\.667{interval} 1\.000{interval} 0\.800{interval} {number}", page.text)
    assert any(meta.get("name") == "viewport" for meta in page.named("meta"))
    assert page.named("html") == [{"lang": "en"}]
    images = page.named("img")
    assert all(image["alt"] for image in images)
    assert all(image["src"].startswith("data:image/") for image in images)
    assert "@media print" in source
    # Percentages are always written with a space, "95 %".
    assert not re.search(r"\d%", page.text + " ".join(image["alt"] for image in images))
    # There are no external resources and no scripts.
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "object", "embed"}
    assert [link["href"] for link in page.named("link")] == ["data:,"]
    assert not re.search(r"https?://|@import|url\(", source)


def test_report_shows_right_and_wrong_examples_of_each_class(evaluated):
    data, *_ = evaluated
    page = Page((data / "out" / "report.html").read_text())
    cards = page.text.split("Example heat maps (Grad-CAM)")[1].split("Data Images and")[0]
    assert "A map has 32 x 32 cells" in cards
    assert re.findall(r"True class: (\w+)", cards) == list(CLASSES)
    assert cards.count("right normal") == 2
    assert cards.count("wrong ") == 2
    of_virus = cards.split("True class: virus")[1]
    surest = expected_probabilities(DARK)
    assert f"wrong normal: {surest[0]:.2f} ; true: virus, with probability {surest[2]:.2f} v2.png" in of_virus
    # Each card has an original and an overlay; there is one colour bar.
    alts = [image["alt"] for image in page.named("img")]
    assert sum(alt.startswith("Radiograph") for alt in alts) == 7
    assert sum(alt.startswith("Grad-CAM overlay") for alt in alts) == 7
    assert sum(alt.startswith("Colour bar") for alt in alts) == 1
    # The score of "normal" is independent of the features; the other scores increase with brightness.
    for name, found in {
        "n1": "normal, empty: no evidence for it",
        "n3": "bacteria, strongest in the upper left of the picture",
        "v1": "virus, strongest in the upper left of the picture",
        "v2": "normal, empty: no evidence for it",
    }.items():
        overlaid = alts[alts.index(f"Radiograph {name}.png") + 1]
        assert overlaid == f"Grad-CAM overlay for the prediction {found}"
    original = next(image for image in page.named("img") if image["alt"] == "Radiograph v1.png")
    decoded = np.frombuffer(base64.b64decode(original["src"].split(",")[1]), np.uint8)
    assert abs(cv2.imdecode(decoded, cv2.IMREAD_GRAYSCALE).astype(int) - BRIGHT).max() <= 2


def test_names_are_escaped(data):
    names = (r"$\frac{$", "<script>alert(1)</script>", "a & b")
    frame = pd.read_csv(data / "manifest.csv")
    frame["label"] = frame["label"].map(dict(zip(CLASSES, names, strict=True)))
    frame.to_csv(data / "manifest.csv", index=False)
    brightness_classifier(names).save(data / "odd.keras")
    evaluate(data / "odd.keras", data / "manifest.csv", "val", out=data / "out")
    page = Page((data / "out" / "report.html").read_text())
    assert "<script>alert(1)</script> 2 0.667" in page.text
    assert "<script>" not in (data / "out" / "report.html").read_text()
    assert not page.named("script")
    assert r"$\frac{$ 3 " in page.text
    assert str(data) not in page.text


def test_a_class_missing_from_the_split_is_null_and_undefined(data, run):
    result = evaluate(run, data / "manifest.csv", "test", out=data / "out")
    assert result["per_class.virus.auroc"] is None
    assert result["macro_auroc"] == 1
    assert '"auroc": null' in (data / "out" / "metrics.json").read_text()
    page = Page((data / "out" / "report.html").read_text())
    assert "virus 0 undefined undefined undefined undefined" in page.text


def test_unknown_split_is_refused(data, run):
    with pytest.raises(ManifestError, match=r"Received: 'vla'. There are: .*val \(7 rows\)"):
        evaluate(run, data / "manifest.csv", "vla", out=data / "out")
    assert not (data / "out").exists()


def test_label_unknown_to_the_network_is_refused(data):
    brightness_classifier(("normal", "bacteria", "fungus")).save(data / "other.keras")
    with pytest.raises(ManifestError, match=r"normal, bacteria, fungus, .*Received: 'virus' for v1.png"):
        evaluate(data / "other.keras", data / "manifest.csv", "val", out=data / "out")


def test_a_bad_image_is_named_and_nothing_is_written(data, run):
    (data / "b2.png").write_bytes((data / "b2.png").read_bytes()[:40])
    with pytest.raises(ImageError, match=r"b2\.png"):
        evaluate(run, data / "manifest.csv", "val", out=data / "out")
    assert not any((data / "out").iterdir())


def test_a_full_disk_keeps_the_last_evaluation(data, run, monkeypatch):
    evaluate(run, data / "manifest.csv", "val", out=data / "out", resamples=200)
    before = {path.name: path.read_bytes() for path in (data / "out").iterdir()}
    written = []

    def sync(number, own=os.fsync):
        written.append(number)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        own(number)

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(OSError, match=r"No space left on device.*metrics\.json"):
        evaluate(run, data / "manifest.csv", "test", out=data / "out", resamples=200)
    assert {path.name: path.read_bytes() for path in (data / "out").iterdir()} == before


def test_logits_are_refused(data):
    brightness_classifier(activation="linear").save(data / "logits.keras")
    with pytest.raises(ValueError, match=r"must return probabilities.*whose head has linear"):
        evaluate(data / "logits.keras", data / "manifest.csv", "val", out=data / "out")


def test_a_diverged_network_is_refused(data):
    model = brightness_classifier()
    model.get_layer("head").bias.assign([np.nan, 0, 0])
    model.save(data / "nan.keras")
    with pytest.raises(ValueError, match="NaN among 21 values"):
        evaluate(data / "nan.keras", data / "manifest.csv", "val", out=data / "out")


@pytest.fixture
def lungs(tmp_path):
    """Three images; the network finds the bright half; the masks are a half, a quarter and empty."""
    for name, bright, masked in (("a", 16, 16), ("b", 16, 8), ("c", 0, 0)):
        image, mask = np.full((SIDE, SIDE), 10, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
        image[:bright] = 240
        mask[:masked] = 255
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        cv2.imwrite(str(tmp_path / f"{name}_mask.png"), mask)
    frame = pd.DataFrame(
        [(f"{name}.png", f"{name}_mask.png", name, "val") for name in "abc"],
        columns=["file", "mask", "patient", "split"],
    )
    frame.to_csv(tmp_path / "manifest.csv", index=False)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Identity(name="features")(x)
    model = keras.Model(image, SegmentationHead(("lung",), activation="sigmoid", name="head")(x))
    model.get_layer("head").set_weights([np.float32([[[[20]]]]), np.float32([-10])])
    model.save(tmp_path / "unet.keras")
    return tmp_path


def test_segmentation(lungs):
    result = evaluate(lungs / "unet.keras", lungs / "manifest.csv", "val", out=lungs / "out", batch_size=2)
    table = pd.read_csv(lungs / "out" / "predictions.csv")
    assert list(table.columns) == ["file", "patient", "dice", "iou", "mean_iou", "hausdorff95"]
    assert table["file"].tolist() == ["a.png", "b.png", "c.png"]
    # b: IoU is 256 of 512 pixels inside and 512 of 768 outside.
    assert table["dice"].tolist() == pytest.approx([1, 2 / 3, 1])
    assert table["iou"].tolist() == pytest.approx([1, 1 / 2, 1])
    assert table["mean_iou"].tolist() == pytest.approx([1, (1 / 2 + 2 / 3) / 2, 1])
    # b: the lower edges of a half and a quarter of 32 rows are eight rows apart.
    assert table["hausdorff95"].tolist() == [0, 8, 0]
    assert result["dice"] == pytest.approx((2 + 2 / 3) / 3)
    assert result["hausdorff95"] == pytest.approx(8 / 3)
    assert result["hausdorff95_undefined"] == 0
    jsonschema.validate(result, SCHEMA)
    assert result["mean_iou"] == pytest.approx((2 + 7 / 12) / 3)
    assert (result["count"], result["patients"], result["split"]) == (3, 3, "val")
    page = Page((lungs / "out" / "report.html").read_text())
    assert "Mean IoU 0.861" in page.text
    assert "Dice: worst Dice 0.667 ; IoU 0.500, at 32 x 32 b.png" in page.text
    alts = [image["alt"] for image in page.named("img")]
    outlined = alts[alts.index("Radiograph b.png") + 1]
    assert not re.search(r"\d%", page.text + " ".join(alts))
    assert outlined == "Outlines of the true mask, 25 % of the image, and of the predicted mask, 50 %"


def test_segmentation_needs_masks(lungs):
    frame = pd.read_csv(lungs / "manifest.csv").drop(columns="mask")
    frame.to_csv(lungs / "manifest.csv", index=False)
    with pytest.raises(ManifestError, match="mask"):
        evaluate(lungs / "unet.keras", lungs / "manifest.csv", "val", out=lungs / "out")


def test_one_class_alone_is_null_and_undefined(data, run):
    frame = pd.read_csv(data / "manifest.csv")
    frame[(frame["split"] != "val") | (frame["label"] == "normal")].to_csv(data / "manifest.csv", index=False)
    result = evaluate(run, data / "manifest.csv", "val", out=data / "out", resamples=200)
    for name in ("macro_auroc", "macro_average_precision", "per_class.normal.average_precision"):
        assert result[name] is result["intervals"][name] is None
    # Two of three normal images are dark.
    assert result["accuracy"] == pytest.approx(2 / 3)
    jsonschema.validate(json.loads((data / "out" / "metrics.json").read_text()), SCHEMA)
    card = (data / "out" / "card.md").read_text()
    assert "| Macro AUROC | undefined |" in card
    assert "| Macro average precision | undefined |" in card
    page = Page((data / "out" / "report.html").read_text())
    assert "Average precision: normal undefined, bacteria undefined" in " ".join(
        image["alt"] for image in page.named("img")
    )


def test_an_empty_split_name_and_missing_columns_are_refused(data, run):
    with pytest.raises(ManifestError, match=r"Received: ''. There are: .*val \(7 rows\)"):
        evaluate(run, data / "manifest.csv", "", out=data / "out")
    with pytest.raises(SemenetError, match="Received: 'hospital'. Available: file, label, patient, split"):
        evaluate(run, data / "manifest.csv", "val", out=data / "out", by=("split", "hospital"))
    assert not (data / "out").exists()


def test_a_default_column_with_too_many_values_is_left_out(data, run):
    frame = pd.concat([pd.read_csv(data / "manifest.csv")[:7]] * 3, ignore_index=True)
    for number, file in enumerate(frame["file"]):
        (data / f"{number}_{file}").write_bytes((data / file).read_bytes())
    frame["file"] = [f"{number}_{file}" for number, file in enumerate(frame["file"])]
    frame["source"] = [f"clinic {number}" for number in range(21)]
    frame.assign(sex=["F", "M", "F"] * 7).to_csv(data / "manifest.csv", index=False)
    with pytest.warns(UserWarning, match="No subgroups by source"):
        result = evaluate(run, data / "manifest.csv", "val", out=data / "out", resamples=200)
    assert list(result["subgroups"]) == ["sex"]
    with pytest.raises(SemenetError, match="Received: 21 values in 'source'"):
        evaluate(run, data / "manifest.csv", "val", out=data / "other", by=("source",))
    assert not (data / "other").exists()


def save_network_of_lungs_alone(data):
    """Saves the network as one that takes lungs alone, and writes masks of the left half."""
    model = brightness_classifier()
    model.get_layer("head").lungs_alone = True
    model.save(data / "alone.keras")
    mask = np.zeros((40, 30), np.uint8)
    mask[:, :15] = 255
    frame = pd.read_csv(data / "manifest.csv")
    for number in range(len(frame)):
        cv2.imwrite(str(data / f"mask{number}.png"), mask)
    frame["mask"] = [f"mask{number}.png" for number in range(len(frame))]
    frame.to_csv(data / "manifest.csv", index=False)
    return data / "alone.keras"


def test_a_network_that_takes_lungs_alone(data):
    run = save_network_of_lungs_alone(data)
    result = evaluate(run, data / "manifest.csv", "val", out=data / "out", resamples=200)
    table = pd.read_csv(data / "out" / "predictions.csv")
    for values, row in zip(table[list(CLASSES)].to_numpy(), ROWS[:7], strict=True):
        np.testing.assert_allclose(values, expected_probabilities(row[4] / 2), atol=1e-4)
    assert result["where"]["masks"] == "the manifest's masks"
    assert result["where"]["classes"]["bacteria"]["lung_area"]["mean"] == pytest.approx(0.5)
    assert "lungs alone" in (data / "out" / "card.md").read_text()


def test_heat_maps_by_another_method_and_layer(evaluated, tmp_path):
    """All else stays the same."""
    folder, run, default = evaluated
    chosen = {"map_method": "layer_cam", "map_layer": "conv"}
    found = evaluate(run, folder / "manifest.csv", "val", out=tmp_path, batch_size=3, **chosen)
    assert found["where"]["method"] == found["where"]["sanity"]["method"] == "layer-cam"
    assert found["where"]["sanity"]["layer"] == "conv"
    assert found["command"].endswith("--map-method layer_cam --map-layer conv")
    assert (tmp_path / "predictions.csv").read_bytes() == (folder / "out" / "predictions.csv").read_bytes()
    assert found["intervals"] == default["intervals"]
    assert "Example heat maps (LayerCAM of conv)" in (tmp_path / "report.html").read_text()
    jsonschema.validate(found, SCHEMA)
    with pytest.raises(SemenetError, match=r"Received: 'featurse'.*Did you mean features"):
        evaluate(run, folder / "manifest.csv", "val", out=tmp_path, map_layer="featurse")


@pytest.mark.parametrize("network", ["alone.keras", pytest.param("model.keras", marks=pytest.mark.slow)])
def test_images_with_bad_masks_are_skipped_only_if_the_mask_is_needed(data, run, network):
    save_network_of_lungs_alone(data)
    (data / "mask1.png").write_bytes(b"none")
    with pytest.raises(ImageError, match=r"mask1\.png"):
        evaluate(data / network, data / "manifest.csv", "val", out=data / "out")
    result = evaluate(
        data / network,
        data / "manifest.csv",
        "val",
        out=data / "out",
        on_error="skip",
        skip_at_most=0.2,
        resamples=200,
    )
    assert [skipped["file"] for skipped in result["skipped"]] == ["n2.png"]
    needed = network == "alone.keras"
    assert result["count"] == (6 if needed else 7)
    assert result["skipped"][0]["reason"].startswith("only its mask was left out") == (not needed)


@pytest.mark.parametrize("content", [b"none", cv2.imencode(".png", np.zeros((40, 31)))[1].tobytes()])
def test_bad_masks_for_heat_maps_are_reported_before_the_evaluation(content, data, run, monkeypatch):
    save_network_of_lungs_alone(data)
    (data / "mask1.png").write_bytes(content)
    monkeypatch.setattr(LungMasks, "network_inputs", lambda *arguments: pytest.fail("evaluation started"))
    with pytest.raises(ImageError, match=r"locate the heat maps.*Received: 1 that.*mask1\.png.*--on-error"):
        evaluate(run, data / "manifest.csv", "val", out=data / "out")


def test_missing_masks_are_refused_before_the_evaluation(data):
    run = save_network_of_lungs_alone(data)
    frame = pd.read_csv(data / "manifest.csv")
    frame.loc[3, "mask"] = ""
    frame.to_csv(data / "manifest.csv", index=False)
    for on_error in ("raise", "skip"):
        with pytest.raises(
            SemenetError, match=r"Received: 1 of 7 images without a mask.*first b1\.png.*--lungs"
        ):
            evaluate(run, data / "manifest.csv", "val", out=data / "out", on_error=on_error)
    assert not (data / "out").exists()
