import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pandas as pd
import pytest
from hand_made_networks import brightness_network, calibrate_by_hand, threshold_unet

import semenet
from semenet.cli.main import main
from semenet.data.images.reading import read_image
from semenet.data.phantom.frontal import draw_radiograph
from semenet.errors import SemenetError
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.prediction.cascade_predictions import predict_cascade
from semenet.storage.atomic import OutputError
from semenet.training.run_folder.file_names import calibration_file

CLASSES = ["normal", "bacteria", "other_viral", "COVID-19"]


@pytest.fixture
def saved(tmp_path):
    """Folder of a cascade that depends on grey levels."""
    cascade = Cascade(
        brightness_network(tmp_path / "one.keras", ("normal", "bacteria", "virus"), [0.0, 0.01, 0.02]),
        threshold_unet(tmp_path / "unet.keras"),
        brightness_network(tmp_path / "two.keras", CLASSES[2:], [0.0, 0.05], size=(32, 56), alone=True),
        gated=False,
    )
    return cascade.save(tmp_path / "cascade")


@pytest.fixture
def folder(tmp_path):
    """Ten grey images of two sizes, and one unreadable file."""
    path = tmp_path / "images"
    path.mkdir()
    for number in range(10):
        image = np.full((40 + number % 2, 60), 20 * number + 9, "uint8")
        assert cv2.imwrite(str(path / f"{number}.png"), image)
    (path / "5_bad.png").write_bytes(b"no image")
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_table_equals_the_cascade_and_has_a_row_for_an_unreadable_file(
    saved, folder, tmp_path, kind, capsys
):
    out = tmp_path / "new" / f"p.{kind}"
    main(["predict", str(saved), str(folder), "--out", str(out), "--batch-size", "4"])
    frame = pd.read_csv(out, keep_default_na=False) if kind == "csv" else pd.read_parquet(out)
    assert frame.columns.tolist() == ["file", *CLASSES, "predicted", "reason", "input_flags", "lung_flags"]
    files = sorted(folder.iterdir())
    assert frame["file"].tolist() == [str(file) for file in files]
    bad = [file.name == "5_bad.png" for file in files]
    assert frame[bad][["predicted", "reason"]].values.tolist() == [["error", "unreadable"]]
    probabilities = frame[CLASSES].apply(pd.to_numeric, errors="coerce").to_numpy("float32")
    assert np.isnan(probabilities[bad]).all()
    good = ~np.array(bad)
    expected = Cascade.open(saved).predict([read_image(file) for file in np.array(files)[good]])
    np.testing.assert_allclose(probabilities[good], expected.probabilities, atol=1e-6)
    assert frame[good]["predicted"].tolist() == expected.predicted
    assert frame[good]["reason"].tolist() == expected.reasons
    assert frame[good]["lung_flags"].tolist() == [" ".join(flags) for flags in expected.lung_flags]
    assert "5_bad.png" in capsys.readouterr().err
    assert pd.read_csv(out.with_name("p_errors.csv"))["file"].tolist() == [str(folder / "5_bad.png")]
    assert not list(out.parent.glob(".*"))


def test_a_killed_process_resumes_after_its_last_batch(saved, folder, tmp_path, monkeypatch):
    out = tmp_path / "p.csv"
    decide, decided = Cascade.decide, []

    def until_the_third(self, prepared, explain=False):
        decided.append(len(prepared))
        if len(decided) == 3:
            raise KeyboardInterrupt
        return decide(self, prepared, explain)

    monkeypatch.setattr(Cascade, "decide", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        predict_cascade(saved, [folder], out, batch_size=3)
    assert not out.exists()
    journal = tmp_path / ".p.csv.rows"
    # As if it had been killed while writing, and one of the images had been replaced since.
    journal.write_text(journal.read_text() + '["half')
    cv2.imwrite(str(folder / "1.png"), np.full((50, 50), 250, "uint8"))
    again = predict_cascade(saved, [folder], out, batch_size=3)
    # Images 0 to 2, 3 to 5, and 6 and 7 with the bad file; then 1 and 6 with it, and 7 to 9.
    assert decided == [3, 3, 2, 2, 3]
    monkeypatch.undo()
    whole = predict_cascade(saved, [folder], tmp_path / "whole.csv", batch_size=3)
    pd.testing.assert_frame_equal(again, whole, atol=1e-6)
    assert not journal.exists()


def interrupted(monkeypatch, saved, folder, out, after):
    """Classifies some batches of three, then is killed."""
    decide, decided = Cascade.decide, []

    def until(self, prepared, explain=False):
        decided.append(len(prepared))
        if len(decided) > after:
            raise KeyboardInterrupt
        return decide(self, prepared, explain)

    with monkeypatch.context() as patched:
        patched.setattr(Cascade, "decide", until)
        with pytest.raises(KeyboardInterrupt):
            predict_cascade(saved, [folder], out, batch_size=3)


def composed(tmp_path, temperatures, gated=False):
    """Composes the cascade `saved` again, from the same networks with these calibrations, in its folder."""
    files = [tmp_path / f"{name}.keras" for name in ("one", "unet", "two")]
    for file, temperature in zip((files[0], files[2]), temperatures, strict=True):
        calibration_file(file).unlink(missing_ok=True)
        if temperature is not None:
            calibrate_by_hand(file, temperature)
    shutil.rmtree(tmp_path / "cascade")
    return Cascade(*files, gated=gated).save(tmp_path / "cascade")


CHANGES = {
    "calibrated": {"temperatures": (2.0, 2.0)},
    "calibrated anew": {"temperatures": (3.0, None)},
    "no longer calibrated": {"temperatures": (None, None)},
    "another cascade": {"temperatures": (2.0, None), "gated": True},
}


@pytest.mark.parametrize("change", CHANGES)
def test_rows_of_another_cascade_or_calibration_are_kept_and_rejected(
    saved, folder, tmp_path, monkeypatch, capsys, change
):
    begun_with = {"temperatures": (2.0, None)}
    composed(tmp_path, **begun_with)
    out, journal = tmp_path / "p.csv", tmp_path / ".p.csv.rows"
    interrupted(monkeypatch, saved, folder, out, after=2)
    rows = journal.read_bytes()
    composed(tmp_path, **CHANGES[change])
    with pytest.raises(SystemExit):
        main(["predict", str(saved), str(folder), "--out", str(out)])
    printed = capsys.readouterr().err
    assert f"{journal}, which holds 6 rows of another cascade or calibration" in printed
    assert "give another --out, or delete that file" in printed
    assert journal.read_bytes() == rows
    assert len(predict_cascade(saved, [folder], tmp_path / "other.csv")) == 11
    # The other remedy: the cascade that began it, even in another folder.
    first = composed(tmp_path, **begun_with).rename(tmp_path / "first")
    assert len(predict_cascade(first, [folder], out)) == 11
    assert "resuming after 6 images" in capsys.readouterr().err


def test_an_empty_journal_of_another_cascade_is_replaced(saved, folder, tmp_path, capsys):
    out = tmp_path / "p.csv"
    (tmp_path / ".p.csv.rows").write_text(json.dumps({"cascade": "another", "columns": []}) + "\n")
    assert len(predict_cascade(saved, [folder], out)) == 11
    assert "resuming" not in capsys.readouterr().err
    (tmp_path / ".p.csv.rows").touch()
    assert len(predict_cascade(saved, [folder], out)) == 11


def test_rows_are_rejected_before_a_network_is_loaded(saved, folder, tmp_path, monkeypatch):
    (tmp_path / ".p.csv.rows").write_text("another\n[]\n")
    monkeypatch.setattr(Cascade, "open", None)
    with pytest.raises(OutputError, match="holds 1 rows of another cascade or calibration"):
        predict_cascade(saved, [folder], tmp_path / "p.csv")


def test_a_fresh_start_prints_nothing_of_earlier_rows(saved, folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "p.csv"
    interrupted(monkeypatch, saved, folder, out, after=0)
    predict_cascade(saved, [folder], out)
    assert "resuming" not in capsys.readouterr().err


@pytest.mark.parametrize("storage", ["pyarrow", "python"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_name_that_is_not_utf_8_is_classified_and_escaped(
    saved, folder, tmp_path, monkeypatch, capsys, kind, storage
):
    """With and without pyarrow strings in pandas, and after a resumed run."""
    (folder / "0.png").rename(folder / os.fsdecode(b"0_m\xfcller.png"))
    (folder / os.fsdecode(b"0_bad\xff.png")).write_bytes(b"no image")
    out = tmp_path / os.fsdecode(b"\xe4") / f"p.{kind}"
    with pd.option_context("mode.string_storage", storage):
        interrupted(monkeypatch, saved, folder, out, after=1)
        frame = predict_cascade(saved, [folder], out)
    assert "resuming after 3 images" in capsys.readouterr().err
    with open(out, "rb") as file:
        written = pd.read_csv(file) if kind == "csv" else pd.read_parquet(file)
    for table in (frame, written):
        assert table["file"].tolist()[:2] == [rf"{folder}/0_bad\xff.png", rf"{folder}/0_m\xfcller.png"]
        assert table["predicted"].tolist()[0] == "error"
        assert len(table) == 12
    errors = pd.read_csv(out.with_name("p_errors.csv"))
    assert errors["file"].tolist() == [rf"{folder}/0_bad\xff.png", str(folder / "5_bad.png")]
    assert r"0_bad\xff.png" in errors["reason"][0]
    whole = Cascade.open(saved).predict([read_image(folder / os.fsdecode(b"0_m\xfcller.png"))])
    np.testing.assert_allclose(frame[CLASSES].to_numpy()[1], whole.probabilities[0], atol=1e-6)


def test_a_pipe_has_a_row_as_unreadable(saved, folder, tmp_path):
    os.mkfifo(folder / "pipe.png")
    out = tmp_path / "p.csv"
    thread = threading.Thread(target=predict_cascade, args=(saved, [folder], out), daemon=True)
    thread.start()
    thread.join(60)
    # A thread that still waits for a writer reads the end of the file.
    os.close(os.open(folder / "pipe.png", os.O_RDWR))
    errors = pd.read_csv(tmp_path / "p_errors.csv")
    assert errors["file"].tolist() == [str(folder / "5_bad.png"), str(folder / "pipe.png")]
    assert "a named pipe" in errors["reason"][1]
    assert len(pd.read_csv(out)) == 12


@pytest.mark.parametrize("command", ["audit", "calibrate"])
def test_other_commands_recognise_a_cascade(saved, tmp_path, capsys, command):
    more = {"calibrate": ["--manifest", "m.csv"]}
    more["audit"] = [*more["calibrate"], "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        main([command, str(saved), *more[command]])
    assert f"Received: {saved}, which is a cascade, which" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_process_loses_no_batch(saved, folder, tmp_path, capsys):
    """A real process, killed by SIGKILL as soon as its first batches are on disk."""
    for number in range(400):
        shutil.copy(folder / f"{number % 10}.png", folder / f"more_{number}.png")
    out, journal = tmp_path / "p.csv", tmp_path / ".p.csv.rows"
    command = ["predict", str(saved), str(folder), "--out", str(out), "--batch-size", "2"]
    process = subprocess.Popen([sys.executable, "-m", "semenet", *command], stderr=subprocess.DEVNULL)
    while not journal.exists() or len(journal.read_text().splitlines()) < 8:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not out.exists()
    capsys.readouterr()
    main(command)
    done = int(re.search(r"resuming after (\d+) images", capsys.readouterr().err)[1])
    assert 7 <= done < 411
    assert len(pd.read_csv(out)) == 411


def test_invalid_arguments_are_rejected_before_the_work(saved, folder, tmp_path, monkeypatch, capsys):
    with pytest.raises(ValueError, match=r"\.csv or a \.parquet"):
        predict_cascade(saved, [folder], tmp_path / "p.txt")
    with pytest.raises(ValueError, match="batch_size"):
        predict_cascade(saved, [folder], tmp_path / "p.csv", batch_size=0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'semenet\[parquet\]'"):
        predict_cascade(saved, [folder], tmp_path / "p.parquet")
    monkeypatch.undo()
    with pytest.raises(SystemExit):
        main(["predict", str(saved), str(folder), "--out", str(tmp_path / "p.csv"), "--tta", "3"])
    assert "Remove these options" in capsys.readouterr().err


def test_an_earlier_list_of_unreadable_files_is_emptied(saved, folder, tmp_path):
    out = tmp_path / "p.csv"
    predict_cascade(saved, [folder], out)
    (folder / "5_bad.png").unlink()
    predict_cascade(saved, [folder], out)
    assert len(pd.read_csv(tmp_path / "p_errors.csv")) == 0


def test_an_image_that_is_not_a_radiograph_is_rejected_with_a_reason(tmp_path, saved):
    ungated = Cascade.open(saved)
    gated = Cascade(*ungated.runs.values()).save(tmp_path / "gated")
    folder = tmp_path / "mixed"
    folder.mkdir()
    chest = draw_radiograph("normal", size=128, seed=1).image
    cv2.imwrite(str(folder / "chest.png"), chest)
    cv2.imwrite(str(folder / "inverted.png"), 255 - chest)
    cv2.imwrite(str(folder / "photo.jpg"), cv2.applyColorMap(chest.T.copy(), cv2.COLORMAP_JET))
    frame = predict_cascade(gated, [folder], tmp_path / "p.csv")
    assert frame["predicted"].tolist() == [frame["predicted"][0], "rejected", "rejected"]
    assert frame["predicted"][0] in CLASSES
    assert frame["reason"].tolist()[1:] == ["inverted", "colour_photograph"]
    assert frame["input_flags"].tolist()[:2] == ["", "inverted"]
    # A rejected image still has finite probabilities, all 0.
    assert np.isfinite(frame[CLASSES].to_numpy()).all()


def test_a_cascade_in_memory_and_no_file(saved, folder, tmp_path):
    expected = predict_cascade(saved, folder, tmp_path / "p.csv")
    cascade = Cascade.open(saved)
    pd.testing.assert_frame_equal(predict_cascade(cascade, folder), expected)
    pd.testing.assert_frame_equal(semenet.predict(cascade, str(folder)), expected)
    pd.testing.assert_frame_equal(semenet.predict(str(saved), folder, tmp_path / "q.csv"), expected)
    pd.testing.assert_frame_equal(semenet.predict(cascade, folder, tmp_path / "r.csv"), expected)
    assert (tmp_path / "r.csv").read_text() == (tmp_path / "p.csv").read_text()
    one = semenet.predict(saved, str(folder / "3.png"))
    np.testing.assert_allclose(one[CLASSES], expected[CLASSES][3:4], atol=1e-6)
    with pytest.raises(
        SemenetError, match="Received: a Cascade with --on-error, --tta, --lungs or --no-gate"
    ):
        semenet.predict(cascade, folder, tta=3)
