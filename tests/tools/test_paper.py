"""Series of runs over seeds: the paper's tables and figures, comparisons, the ablation."""

import json
import re
import types

import numpy as np
import pandas as pd
import pytest
from maintainers_tools import run_tool
from scipy import stats

from semenet.data.images.reading import read_image
from semenet.data.manifest.table import read_manifest
from semenet.data.pipeline.datasets import training_dataset
from semenet.data.transforms.augmentation import Augmentation
from semenet.errors import SemenetError
from semenet.evaluation.drawing.pages import mean_sd
from semenet.training.recipe import find_recipe, list_recipes

SMALL = ("--input-size", 32, "--width", 0.125, "--depth", 0.01, "--epochs", 1, "--batch-size", 8)


def predictions(labels, scores, patients):
    """predictions.csv of two classes, from the probability of the second."""
    scores = np.array(scores)
    columns = {"file": [f"{at}.png" for at in range(len(labels))], "patient": patients, "label": labels}
    columns |= {"predicted": np.where(scores > 0.5, "b", "a"), "a": 1 - scores, "b": scores}
    return pd.DataFrame(columns)


def test_a_series_mean_has_an_sd_only_over_several_seeds():
    assert mean_sd([0.8, 0.9], 4) == "0.8500 ± 0.0707"
    assert mean_sd([0.8], 4) == "0.8000"
    assert mean_sd([0.8, None]) == "undefined"


def test_a_series_seed_is_no_option_of_its_recipe(tool):
    seeded_runs = tool("paper/seeded_runs")
    recipe = find_recipe("vgg19_gap")
    assert seeded_runs.with_overrides(recipe, ["--epochs", "3"], "tool").epochs == 3
    with pytest.raises(SemenetError, match="Received: --seed"):
        seeded_runs.with_overrides(recipe, ["--seed=1"], "tool")


def test_every_row_of_the_paper_has_its_recipe_and_its_figures(tool):
    """Typed in once more, from tables 4 and 5 and the text on figure 14: by network, down the rows."""
    rows = tool("paper/tables").ROWS
    accuracies = {
        "VGG19": [69.69, 77.81, 97],
        "ResNet50": [72.81, 74.06, 81.59, 85.62, 94.28, 92.85, 97],
        "DenseNet169": [77.50, 80.94, 81.87, 80.31, 95.71, 97.14, 97],
    }
    for network, expected in accuracies.items():
        found = [100 * row.accuracy for row in rows if row.network == network]
        np.testing.assert_allclose(found, expected)
    assert {row.recipe for row in rows} <= set(list_recipes())
    assert len({row.name for row in rows}) == len(rows) == 18


def test_what_was_not_run_has_no_number(tool):
    paper_tables = tool("paper/tables")
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
    curve = tool("paper/figures").macro_roc(found)
    assert curve[[0, 99, 100, 200]].tolist() == [0.5, 0.5, 1.0, 1.0]
    names = ["a", "b"]
    assert tool("paper/figures").count_pairs(found, names).tolist() == [[1, 1], [1, 1]]


def test_curves_of_seeds_that_stopped_at_other_epochs(tool):
    histories = [
        pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 3.0]}),
        pd.DataFrame({"epoch": [1], "loss": [2.0]}),
    ]
    epochs, mean, sd = tool("paper/figures").mean_curve(histories, "loss")
    assert epochs.tolist() == [1, 2]
    assert mean.tolist() == [1.5, 3.0]
    np.testing.assert_allclose(sd, [np.sqrt(0.5), 0])


def test_a_paired_difference_draws_patients_whole(tool):
    """Two patients, of whom the second size has one right more: half the images."""
    module = tool("paper/paired")
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
    module = tool("paper/paired")
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
    assert str(found).endswith("no significant difference")
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


def test_moex_of_figure_8_gives_the_first_image_the_moments_of_the_second(tool):
    module = tool("paper/illustrations")
    examples = module.draw_phantoms(seed=1)
    images = [module.resize(example.image, (module.MOEX_SIDE, module.MOEX_SIDE)) for example in examples[:2]]
    features, exchanged = module.exchange(images)
    np.testing.assert_allclose(exchanged[0].mean(-1), features[1].mean(-1), atol=0.02)
    np.testing.assert_allclose(exchanged[0].std(-1), features[1].std(-1), rtol=0.02, atol=0.02)
    assert abs(features[0].mean(-1) - features[1].mean(-1)).max() > 0.1


def test_the_views_of_figure_15b_are_those_of_training(tool, phantoms):
    module = tool("paper/illustrations")
    (example, *_) = module.read_examples([phantoms], seed=0)
    views = module.stacked_views(example)
    rows = read_manifest(phantoms).rows
    rows = rows[[(read_image(path) == example.image).all() for path in rows["path"]]].reset_index(drop=True)
    assert len(rows) == 1
    for name in ("original", "clahe", "masked", "masked_clahe"):
        dataset, _ = training_dataset(
            rows,
            class_names=(example.label,),
            input_size=(module.VIEW_SIDE, module.VIEW_SIDE),
            epochs=1,
            augmentation=Augmentation(views=(name,)),
        )
        np.testing.assert_array_equal(next(iter(dataset))[0].numpy()[0, ..., 0], views[name])


def test_illustrations_draws_phantoms_and_names_what_a_manifest_lacks(tmp_path, phantoms):
    result = run_tool("paper/illustrations.py", "--out", tmp_path / "drawn", "--figures", 2, 4, "15b")
    assert result.returncode == 0, result.stderr
    names = {f"figure{number}{suffix}" for number in ("2", "4", "15b") for suffix in (".png", ".pdf")}
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == names
    small = run_tool(
        "paper/illustrations.py", "--out", tmp_path / "small", "--figures", 4, "--manifest", phantoms
    )
    assert small.returncode == 1
    assert "an image whose sides exceed 224 pixels" in small.stderr


def measured_row(series, row, seed, scores, **recipe):
    """Writes what tools/paper/tables.py leaves of a row."""
    run = series / "runs" / row / f"seed{seed}"
    measured = series / "evaluations" / row / f"seed{seed}" / "val"
    for folder in (run, measured):
        folder.mkdir(parents=True)
    (run / "recipe.json").write_text(json.dumps(recipe))
    (measured / "result.json").write_text("{}")
    table = predictions(["a", "b", "a", "b"], scores, ["p", "q", "r", "s"])
    table.to_csv(measured / "predictions.csv", index=False)


def test_an_ablation_asks_for_rows_that_there_are(tool):
    names = {row.name for row in tool("paper/tables").ROWS}
    changes = tool("paper/ablation").CHANGES
    asked = {f"{one.table}/{row}" for one in changes for pair in one.pairs for _, row in pair}
    assert asked <= names
    # Every row of tables 4 and 5 takes part.
    assert {name for name in names if name.startswith("table")} == asked


def test_an_ablation_compares_rows_that_differ_in_one_change(tool, tmp_path, capsys):
    module = tool("paper/ablation")
    series, without = tmp_path / "series", tmp_path / "without"
    half, all_right = [0.9, 0.1, 0.1, 0.9], [0.1, 0.9, 0.1, 0.9]
    with pytest.raises(SemenetError, match="no two rows to compare"):
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
    with pytest.raises(SemenetError, match="seed 1, which also differ in epochs"):
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
    result = run_tool("paper/tables.py", *arguments, "table5/moex_resnet50")
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

    again = run_tool("paper/tables.py", *arguments)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("is finished: nothing to train") == 2
    assert "Predicting" not in again.stderr
    assert pd.read_csv(out / "table4.csv").set_index("row").equals(table)
    other = run_tool("paper/tables.py", *arguments, "--learning-rate", 0.1)
    assert other.returncode == 1
    assert "learning_rate" in other.stderr


@pytest.mark.slow
def test_input_sizes_are_compared_on_images_that_are_large_enough(phantoms, tmp_path):
    arguments = ["--manifest", phantoms, "--out", tmp_path / "out", "--entry", "vgg19_gap", "--seeds", 0, 1]
    arguments += ["--width", 0.125, "--depth", 0.01, "--epochs", 1, "--batch-size", 8, "--resamples", 20]
    small = run_tool("paper/input_sizes.py", *arguments, "--sizes", 64, 96)
    assert small.returncode == 1
    assert "smaller" in small.stderr
    result = run_tool("paper/input_sizes.py", *arguments, "--sizes", 32, 64)
    assert result.returncode == 0, result.stderr
    numbers = pd.read_csv(tmp_path / "out" / "input_size.csv")
    assert numbers[["size", "seed"]].to_numpy().tolist() == [[32, 0], [32, 1], [64, 0], [64, 1]]
    assert numbers["accuracy"].between(0, 1).all()
    page = (tmp_path / "out" / "input_size.md").read_text()
    assert re.search(r"\| 64 \| accuracy \| 2 \| .* \([+-]\d\.\d{4} to [+-]\d\.\d{4}\)", page)
