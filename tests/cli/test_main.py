import csv
import json
import pathlib
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from published_set import write_set

import semenet
from semenet.cli.main import main
from semenet.models.entries import CATALOG

SEMENET = pathlib.Path(sys.executable).parent / "semenet"


def test_list_prints_every_entry_and_selects_by_pattern(capsys):
    main(["list"])
    output = capsys.readouterr().out
    for name, entry in CATALOG.items():
        line = next(line for line in output.splitlines() if line.split()[:1] == [name])
        assert f"{entry.parameters:,}" in line
        assert str(entry.input_size) in line
    main(["list", "seme_*"])
    output = capsys.readouterr().out
    names = {line.split()[0] for line in output.splitlines() if line.strip()}
    assert "seme_resnet50" in names
    assert "unet" not in names


def test_list_loads_no_tensorflow():
    script = (
        "from semenet.cli.main import main; main(['list']); import sys\n"
        "assert 'tensorflow' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_list_shows_published_weights(capsys, tmp_path, monkeypatch):
    cut = {"input_shape": (32, 32, 1), "width": 0.125, "depth": 0.01}
    write_set(tmp_path, semenet.build("unet", **cut), "unet", "trial")
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path))
    main(["list", "unet"])
    assert "trial" in capsys.readouterr().out.split("\n")[1].split()[-2:]


def test_doctor_names_versions_devices_extras_and_weights(capsys):
    main(["doctor"])
    output = capsys.readouterr().out
    for expected in (semenet.__version__, "tensorflow", "Keras backend", "GPUs", "jax", "published weights"):
        assert expected in output


def test_doctor_tells_a_missing_extra_from_an_installed_one(monkeypatch):
    """`tensorflow[and-cuda]` is more than tensorflow."""
    from semenet.cli import doctor

    requires = {
        "semenet": ["keras>=3", "tensorflow[and-cuda]>=2; extra == 'gpu'", "jax>=0.7; extra == 'jax'"],
        "tensorflow": ["numpy", "nvidia-cudnn; extra == 'and-cuda'"],
    }
    versions = {"keras": "3.15", "tensorflow": "2.21", "numpy": "2.1"}
    monkeypatch.setattr(doctor.importlib.metadata, "requires", requires.__getitem__)
    monkeypatch.setattr(doctor, "_version", versions.get)
    assert doctor.dependencies() == {
        "": [("keras", "3.15")],
        "gpu": [("tensorflow", "2.21"), ("nvidia-cudnn", None)],
        "jax": [("jax", None)],
    }


@pytest.mark.slow
def test_the_path_from_phantoms_to_predictions(tmp_path, capsys):
    """The commands as users give them, one after the other."""
    data, run = tmp_path / "data", tmp_path / "run"
    main(
        ["phantom", str(data), "--count", "45", "--size", "64", "--seed", "5", "--marker-correlation", "0.0"]
    )
    cut = "--input-size 32 --width 0.125 --depth 0.01 --epochs 1 --batch-size 16 --seed 1"
    main(["train", "seme_resnet50", "--manifest", f"{data}/manifest.csv", "--out", str(run), *cut.split()])
    images = sorted(str(path) for path in (data / "images").glob("*.png"))
    evaluation, maps, predictions = tmp_path / "eval", tmp_path / "maps", tmp_path / "p.csv"
    main(
        [
            "evaluate",
            str(run),
            "--manifest",
            f"{data}/manifest.csv",
            "--split",
            "val",
            "--out",
            str(evaluation),
        ]
    )
    main(["explain", str(run), *images[:3], "--out", str(maps)])
    main(["predict", str(run), str(data / "images"), "--out", str(predictions)])
    main(["export", str(run), str(tmp_path / "saved")])

    metrics = json.loads((evaluation / "metrics.json").read_text())
    assert {"accuracy", "macro_f1", "macro_auroc", "micro_auroc", "confusion_matrix", "split"} <= set(metrics)
    assert metrics["class_names"] == ["normal", "bacteria", "virus"]
    assert np.sum(metrics["confusion_matrix"]) == metrics["count"]
    assert (evaluation / "report.html").is_file()
    assert len(list(maps.glob("*overlay*.png"))) == 3
    with open(predictions) as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "normal", "bacteria", "virus", "predicted", "input_flags"]
    assert len(rows) == 45
    assert (tmp_path / "saved" / "saved_model.pb").is_file()
    assert semenet.load_model(run).class_names == ("normal", "bacteria", "virus")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "zzz"], "must match at least one entry. Received: 'zzz'"),
        (["train", "seme"], "Received: 'seme'"),
        (["predict", "nowhere", "image.png", "--out", "p.csv"], "image.png, which does not"),
        (["export", "nowhere", "saved"], "folder with model.keras"),
        (["evaluate", "nowhere", "--manifest", "m.csv", "--out", "e"], "nowhere|m.csv"),
    ],
)
def test_a_user_s_error_is_one_message_and_status_1(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_status:
        main(arguments)
    error = capsys.readouterr().err
    assert exit_status.value.code == 1
    assert any(part in error for part in message.split("|"))
    assert "Traceback" not in error


@pytest.mark.parametrize("defect", [ValueError("x"), TypeError("x"), OSError("no file's")])
def test_a_defect_keeps_its_traceback(monkeypatch, defect):
    """An error that is not semenet's own passes."""

    def fail():
        raise defect

    monkeypatch.setattr("semenet.cli.doctor.print_installation", fail)
    with pytest.raises(type(defect)):
        main(["doctor"])


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("predict", "needs radiographs. Received: none"),
        ("explain", "Either images or a manifest are explained."),
    ],
)
def test_no_image_at_all_is_an_error(command, message, classifier_run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([command, str(classifier_run), "--out", str(tmp_path / "out")])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_found_before_the_work(classifier_run, phantoms, tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    image = str(next((phantoms.parent / "images").glob("*.png")))
    run, manifest = str(classifier_run), str(phantoms)
    for arguments in (
        ["evaluate", run, "--manifest", manifest, "--out", str(file)],
        ["explain", run, image, "--out", str(file)],
        ["predict", run, image, "--out", str(tmp_path)],
        ["export", run, str(file)],
    ):
        with pytest.raises(SystemExit) as exit_status:
            main(arguments)
        error = capsys.readouterr().err
        assert exit_status.value.code == 1
        assert "Received: " in error, error
        assert "Predicting" not in error
    assert file.read_bytes() == b""


def test_data_kermany_writes_paths_relative_to_the_manifest(tmp_path, monkeypatch):
    from semenet.data.manifest.table import read_manifest

    for part in ("train", "test"):
        image = tmp_path / "downloads" / "chest_xray" / part / "NORMAL" / f"IM-000{len(part)}-0001.jpeg"
        image.parent.mkdir(parents=True)
        image.touch()
    (tmp_path / "lists").mkdir()
    monkeypatch.chdir(tmp_path)
    main(["data", "kermany", "downloads/chest_xray", "--out", "lists/manifest.csv"])
    rows = read_manifest(tmp_path / "lists" / "manifest.csv").rows
    assert all(pathlib.Path(path).is_file() for path in rows["path"])
    assert rows["file"].str.startswith("../downloads/").all()


def test_data_says_what_it_left_out_and_what_each_split_got(tmp_path, capsys):
    from source_folders import covid_folder

    covid_folder(tmp_path / "covid")
    main(["data", "covid-chestxray", str(tmp_path / "covid"), "--out", str(tmp_path / "new" / "covid.csv")])
    output = capsys.readouterr()
    assert output.out.splitlines() == [str(tmp_path / "new" / "covid.csv")]
    assert "semenet: covid-chestxray-dataset: left out of 15 rows: 3 without" in output.err
    assert "SourceWarning" not in output.err
    assert [line for line in output.err.splitlines() if "images" in line and "patients" in line][
        -1
    ].split() == [
        "images",
        "patients",
    ]


def test_data_says_which_class_a_split_lacks(tmp_path, capsys):
    from source_folders import class_tree

    class_tree(tmp_path / "tree", [f"{split}/normal/{split}.png" for split in ("train", "test")])
    class_tree(tmp_path / "tree", ["train/sick/one.png"])
    main(["data", "folder", str(tmp_path / "tree"), "--out", str(tmp_path / "tree.csv")])
    assert "no image of sick in test" in capsys.readouterr().err


def test_data_dataset1_stands_beside_the_paper_s_counts(tmp_path, capsys):
    from source_folders import kermany_folder

    kermany_folder(tmp_path / "chest_xray")
    main(["data", "dataset1", str(tmp_path / "chest_xray"), "--out", str(tmp_path / "dataset1.csv")])
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert ["reached", "paper"] in lines
    assert ["train", "normal", "21", "1341"] in lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["kermany", "nowhere", "--out", "m.csv"], "chest_xray/train"),
        (["covid-chestxray", "nowhere", "--out", "m.csv"], "metadata.csv"),
        (["montgomery", "nowhere", "--out", "m.csv"], "MontgomerySet"),
        (["shenzhen", "nowhere", "--out", "m.csv"], "ChinaSet_AllFiles"),
        (["v7", "nowhere", "--out", "m.csv"], "Darwin JSON"),
        (["covidx", "nowhere", "--out", "m.csv"], "train*.txt"),
        (["folder", "nowhere", "--out", "m.csv"], "The path must be a folder"),
        (["dataset1", "nowhere", "--out", "m.csv"], "chest_xray/train"),
        (["dataset2", "nowhere", "nowhere", "--out", "m.csv"], "chest_xray/train"),
        (["lungs", "nowhere.csv", "--out", "m.csv"], "nowhere.csv"),
        (["lungs", "--out", "m.csv"], "at least one manifest"),
        (["folder", ".", "--out", "."], "Results must go into a file"),
    ],
)
def test_a_source_that_is_not_there_is_one_message_and_status_1(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_status:
        main(["data", *arguments])
    error = capsys.readouterr().err
    assert exit_status.value.code == 1
    assert message in error
    assert "Received: " in error
    assert "Traceback" not in error
    assert not (tmp_path / "m.csv").exists()


def test_train_without_a_name_lists_the_recipes(capsys):
    main(["train"])
    assert "seme_densenet169_dataset2" in capsys.readouterr().out


@pytest.mark.slow
def test_a_range_mistake_is_noticed_on_the_command_line(classifier_run, tmp_path):
    """A file scaled to [0, 1] and saved as it was: the warning names it."""
    path = tmp_path / "scaled.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 2, (40, 40), "uint8"))
    result = subprocess.run(
        [SEMENET, "predict", classifier_run, path, "--out", tmp_path / "p.csv"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "PixelRangeWarning" in result.stderr
    assert "scaled.png" in result.stderr


@pytest.fixture
def copied_run(classifier_run, tmp_path):
    """A copy of the tiny classifier: what is written into it, others do not see."""
    return shutil.copytree(classifier_run, tmp_path / "run")


@pytest.fixture
def run_of_lungs(classifier_run, tmp_path):
    """The tiny classifier as one that is fed lungs alone, a bare file."""
    model = semenet.load_model(classifier_run)
    model.get_layer("head").lungs_alone = True
    model.save(tmp_path / "alone.keras")
    return tmp_path / "alone.keras"


def fails(command, capsys):
    """The message of a user's error."""
    with pytest.raises(SystemExit) as exit_status:
        main([str(word) for word in command])
    error = capsys.readouterr().err
    assert exit_status.value.code == 1
    assert "Traceback" not in error
    return " ".join(error.split())


def without_masks(manifest):
    """The manifest beside itself, without masks."""
    frame = pd.read_csv(manifest).drop(columns=["mask", "lesion_mask"], errors="ignore")
    path = manifest.with_name("without_masks.csv")
    frame.to_csv(path, index=False)
    return path


def test_calibrate_says_what_it_chose_and_from_then_on_it_applies(copied_run, phantoms, tmp_path, capsys):
    main(["calibrate", str(copied_run), "--manifest", str(phantoms), "--accuracy", "0.9"])
    chosen = json.loads((copied_run / "calibration.json").read_text())
    output = capsys.readouterr().out
    assert f"temperature {chosen['temperature']:.3f}; expected calibration error" in output
    assert output.splitlines()[-1] == str(copied_run / "calibration.json")
    # Of 12 images, which the best epoch was chosen on too.
    assert "caution: The split val has 12 images" in output
    assert "caution: The best epoch was chosen on the split val too" in output
    assert "--accuracy 0.9" in chosen["command"]
    out = tmp_path / "out"
    main(["evaluate", str(copied_run), "--manifest", str(phantoms), "--out", str(out), "--resamples", "200"])
    figures = json.loads((out / "metrics.json").read_text())
    assert figures["calibration"]["temperature"] == chosen["temperature"]
    assert figures["calibration"]["chosen_on"]["split"] == "val"
    error = fails(["calibrate", copied_run, "--manifest", phantoms, "--split", "test"], capsys)
    assert "Received: the split 'test', which is kept for the final evaluation" in error


def test_compare_prints_a_table_and_writes_where_asked(
    copied_run, classifier_run, phantoms, tmp_path, capsys
):
    command = ["compare", copied_run, classifier_run, "--manifest", phantoms, "--resamples", "200"]
    main([str(word) for word in command])
    output = capsys.readouterr().out
    assert f"first:  {copied_run}" in output
    assert "val: 12 images of " in output
    line = next(line for line in output.splitlines() if line.startswith("accuracy")).split()
    # A network and its copy.
    assert line[1] == line[2]
    assert line[3:] == ["+0.000", "[+0.000,", "+0.000]", "1.000"]
    assert not (tmp_path / "out").exists()
    main([str(word) for word in [*command, "--out", tmp_path / "out"]])
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert found["count"] == 12
    assert f"--out {tmp_path / 'out'}" in found["command"]
    assert "Received: 'vla'" in fails([*command, "--split", "vla"], capsys)


@pytest.mark.slow
def test_audit_prints_a_verdict_and_goes_into_the_report(
    classifier_run, unet_run, phantoms, tmp_path, capsys
):
    out = tmp_path / "audit"
    main(["audit", str(classifier_run), "--manifest", str(phantoms), "--out", str(out)])
    found = json.loads((out / "audit.json").read_text())
    output = capsys.readouterr().out
    assert f"{found['verdict']}: {found['words'][0]}" in output
    assert str(out / "audit.json") in output
    command = ["evaluate", classifier_run, "--manifest", phantoms, "--out", tmp_path / "out"]
    main([str(word) for word in [*command, "--audit", out, "--resamples", "200"]])
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert figures["audit"]["verdict"] == found["verdict"]
    assert f"**{found['verdict']}**" in (tmp_path / "out" / "card.md").read_text()
    # By the column source of phantoms: in the metrics, the report, the card, and the last lines.
    assert figures["synthetic_images"] == 12
    output = capsys.readouterr().out
    for text in (
        output,
        (tmp_path / "out" / "report.html").read_text(),
        (tmp_path / "out" / "card.md").read_text(),
    ):
        assert "All 12 images are synthetic: results on them show" in text
    *_, audited, synthetic, path = (line for line in output.splitlines() if "failed check" not in line)
    assert audited.endswith(f"Audit: {found['verdict']}.")
    assert synthetic.startswith("All 12 images")
    assert path == str(tmp_path / "out" / "report.html")
    bare = without_masks(phantoms)
    command = ["audit", classifier_run, "--manifest", bare, "--out", tmp_path / "bare"]
    assert "Received: 12 of 12 images without a mask" in fails(command, capsys)
    main([str(word) for word in [*command, "--lungs", unet_run]])
    found = json.loads((tmp_path / "bare" / "audit.json").read_text())
    assert found["masks"] == f"masks by the U-Net {unet_run}"


@pytest.mark.slow
def test_evaluate_by_columns_and_with_lungs(classifier_run, unet_run, phantoms, tmp_path, capsys):
    frame = pd.read_csv(without_masks(phantoms))
    frame["sex"], frame["room"] = "F", ["one", "two", "three"] * 15
    manifest = phantoms.with_name("rooms.csv")
    frame.to_csv(manifest, index=False)
    out = tmp_path / "out"
    command = ["evaluate", classifier_run, "--manifest", manifest, "--out", out, "--resamples", "200"]
    main([str(word) for word in [*command, "--by", "sex,room", "--lungs", unet_run]])
    assert str(out / "report.html") in capsys.readouterr().out
    figures = json.loads((out / "metrics.json").read_text())
    assert list(figures["subgroups"]) == ["sex", "room"]
    assert set(figures["subgroups"]["room"]) == set(frame.loc[frame["split"] == "val", "room"])
    assert figures["where"]["masks"] == f"masks by the U-Net {unet_run}"
    assert f"--by sex,room --lungs {unet_run}" in figures["command"]
    error = fails([*command, "--by", "hospital"], capsys)
    assert "Received: 'hospital'. Available: file" in error
    assert "Give a U-Net's run" in fails([*command, "--lungs", classifier_run], capsys)
    assert "audit.json that `semenet audit` writes" in fails([*command, "--audit", out], capsys)


def test_explain_takes_files_or_a_manifest(classifier_run, phantoms, tmp_path, capsys):
    images = sorted((phantoms.parent / "images").glob("*.png"))[:2]
    out = tmp_path / "maps"
    command = ["explain", classifier_run, "--out", out]
    manifest = ["--manifest", phantoms, "--only", "all"]
    for given, received in (
        ([], "0 paths and no manifest"),
        ([*images, *manifest], f"2 paths and {phantoms}"),
    ):
        error = fails([*command[:2], *given, *command[2:]], capsys)
        assert "Either images or a manifest are explained." in error
        assert received in error
    assert not out.exists()
    main([str(word) for word in [*command, *manifest, "--method", "cam", "--class-name", "virus"]])
    table = pd.read_csv(out / "explanations.csv")
    rows = pd.read_csv(phantoms)
    rows = rows[rows["split"] == "val"]
    assert table["file"].tolist() == rows["file"].tolist()
    assert table["label"].tolist() == rows["label"].tolist()
    assert set(table["class"]) == {"virus"}
    assert set(table["method"]) == {"cam"}
    assert all((out / name).is_file() for name in table["panel"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("12 images explained by cam; predicted: ")
    assert lines[-1] == str(out / "explanations.csv")


@pytest.mark.slow
def test_a_network_fed_lungs_alone_needs_them_in_every_command(
    run_of_lungs, unet_run, phantoms, tmp_path, capsys
):
    image, bare = next((phantoms.parent / "images").glob("*.png")), without_masks(phantoms)
    needing = {
        "predict": ["predict", run_of_lungs, image, "--out", tmp_path / "p.csv"],
        "explain": ["explain", run_of_lungs, image, "--out", tmp_path / "maps"],
        "evaluate": ["evaluate", run_of_lungs, "--manifest", bare, "--out", tmp_path / "eval"],
        "calibrate": ["calibrate", run_of_lungs, "--manifest", bare],
        "compare": ["compare", run_of_lungs, run_of_lungs, "--manifest", bare, "--resamples", "200"],
    }
    for command in needing.values():
        assert "--lungs" in fails(command, capsys)
    assert "Give a U-Net's run with --lungs" in fails(["export", run_of_lungs, tmp_path / "saved"], capsys)
    for command in needing.values():
        main([str(word) for word in [*command, "--lungs", unet_run]])
    scored = pd.read_csv(tmp_path / "p.csv")
    assert len(scored) == 1
    assert "lungs alone" in (tmp_path / "eval" / "card.md").read_text()
