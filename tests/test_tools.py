"""The maintainers' scripts run: the demo whole, the benchmark and the constraints in short."""

import importlib
import json
import pathlib
import re
import subprocess
import sys
import time
import types

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from semenet.data.images import ImageError, read_image
from semenet.data.manifest import read_manifest
from semenet.data.pipeline import prepare
from semenet.errors import SemenetError
from semenet.training.recipe import find_recipe, list_recipes
from semenet.training.run import Run

ROOT = pathlib.Path(__file__).parents[1]
SMALL = ("--input-size", 32, "--width", 0.125, "--depth", 0.01, "--epochs", 1, "--batch-size", 8)


def run_tool(name, *arguments):
    command = [sys.executable, ROOT / "tools" / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def tool(monkeypatch):
    """Function from a tool's name to its module, imported as the tools import one another."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module


@pytest.mark.slow
def test_the_demo_goes_the_whole_path_and_says_where_the_report_is(tmp_path):
    out = tmp_path / "demo"
    result = run_tool("demo.py", "--out", out, "--count", 45, "--size", 64, "--epochs", 1)
    assert result.returncode == 0, result.stderr
    report = re.search(r"Report: +(\S+)", result.stdout)[1]
    assert pathlib.Path(report) == out / "evaluation" / "report.html"
    assert pathlib.Path(report).is_file()
    assert len(list((out / "maps").glob("*_overlay.png"))) == 6
    assert len(re.findall(r"\.png  normal \d\.\d{3}", result.stdout)) == 6


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
    result = run_tool("bench_models.py", "resnet50_gap", *options)
    assert result.returncode == 0, result.stderr
    row = pd.read_csv(out).iloc[0]
    assert row["entry"] == "resnet50_gap"
    assert row["parameters"] == 23_587_587
    assert row[["build_s", "first_step_s", "train_images_s", "predict_images_s"]].gt(0).all()
    assert row[["train_ratio", "predict_ratio"]].between(0.1, 10).all()


@pytest.mark.slow
def test_the_pipeline_s_benchmark_times_all_that_is_installed(phantoms):
    result = run_tool("bench_pipeline.py", "--manifest", phantoms, "--size", 32, "--rounds", 1)
    assert result.returncode == 0, result.stderr
    assert "45 images to 32 x 32" in result.stdout
    for name in ("semenet", "OpenCV, INTER_LINEAR", "OpenCV, INTER_AREA"):
        speed, ratio = re.search(rf"{name} +(\d+) +\d+ +\d+ +(\d+\.\d+)", result.stdout).groups()
        assert int(speed) > 0
        assert float(ratio) > 0
    assert ("PyTorch" in result.stdout) or ("is left out" in result.stdout)
    assert len(re.findall(r"^cache \w+: images/s by epoch", result.stdout, re.MULTILINE)) == 3


@pytest.mark.slow
def test_the_manifest_s_benchmark_times_every_step():
    result = run_tool("bench_manifest.py", "--rows", 3000, "--patients", 900)
    assert result.returncode == 0, result.stderr
    assert len(re.findall(r"\d+\.\d\d s$", result.stdout, re.MULTILINE)) >= 3


def test_the_lowest_versions_are_those_of_setup_cfg():
    lines = run_tool("lowest.py").stdout.split()
    assert "keras==3.15" in lines
    assert "jax==0.7" in lines
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines)


def predictions(labels, scores, patients):
    """predictions.csv of two classes, from the probability of the second."""
    scores = np.array(scores)
    columns = {"file": [f"{at}.png" for at in range(len(labels))], "patient": patients, "label": labels}
    columns |= {"predicted": np.where(scores > 0.5, "b", "a"), "a": 1 - scores, "b": scores}
    return pd.DataFrame(columns)


def test_a_series_mean_has_an_sd_only_over_several_seeds(tool):
    mean_sd = tool("seeded_runs").mean_sd
    assert mean_sd([0.8, 0.9]) == "0.8500 ± 0.0707"
    assert mean_sd([0.8]) == "0.8000"
    assert mean_sd([0.8, None]) == "undefined"


def test_a_series_seed_is_no_option_of_its_recipe(tool):
    seeded_runs = tool("seeded_runs")
    recipe = find_recipe("vgg19_gap")
    assert seeded_runs.with_overrides(recipe, ["--epochs", "3"], "tool").epochs == 3
    with pytest.raises(SemenetError, match="Received: --seed"):
        seeded_runs.with_overrides(recipe, ["--seed=1"], "tool")


def test_every_row_of_the_paper_has_its_recipe_and_its_figures(tool):
    """Typed in once more, from tables 4 and 5: by network, down the rows."""
    rows = tool("paper_tables").ROWS
    accuracies = {
        "VGG19": [69.69, 77.81],
        "ResNet50": [72.81, 74.06, 81.59, 85.62, 94.28, 92.85],
        "DenseNet169": [77.50, 80.94, 81.87, 80.31, 95.71, 97.14],
    }
    for network, expected in accuracies.items():
        found = [100 * row.accuracy for row in rows if row.network == network]
        np.testing.assert_allclose(found, expected)
    assert {row.recipe for row in rows} <= set(list_recipes())
    assert len({row.name for row in rows}) == len(rows) == 15


def test_what_was_not_run_has_no_number(tool):
    paper_tables = tool("paper_tables")
    result = types.SimpleNamespace(
        figures={"accuracy": 0.5, "macro_f1": 0.25, "macro_auroc": None}, parameters=1234, seconds=60.0
    )
    text, numbers = paper_tables.tables(
        "table5", {"table5/moex_resnet50": [result]}, {"table5/seme_resnet50": "why"}
    )
    ours = text[[column for column in text if column.endswith("ours")]]
    assert ours.iloc[0].tolist() == ["0.5000", "0.2500", "undefined"]
    assert set(ours.iloc[1]) == {"failed"}
    assert set(ours.iloc[2]) == {"not run"}
    assert numbers["status"].tolist() == ["run", "failed", "not run", "not run"]
    assert numbers["accuracy_mean"].notna().tolist() == [True, False, False, False]
    assert numbers["accuracy_sd"].isna().all()
    assert text["Parameters"].tolist() == ["1,234", "failed", "not run", "not run"]


def test_the_mean_roc_curve_is_that_of_the_classes(tool):
    """By hand: b ranks 3 of its 4 pairs right; a is its mirror image."""
    found = predictions(["a", "a", "b", "b"], [0.1, 0.6, 0.4, 0.9], list("wxyz"))
    curve = tool("paper_figures").macro_roc(found)
    assert curve[[0, 99, 100, 200]].tolist() == [0.5, 0.5, 1.0, 1.0]
    names = ["a", "b"]
    assert tool("paper_figures").count_pairs(found, names).tolist() == [[1, 1], [1, 1]]


def test_curves_of_seeds_that_stopped_at_other_epochs(tool):
    histories = [
        pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 3.0]}),
        pd.DataFrame({"epoch": [1], "loss": [2.0]}),
    ]
    epochs, mean, sd = tool("paper_figures").mean_curve(histories, "loss")
    assert epochs.tolist() == [1, 2]
    assert mean.tolist() == [1.5, 3.0]
    np.testing.assert_allclose(sd, [np.sqrt(0.5), 0])


def test_a_paired_difference_draws_patients_whole(tool):
    """Two patients, of whom the second size has one right more: half the images."""
    module = tool("paired")
    labels, patients = ["a", "b", "a", "b"], ["p", "p", "q", "q"]
    worse = predictions(labels, [0.9, 0.1, 0.1, 0.9], patients)
    better = predictions(labels, [0.1, 0.9, 0.1, 0.9], patients)
    change, low, high, undefined = module.paired_difference([worse], [better], "accuracy", 200)
    # A draw has p twice, once or never: 1, 0.5 or 0.
    assert (change, low, high, undefined) == (0.5, 0.0, 1.0, 0)
    assert module.paired_difference([worse], [worse], "macro_auroc", 20)[:3] == (0.0, 0.0, 0.0)
    with pytest.raises(SemenetError, match="same images"):
        module.paired_difference([worse], [better.assign(file=list("wxyz"))], "accuracy", 20)


def test_an_interval_over_seeds_is_wider_than_one_over_patients(tool):
    """By hand: differences 0.5 and 0 of two seeds; of their mean, 0.25, the deviation over seeds is 0.25."""
    module = tool("paired")
    labels, patients = ["a", "b", "a", "b"], ["p", "q", "r", "s"]
    worse = predictions(labels, [0.9, 0.1, 0.1, 0.9], patients)
    better = predictions(labels, [0.1, 0.9, 0.1, 0.9], patients)
    found = module.difference_over_seeds([([worse, worse], [better, worse])], "accuracy", 500)
    assert (found.before, found.after, found.difference) == (0.5, 0.75, 0.25)
    # Of patients: each draw takes four of four, two of which gain a right image in one seed of two:
    # the mean gain of a patient is 0.25, its variance 0.0625, that of the mean of four a quarter of it.
    variances, freedom = np.array([0.0625 / 4, 0.0625]), np.array([3, 1])
    total = variances.sum()
    half = stats.t.ppf(0.975, total**2 / (variances**2 / freedom).sum()) * np.sqrt(total)
    assert found.high - found.difference == pytest.approx(half, rel=0.15)
    assert found.low == pytest.approx(2 * found.difference - found.high)
    assert str(found).endswith("not told apart")
    one = module.difference_over_seeds([([worse], [better])], "accuracy", 20)
    assert (one.low, one.high) == (None, None)
    assert "no interval" in str(one)
    same = module.difference_over_seeds([([worse, worse], [worse, worse])], "accuracy", 20)
    assert (same.low, same.difference, same.high) == (0, 0, 0)
    sure = module.Difference(0.5, 0.8, 0.3, 0.1, 0.5)
    assert str(sure) == "0.500 to 0.800: +0.300 (+0.100 to +0.500), higher"
    # Two networks count alike: (0.25 + 0) / 2.
    unequal = [([worse, worse], [better, worse]), ([worse] * 3, [worse] * 3)]
    assert module.difference_over_seeds(unequal, "accuracy", 20).difference == pytest.approx(0.125)
    only = [one.assign(label="a") for one in (worse, better)]
    with pytest.raises(SemenetError, match="images of every class"):
        module.difference_over_seeds([([only[0]], [only[1]])], "macro_auroc", 20)


def measured_row(series, row, seed, scores, **recipe):
    """Writes what tools/paper_tables.py leaves of a row."""
    run = series / "runs" / row / f"seed{seed}"
    measured = series / "evaluations" / row / f"seed{seed}" / "val"
    for folder in (run, measured):
        folder.mkdir(parents=True)
    (run / "recipe.json").write_text(json.dumps(recipe))
    (measured / "result.json").write_text("{}")
    table = predictions(["a", "b", "a", "b"], scores, ["p", "q", "r", "s"])
    table.to_csv(measured / "predictions.csv", index=False)


def test_an_ablation_asks_for_rows_that_there_are(tool):
    names = {row.name for row in tool("paper_tables").ROWS}
    changes = tool("ablation").CHANGES
    asked = {f"{one.table}/{row}" for one in changes for pair in one.pairs for _, row in pair}
    assert asked <= names
    # Every row of tables 4 and 5 takes part.
    assert {name for name in names if name.startswith("table")} == asked


def test_an_ablation_compares_rows_that_differ_in_one_change(tool, tmp_path, capsys):
    module = tool("ablation")
    series, without = tmp_path / "series", tmp_path / "without"
    half, all_right = [0.9, 0.1, 0.1, 0.9], [0.1, 0.9, 0.1, 0.9]
    with pytest.raises(SemenetError, match="no two belong together"):
        module.main(series)
    for seed in (0, 1):
        measured_row(series, "table4/resnet50_gap", seed, half, entry="resnet50_gap", clahe=0.0)
        measured_row(series, "table4/se_resnet50", seed, all_right, entry="se_resnet50", clahe=0.0)
        measured_row(series, "table4/seme_resnet50", seed, all_right, entry="seme_resnet50", clahe=0.4)
        measured_row(without, "table4/seme_resnet50", seed, half, entry="seme_resnet50", clahe=0.0)
    # A third seed that only one side has does not count.
    measured_row(series, "table4/se_resnet50", 2, half, entry="se_resnet50", clahe=0.0)
    module.main(series, without, resamples=50)
    table = pd.read_csv(series / "ablation.csv")
    accuracy = table[table["figure"] == "accuracy"].set_index("change")["difference"]
    assert accuracy.to_dict() == {
        "SE added to GAP": 0.5,
        "MoEx added to SE": -0.5,
        "CLAHE added to SE and MoEx": 0.5,
        "MoEx and CLAHE added to SE (the paper's SEME)": 0.0,
    }
    assert table["pairs"].eq(2).all()
    assert (series / "ablation.md").read_text() in capsys.readouterr().out
    recipe = series / "runs" / "table4" / "se_resnet50" / "seed1" / "recipe.json"
    recipe.write_text(json.dumps({"entry": "se_resnet50", "clahe": 0.0, "epochs": 3}))
    with pytest.raises(SemenetError, match="seed 1, which differ in epochs too"):
        module.main(series)


@pytest.mark.slow
def test_the_paper_s_tables_from_two_rows_and_two_seeds(phantoms, tmp_path):
    rows = pd.read_csv(phantoms).drop(columns="mask")
    rows["file"] = [str(phantoms.parent / file) for file in rows["file"]]
    rows["label"] = ["COVID-19", "other_viral"] * 22 + ["COVID-19"]
    rows.to_csv(tmp_path / "without_masks.csv", index=False)
    out = tmp_path / "out"
    arguments = ["--dataset1", phantoms, "--dataset2", tmp_path / "without_masks.csv", "--out", out, *SMALL]
    arguments += ["--seeds", 0, 1, "--rows", "table4/vgg19_gap"]
    result = run_tool("paper_tables.py", *arguments, "table5/moex_resnet50")
    # The row without masks is reported, and the other goes on.
    assert result.returncode == 1
    assert "Row table5/moex_resnet50 failed: " in result.stderr
    table = pd.read_csv(out / "table4.csv").set_index("row")
    assert table.loc["table4/vgg19_gap", ["status", "n", "parameters"]].tolist() == ["run", 2, 61507]
    assert table["accuracy_mean"].notna().sum() == 1
    assert table["accuracy_paper"].notna().all()
    page = (out / "table4.md").read_text()
    assert re.search(r"\| vgg19_gap \| 0.7781 \| 0\.\d{4} ± 0\.\d{4} \|", page)
    assert "| vgg19 | 0.6969 | not run |" in page
    assert "--input-size 32" in page
    assert "split `val`" in page
    assert "mask" in (out / "table5.md").read_text()
    figures = {path.name for path in out.glob("*.p*")}
    assert figures == {f"figure{number}.{kind}" for number in (10, 12, 13) for kind in ("png", "pdf")}

    again = run_tool("paper_tables.py", *arguments)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("is finished: nothing to train") == 2
    assert "Predicting" not in again.stderr
    assert pd.read_csv(out / "table4.csv").set_index("row").equals(table)
    other = run_tool("paper_tables.py", *arguments, "--learning-rate", 0.1)
    assert other.returncode == 1
    assert "learning_rate" in other.stderr


@pytest.mark.slow
def test_input_sizes_are_compared_on_images_that_are_large_enough(phantoms, tmp_path):
    arguments = ["--manifest", phantoms, "--out", tmp_path / "out", "--entry", "vgg19_gap", "--seeds", 0, 1]
    arguments += ["--width", 0.125, "--epochs", 1, "--batch-size", 8, "--resamples", 20]
    small = run_tool("bench_input_size.py", *arguments, "--sizes", 64, 96)
    assert small.returncode == 1
    assert "smaller" in small.stderr
    result = run_tool("bench_input_size.py", *arguments, "--sizes", 32, 64)
    assert result.returncode == 0, result.stderr
    numbers = pd.read_csv(tmp_path / "out" / "input_size.csv")
    assert numbers[["size", "seed"]].to_numpy().tolist() == [[32, 0], [32, 1], [64, 0], [64, 1]]
    assert numbers["accuracy"].between(0, 1).all()
    page = (tmp_path / "out" / "input_size.md").read_text()
    assert re.search(r"\| 64 \| accuracy \| 2 \| .* \([+-]\d\.\d{4} to [+-]\d\.\d{4}\)", page)


@pytest.mark.slow
def test_the_evaluation_benchmark_measures_it_beside_inference(phantoms):
    result = run_tool("bench_evaluation.py", "--manifest", phantoms, "--size", 32, "--width", 0.125)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^12 images of 9 patients, seme_resnet50 at 32 x 32$", result.stdout, re.MULTILINE)
    assert float(re.search(r"([\d.]+) times inference", result.stdout)[1]) > 1


@pytest.mark.slow
def test_the_training_benchmark_measures_waiting_with_and_without_a_cache(phantoms, tmp_path):
    out = tmp_path / "bench.csv"
    options = ("--size", 32, "--width", 0.125, "--batch-size", 8, "--steps", 3, "--rounds", 2, "--out", out)
    result = run_tool("bench_training.py", "vgg19_gap", "--manifest", phantoms, *options)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(out)
    assert table["beside"].tolist() == ["cache none", "cache memory"]
    assert table["waiting"].between(0, 1).all()
    assert table["images_s"].gt(0).all()
    assert "timm is left out" in result.stdout


def test_the_training_benchmark_counts_the_time_in_next_as_waiting(tool):
    """A step of 10 ms fed by a source that takes 30 ms a batch: three quarters are waiting."""

    def source():
        while True:
            time.sleep(0.03)
            yield np.zeros((4, 1)), None

    model = types.SimpleNamespace(train_on_batch=lambda images, targets: time.sleep(0.01))
    seconds, waited, images = tool("bench_training").block(model, source(), ahead=1, steps=5)
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
    perceptual_hash = tool("domain_clusters").perceptual_hash
    image = read_image(phantoms.parent / pd.read_csv(phantoms)["file"][0])
    bits = perceptual_hash(image)
    # Of 64 different numbers half lie above the middle.
    assert bits.sum() == 32
    np.testing.assert_array_equal(perceptual_hash(255 - image), 1 - bits)
    assert np.abs(perceptual_hash(image // 2 + 20) - bits).sum() <= 4
    assert perceptual_hash(np.zeros((30, 20), np.uint8)).sum() == 0


def test_sets_of_another_make_fall_apart_by_themselves(tool, phantoms, inverted, tmp_path, capsys):
    manifests = (f"plain={phantoms}", f"negative={inverted}")
    tool("domain_clusters").main(manifests, tmp_path / "out", per_set=40)
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
    tool("domain_clusters").main((f"one={tmp_path / 'halves.csv'}",), tmp_path / "out", by="half")
    found = json.loads((tmp_path / "out" / "domain_clusters.json").read_text())
    assert {name: told["images"] for name, told in found["sets"].items()} == {
        "one: left": 23,
        "one: right": 22,
    }
    assert found["purity"] <= found["purity_by_chance"]["quantile_95"] < 0.75
    assert abs(found["adjusted_rand_index"]) < 0.1


def test_purity_and_what_chance_gives(tool):
    """By hand: of 6 ways to share four images among two sets, 2 fit the clusters and 4 give one half."""
    module = tool("domain_clusters")
    figures = module.compare(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), 2, 2, seed=0)
    assert figures["purity"] == 1
    assert figures["purity_by_chance"]["mean"] == pytest.approx((2 * 1 + 4 * 0.5) / 6, abs=0.04)
    # Clusters of 4 and 3: 3 and 2 are of the commonest set.
    counts = module.count(np.array([0, 0, 0, 1, 1, 1, 2]), np.array([0, 0, 0, 0, 1, 1, 1]), 3, 2)
    assert counts.tolist() == [[3, 1, 0], [0, 2, 1]]
    assert module.purity(counts) == pytest.approx(5 / 7)


def test_what_sets_are_made_of(tool, phantoms, inverted):
    module = tool("image_sets")
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
    module = tool("image_sets")
    whole, part = (module.read_source(text, ()) for text in (f"a={phantoms}", f"b={phantoms}:label=virus"))
    with pytest.raises(SemenetError, match=r"in one set.*png in 'a' and 'b' \(15 such"):
        module.gather_sets([whole, part])
    with pytest.raises(SemenetError, match="2 to 6 sets.*Received: a"):
        module.gather_sets([whole])
    with pytest.raises(SemenetError, match="NAME=CSV.*Received: 'some.csv'"):
        module.read_source("some.csv", ())
    with pytest.raises(SemenetError, match="Received: 'colour'.*It has: file, label"):
        module.read_source(f"a={phantoms}:colour=red", ())
    with pytest.raises(SemenetError, match="bacteria, normal, virus"):
        module.read_source(f"a={phantoms}:label=SARS", ())
    with pytest.raises(SemenetError, match="1 image or more"):
        module.draw_images({"a": whole.rows}, 0, 0)
    main = tool("domain_clusters").main
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
    module = tool("domain_clusters")
    rows = read_manifest(phantoms).rows
    values, told = module.network_features(classifier_run, rows)
    run = Run.open(classifier_run)
    kernel, bias = run.model.get_layer("head").get_weights()
    logits = values @ kernel + bias
    images = np.stack([prepare(read_image(path), run.input_size, run.channels) for path in rows["path"]])
    expected = run.model.predict(images, verbose=0)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), expected, atol=1e-5)
    assert told["trained_on"] == read_manifest(phantoms).sha256
    with pytest.raises(SemenetError, match="which segments"):
        module.network_features(unet_run, rows)


@pytest.mark.slow
def test_the_clusters_command_reads_its_options(phantoms, inverted, tmp_path):
    arguments = ["--manifest", f"plain={phantoms}", "--manifest", f"negative={inverted}", "--split", "train"]
    result = run_tool("domain_clusters.py", *arguments, "val", "--clusters", 3, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out" / "domain_clusters.json").read_text())
    assert found["splits"] == ["train", "val"]
    assert len(found["contingency"]) == 3
    assert found["purity"] == 1
    wrong = run_tool("domain_clusters.py", "--manifest", phantoms, "--out", tmp_path / "out")
    assert wrong.returncode == 1
    assert wrong.stderr.strip().splitlines()[-1].startswith("semenet: A manifest is given as NAME=CSV")


def test_the_equalization_figure(tool, phantoms, tmp_path, capsys):
    module = tool("equalization_figure")
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
    result = run_tool("receptive_fields.py", *arguments)
    assert result.returncode == 0, result.stderr
    # A convolution a stage: 7, 11, then 3 x 3 at strides of 4, 8, 16 and 32.
    assert re.search(r"se_resnet50 +131 +32 +0 +512 +16 x 16 +131 +131 +yes", result.stdout)
    # 3 x 3 and a pool of two at strides of 1, 2, 4, 8 and 16.
    assert re.search(r"vgg19_gap +94 +32 +15.5 +512 +16 x 16 +94 +94 +yes", result.stdout)
    side = int(re.search(r"of the middle cell in (\d+) x \1 \(8 images\)", result.stdout)[1])
    assert 1 <= side <= 131
    assert {path.name for path in out.iterdir()} == {"figure5.png", "figure5.pdf"}
