import numpy as np
import pandas as pd
import pytest

from semenet.cli.main import main
from semenet.errors import MissingFileError, SemenetError
from semenet.evaluation.probing.embedding_probe import probe
from semenet.evaluation.probing.feature_table import read_features


def table(tmp_path, labels, features, patients=None, **columns):
    """A table as `semenet embed` writes it, of made-up embeddings."""
    count = len(labels)
    frame = pd.DataFrame(
        {
            "file": [f"{number}.png" for number in range(count)],
            "finding": labels,
            "patient": [f"p{number}" for number in range(count)] if patients is None else patients,
            "split": "train",
            "network": "seme_resnet50:dataset1",
            "network_sha256": "0" * 64,
            **columns,
        }
    )
    frame = frame.join(pd.DataFrame(features, columns=[f"e{number}" for number in range(features.shape[1])]))
    path = tmp_path / "features.csv"
    frame.to_csv(path, index=False)
    return path


def test_what_the_features_tell_is_found(tmp_path):
    rng = np.random.default_rng(0)
    index = np.arange(60) % 3
    features = rng.normal(size=(60, 4)) * 0.1 + np.eye(4)[index] * 3
    path = table(tmp_path, np.array(["a", "b", "c"])[index], features)
    found = probe(path, "finding", resamples=200)
    assert found["class_names"] == ["a", "b", "c"]
    assert found["accuracy"] == 1
    assert found["support"] == {"a": 20, "b": 20, "c": 20}
    assert (found["count"], found["patients"], found["left_out"]) == (60, 60, 0)


def test_a_patient_s_other_image_does_not_help(tmp_path):
    """Features that identify a patient, and a label that is drawn by patient: known only by a leak."""
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(40), 3)
    label = rng.permutation(np.arange(40) % 2)[patients]
    features = rng.normal(size=(40, 30))[patients] + rng.normal(size=(120, 30)) * 0.01
    path = table(tmp_path, np.array(["no", "yes"])[label], features, [f"p{number}" for number in patients])
    found = probe(path, "finding", resamples=200)
    low, high = found["intervals"]["macro_auroc"]
    assert low < 0.5 < high
    assert found["patients"] == 40


def test_rows_without_a_label_are_left_out_and_splits_are_chosen(tmp_path):
    rng = np.random.default_rng(2)
    labels = np.array(["a", "b"])[np.arange(40) % 2]
    labels = np.where(np.arange(40) < 4, "", labels)
    path = table(tmp_path, labels, rng.normal(size=(40, 3)), split=["train"] * 30 + ["test"] * 10)
    found = probe(path, "finding", resamples=200)
    assert (found["count"], found["left_out"]) == (36, 4)
    found = probe(path, "finding", split="test", folds=2, resamples=200)
    assert (found["count"], found["left_out"]) == (10, 0)
    with pytest.raises(SemenetError, match="one of the table's. Received: 'val'. Its splits are test, train"):
        probe(path, "finding", split="val")


def test_errors_name_the_remedy(tmp_path):
    rng = np.random.default_rng(3)
    labels = ["a"] * 10 + ["b"] * 3
    path = table(tmp_path, labels, rng.normal(size=(13, 3)))
    with pytest.raises(SemenetError, match="Received: 'b' with 3 patients. Use fewer folds"):
        probe(path, "finding")
    with pytest.raises(SemenetError, match="Received: 'label' for .*The columns are file, finding"):
        probe(path)
    with pytest.raises(SemenetError, match="2 to 50 classes. Received: 'network' with 1"):
        probe(path, "network")
    with pytest.raises(SemenetError, match="`folds` must be 2 or more"):
        probe(path, "finding", folds=1)
    with pytest.raises(MissingFileError, match="Write it with `semenet embed`"):
        probe(tmp_path / "nothing.csv")
    pd.DataFrame({"file": ["a.png"], "patient": ["p"]}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(SemenetError, match="without network, network_sha256"):
        read_features(tmp_path / "other.csv")
    mixed = table(tmp_path, labels, rng.normal(size=(13, 3)), network_sha256=["0"] * 12 + ["1"])
    with pytest.raises(SemenetError, match="embeddings of one network"):
        probe(mixed, "finding", folds=2)


def test_the_commands_from_a_manifest_to_a_probe_and_to_neighbours(
    classifier_run, phantoms, tmp_path, capsys
):
    features, result = tmp_path / "features.csv", tmp_path / "probe.json"
    main(["embed", str(classifier_run), str(phantoms), "--out", str(features)])
    assert "45 images of 36 patients, 256 features of each." in capsys.readouterr().out
    main(
        [
            "probe",
            str(features),
            "--label",
            "marker",
            "--folds",
            "3",
            "--resamples",
            "200",
            "--out",
            str(result),
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("macro AUROC ")
    assert lines[-2].startswith("Logistic regression on embeddings of ")
    assert lines[-1] == str(result)
    image = phantoms.parent / "images" / "000000.png"
    main(["data", "contains", str(phantoms), str(image), "--features", str(features)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "yes"
    start = next(number for number, line in enumerate(lines) if line.startswith("nearest by embeddings of"))
    nearest = lines[start + 1 :]
    assert len(nearest) == 5
    assert nearest[0].startswith("file=images/000000.png\tlabel=normal\tpatient=normal-0000\tsplit=train")
    assert nearest[0].endswith("similarity=1.000")
    with pytest.raises(SystemExit):
        main(["data", "contains", str(phantoms), str(image), "--with", "x"])
    assert "--with and --lungs belong to embeddings" in capsys.readouterr().err
