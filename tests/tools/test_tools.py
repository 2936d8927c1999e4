"""The maintainers' scripts run: the demo whole, the benchmark and the constraints in short."""

import json
import pathlib
import re
import time
import types

import cv2
import numpy as np
import pandas as pd
import pytest
from maintainers_tools import run_tool, start_tool

from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image
from semenet.data.manifest.table import read_manifest
from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.models.entries import CATALOG
from semenet.training.run_folder.run import Run


@pytest.mark.slow
def test_the_demo_goes_the_whole_path_and_says_where_the_report_is(tmp_path):
    out = tmp_path / "demo"
    # In a process of its own, where TensorFlow's messages would appear.
    result = start_tool("demo.py", "--out", out, "--count", 45, "--size", 64, "--epochs", 1)
    assert result.returncode == 0, result.stderr
    report = re.search(r"Report: +(\S+)", result.stdout)[1]
    assert pathlib.Path(report) == out / "evaluation" / "report.html"
    assert pathlib.Path(report).is_file()
    assert len(list((out / "maps").glob("*_overlay.png"))) == 6
    assert len(re.findall(r"\.png  normal \d\.\d{3}", result.stdout)) == 6
    last = result.stdout.splitlines()[-1]
    assert last == f"Open this page, which shows 9 held-back phantoms: {out / 'findings.html'}"
    assert (out / "findings.html").is_file()
    for text in (
        result.stdout,
        (out / "evaluation" / "card.md").read_text(),
        pathlib.Path(report).read_text(),
    ):
        assert "All 9 images are synthetic" in text
    for noise in ("cudart", "absl", "oneDNN", "cuInit"):
        assert noise not in result.stderr


def test_the_demo_replaces_nobody_s_folder(tmp_path):
    (tmp_path / "thesis.txt").touch()
    result = run_tool("demo.py", "--out", tmp_path)
    assert result.returncode == 1
    assert "Received: " in result.stderr
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.slow
def test_the_benchmark_measures_an_entry_beside_its_plain_backbone(tmp_path):
    out = tmp_path / "bench.csv"
    options = ("--size", 32, "--batch-size", 2, "--pairs", 1, "--out", out)
    result = run_tool("bench/models.py", "vgg19_gap", *options)
    assert result.returncode == 0, result.stderr
    row = pd.read_csv(out).iloc[0]
    assert row["entry"] == "vgg19_gap"
    assert row["parameters"] == CATALOG["vgg19_gap"].parameters
    assert row[["build_s", "first_step_s", "train_images_s", "predict_images_s"]].gt(0).all()
    assert row[["train_ratio", "predict_ratio"]].between(0.1, 10).all()


@pytest.mark.slow
def test_the_pipeline_s_benchmark_times_all_that_is_installed(phantoms):
    result = run_tool("bench/pipeline.py", "--manifest", phantoms, "--size", 32, "--rounds", 1)
    assert result.returncode == 0, result.stderr
    assert "45 images to 32 x 32" in result.stdout
    for name in ("semenet", "semenet, lungs' box", "OpenCV, INTER_LINEAR", "OpenCV, INTER_AREA"):
        speed, ratio = re.search(rf"{name} +(\d+) +\d+ +\d+ +(\d+\.\d+)", result.stdout).groups()
        assert int(speed) > 0
        assert float(ratio) > 0
    assert ("PyTorch" in result.stdout) or ("is skipped" in result.stdout)
    assert len(re.findall(r"^cache \w+.*: images/s by epoch", result.stdout, re.MULTILINE)) == 6


@pytest.mark.slow
def test_the_manifest_s_benchmark_times_every_step():
    result = run_tool("bench/manifest.py", "--rows", 3000, "--patients", 900)
    assert result.returncode == 0, result.stderr
    assert len(re.findall(r"\d+\.\d\d s$", result.stdout, re.MULTILINE)) >= 3


def test_the_lowest_versions_are_those_of_setup_cfg():
    lines = run_tool("lowest.py").stdout.split()
    assert "keras==3.15" in lines
    assert "jax==0.7" in lines
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines)


@pytest.mark.slow
def test_the_evaluation_benchmark_measures_it_beside_inference(phantoms):
    small = ("--entry", "vgg19_gap", "--size", 32, "--width", 0.125)
    result = run_tool("bench/evaluation.py", "--manifest", phantoms, *small)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^12 images of 9 patients, vgg19_gap at 32 x 32$", result.stdout, re.MULTILINE)
    assert float(re.search(r"([\d.]+) times inference", result.stdout)[1]) > 1


@pytest.mark.slow
def test_the_training_benchmark_measures_waiting_with_and_without_a_cache(phantoms, tmp_path):
    out = tmp_path / "bench.csv"
    options = ("--size", 32, "--width", 0.125, "--batch-size", 8, "--steps", 3, "--rounds", 2, "--out", out)
    result = run_tool("bench/training.py", "vgg19_gap", "--manifest", phantoms, *options)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(out)
    assert table["beside"].tolist() == ["cache none", "cache memory"]
    assert table["waiting"].between(0, 1).all()
    assert table["images_s"].gt(0).all()
    assert "timm is skipped" in result.stdout


def test_the_training_benchmark_counts_the_time_in_next_as_waiting(tool):
    """A step of 10 ms fed by a source that takes 30 ms a batch: three quarters are waiting."""

    def source():
        while True:
            time.sleep(0.03)
            yield np.zeros((4, 1)), None

    model = types.SimpleNamespace(train_on_batch=lambda images, targets: time.sleep(0.01))
    seconds, waited, images = tool("bench/training").block(model, source(), ahead=1, steps=5)
    assert images == 20
    assert 0.2 <= seconds < 2
    assert waited / seconds == pytest.approx(0.75, abs=0.15)


@pytest.fixture
def inverted(phantoms, tmp_path):
    """manifest.csv of the phantoms as negatives."""
    rows = pd.read_csv(phantoms).drop(columns="mask")
    for file in rows["file"]:
        image = 255 - read_image(phantoms.parent / file)
        (tmp_path / "negatives" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "negatives" / file).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    rows.to_csv(tmp_path / "negatives" / "manifest.csv", index=False)
    return tmp_path / "negatives" / "manifest.csv"


def test_a_perceptual_hash_sees_patterns_and_neither_brightness_nor_contrast(tool, phantoms):
    """A negative has each pattern's opposite, a darkened copy the same patterns, but for rounding."""
    perceptual_hash = tool("domains/clusters").perceptual_hash
    image = read_image(phantoms.parent / pd.read_csv(phantoms)["file"][0])
    bits = perceptual_hash(image)
    # Of 64 different numbers half lie above the middle.
    assert bits.sum() == 32
    np.testing.assert_array_equal(perceptual_hash(255 - image), 1 - bits)
    assert np.abs(perceptual_hash(image // 2 + 20) - bits).sum() <= 4
    assert perceptual_hash(np.zeros((30, 20), np.uint8)).sum() == 0


def test_sets_of_another_make_fall_apart_by_themselves(tool, phantoms, inverted, tmp_path, capsys):
    manifests = (f"plain={phantoms}", f"negative={inverted}")
    tool("domains/clusters").main(manifests, tmp_path / "out", per_set=40)
    found = json.loads((tmp_path / "out" / "domain_clusters.json").read_text())
    assert found["sets"] == {name: {"images": 40, "available": 45} for name in ("plain", "negative")}
    assert found["contingency"] == [[40, 0], [0, 40]]
    for figure in ("purity", "adjusted_rand_index", "normalized_mutual_information"):
        assert found[figure] == pytest.approx(1)
    assert [told["sha256"] for told in found["manifests"]] == [
        read_manifest(path).sha256 for path in (phantoms, inverted)
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"domain_clusters.{kind}" for kind in ("png", "pdf", "json")
    }
    assert "cluster 1     40         0" in capsys.readouterr().out


def test_halves_of_one_set_do_not(tool, phantoms, tmp_path):
    rows = pd.read_csv(phantoms)
    rows["file"] = [str(phantoms.parent / file) for file in rows["file"]]
    rows["half"] = ["left", "right"] * 22 + ["left"]
    rows.drop(columns="mask").to_csv(tmp_path / "halves.csv", index=False)
    tool("domains/clusters").main((f"one={tmp_path / 'halves.csv'}",), tmp_path / "out", by="half")
    found = json.loads((tmp_path / "out" / "domain_clusters.json").read_text())
    assert {name: told["images"] for name, told in found["sets"].items()} == {
        "one: left": 23,
        "one: right": 22,
    }
    assert found["purity"] <= found["purity_by_chance"]["quantile_95"] < 0.75
    assert abs(found["adjusted_rand_index"]) < 0.1


def test_purity_and_what_chance_gives(tool):
    """By hand: of 6 ways to share four images among two sets, 2 fit the clusters and 4 give one half."""
    module = tool("domains/clusters")
    figures = module.compare(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), 2, 2, seed=0)
    assert figures["purity"] == 1
    assert figures["purity_by_chance"]["mean"] == pytest.approx((2 * 1 + 4 * 0.5) / 6, abs=0.04)
    # Clusters of 4 and 3: 3 and 2 are of the commonest set.
    counts = module.count(np.array([0, 0, 0, 1, 1, 1, 2]), np.array([0, 0, 0, 0, 1, 1, 1]), 3, 2)
    assert counts.tolist() == [[3, 1, 0], [0, 2, 1]]
    assert module.purity(counts) == pytest.approx(5 / 7)


def test_what_sets_are_made_of(tool, phantoms, inverted):
    module = tool("domains/image_sets")
    some = module.read_source(f"some={phantoms}:label=virus", ())
    assert set(some.rows["label"]) == {"virus"}
    assert some.where == "label=virus"
    rest = [
        module.read_source(f"rest={phantoms}:label={label}", ["train"]) for label in ("normal", "bacteria")
    ]
    sets = module.gather_sets([some, *rest, module.read_source(f"rest={inverted}", ())])
    train = pd.read_csv(phantoms).query("split == 'train' and label != 'virus'")
    assert {name: len(rows) for name, rows in sets.items()} == {"some": 15, "rest": 45 + len(train)}
    drawn = module.draw_images(sets, 20, seed=3)
    assert drawn["set"].value_counts().to_dict() == {"rest": 20, "some": 15}
    assert drawn["path"].is_unique
    assert drawn.equals(module.draw_images(sets, 20, seed=3))
    assert not drawn.equals(module.draw_images(sets, 20, seed=4))
    # One name twice is one set, and an image in it counts once.
    again = module.gather_sets([some, some, *rest])
    assert len(again["some"]) == 15


def test_sets_that_cannot_be_compared_are_refused(tool, phantoms, inverted, tmp_path):
    module = tool("domains/image_sets")
    whole, part = (module.read_source(text, ()) for text in (f"a={phantoms}", f"b={phantoms}:label=virus"))
    with pytest.raises(SemenetError, match=r"in one set.*png in 'a' and 'b' \(15 such"):
        module.gather_sets([whole, part])
    with pytest.raises(SemenetError, match="2 to 6 sets.*Received: a"):
        module.gather_sets([whole])
    with pytest.raises(SemenetError, match="NAME=CSV.*Received: 'some.csv'"):
        module.read_source("some.csv", ())
    with pytest.raises(SemenetError, match="Received: 'colour'.*columns are file, label"):
        module.read_source(f"a={phantoms}:colour=red", ())
    with pytest.raises(SemenetError, match="bacteria, normal, virus"):
        module.read_source(f"a={phantoms}:label=SARS", ())
    with pytest.raises(SemenetError, match="at least 1 image"):
        module.draw_images({"a": whole.rows}, 0, 0)
    main = tool("domains/clusters").main
    sets = (f"plain={phantoms}", f"negative={inverted}")
    with pytest.raises(SemenetError, match="2 to 10 clusters. Received: 1"):
        main(sets, tmp_path / "out", clusters=1)
    broken = inverted.parent / pd.read_csv(inverted)["file"][7]
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(ImageError, match=broken.name):
        main(sets, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_network_features_are_what_the_head_is_given(tool, phantoms, inverted, classifier_run, unet_run):
    """Through the head's own weights they give the network's probabilities."""
    module = tool("domains/clusters")
    rows = read_manifest(phantoms).rows
    values, told = module.network_features(classifier_run, rows)
    run = Run.open(classifier_run)
    kernel, bias = run.model.get_layer("head").get_weights()
    logits = values @ kernel + bias
    images = np.stack(
        [prepare_image(read_image(path), run.input_size, run.channels) for path in rows["path"]]
    )
    expected = run.model.predict(images, verbose=0)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), expected, atol=1e-5)
    assert told["trained_on"] == read_manifest(phantoms).sha256
    with pytest.raises(SemenetError, match="a segmentation network"):
        module.network_features(unet_run, rows)


@pytest.mark.slow
def test_the_clusters_command_reads_its_options(phantoms, inverted, tmp_path):
    arguments = ["--manifest", f"plain={phantoms}", "--manifest", f"negative={inverted}", "--split", "train"]
    result = run_tool("domains/clusters.py", *arguments, "val", "--clusters", 3, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out" / "domain_clusters.json").read_text())
    assert found["splits"] == ["train", "val"]
    assert len(found["contingency"]) == 3
    assert found["purity"] == 1
    wrong = run_tool("domains/clusters.py", "--manifest", phantoms, "--out", tmp_path / "out")
    assert wrong.returncode == 1
    assert wrong.stderr.strip().splitlines()[-1].startswith("semenet: A manifest is given as NAME=CSV")


def test_the_equalization_figure(tool, phantoms, tmp_path, capsys):
    module = tool("paper/equalization_figure")
    # Two of four pixels are 7, one 0, one 255.
    shares = module.shares(np.array([[7, 0], [255, 7]], np.uint8))
    assert shares[[0, 7, 255]].tolist() == [0.25, 0.5, 0.25]
    assert shares.sum() == 1
    image = phantoms.parent / pd.read_csv(phantoms)["file"][0]
    module.main(image, tmp_path, clip_limit=3, tiles=(4, 2))
    assert (tmp_path / "equalization.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "equalization.pdf").read_bytes().startswith(b"%PDF")
    assert str(tmp_path / "equalization") in capsys.readouterr().out
    figure = module.draw(read_image(image), 3, (4, 2))
    pictures = [axes.images[0].get_array() for axes in figure.axes[:3]]
    np.testing.assert_array_equal(pictures[0], read_image(image))
    np.testing.assert_array_equal(pictures[1], cv2.equalizeHist(read_image(image)))
    np.testing.assert_array_equal(pictures[2], cv2.createCLAHE(3, (4, 2)).apply(read_image(image)))
    for axes, picture in zip(figure.axes[3:], pictures, strict=True):
        expected = 100 * np.histogram(picture, np.arange(257))[0] / picture.size
        np.testing.assert_allclose(axes.patches[0].get_data().values, expected)
        assert axes.get_xlim() == (-0.5, 255.5)
    # An image of one grey level has a histogram too.
    module.draw(np.full((9, 40), 17, np.uint8))
    with pytest.raises(SemenetError, match="Received: --clip-limit -1"):
        module.main(image, tmp_path, clip_limit=-1)
    with pytest.raises(ImageError, match="nowhere.png"):
        module.main(tmp_path / "nowhere.png", tmp_path)


@pytest.mark.slow
def test_receptive_fields_by_formula_and_by_gradient(classifier_run, tmp_path):
    out = tmp_path / "out"
    arguments = ("vgg19_gap", "se_resnet50", "--depth", 0.01, "--run", classifier_run, "--out", out)
    result = run_tool("paper/receptive_fields.py", *arguments)
    assert result.returncode == 0, result.stderr
    # A convolution a stage: 7, 11, then 3 x 3 at strides of 4, 8, 16 and 32.
    assert re.search(r"se_resnet50 +131 +32 +0 +512 +16 x 16 +131 +131 +yes", result.stdout)
    # 3 x 3 and a pool of two at strides of 1, 2, 4, 8 and 16.
    assert re.search(r"vgg19_gap +94 +32 +15.5 +512 +16 x 16 +94 +94 +yes", result.stdout)
    side = int(re.search(r"of the middle cell in (\d+) x \1 \(8 images\)", result.stdout)[1])
    assert 1 <= side <= 131
    assert {path.name for path in out.iterdir()} == {"figure5.png", "figure5.pdf"}
