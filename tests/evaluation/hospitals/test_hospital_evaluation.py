"""A network evaluated on the manifest of its training and on that of another hospital."""

import json

import pandas as pd
import pytest

import semenet
from semenet.cli.main import main
from semenet.data.manifest.table import read_manifest, write_manifest
from semenet.errors import SemenetError


@pytest.fixture(scope="module")
def elsewhere(phantoms, tmp_path_factory):
    """Another hospital: the phantoms of the split test, as split val of a manifest of their own."""
    rows = read_manifest(phantoms).rows.query("split == 'test'")
    path = tmp_path_factory.mktemp("hospitals") / "elsewhere" / "manifest.csv"
    path.parent.mkdir()
    write_manifest(rows.assign(file=rows["path"], mask=rows["mask_path"], split="val"), path)
    return path


@pytest.fixture(scope="module")
def evaluated(classifier_run, phantoms, elsewhere, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated") / "out"
    arguments = ["--manifest", str(phantoms), "--manifest", str(elsewhere), "--out", str(out)]
    main(["evaluate", str(classifier_run), *arguments, "--resamples", "200"])
    return out


def test_the_table_holds_what_each_evaluation_measured(evaluated, phantoms, elsewhere, classifier_run):
    found = json.loads((evaluated / "metrics.json").read_text())
    internal, external = found["hospitals"]
    assert (internal["hospital"], internal["internal"]) == ("set", True)
    assert (external["hospital"], external["internal"]) == ("elsewhere", False)
    for row in found["hospitals"]:
        own = json.loads((evaluated / row["hospital"] / "metrics.json").read_text())
        assert row["figures"]["macro_auroc"] == own["macro_auroc"]
        assert row["intervals"]["accuracy"] == own["intervals"]["accuracy"]
    assert (internal["evidence"], external["evidence"]) == ("validation", "other manifest")
    assert found["manifests"]["set"]["chosen_on"]["val"] == ["best epoch"]
    change = external["figures"]["accuracy"] - internal["figures"]["accuracy"]
    assert external["difference"]["accuracy"]["value"] == pytest.approx(change)
    table = pd.read_csv(evaluated / "predictions.csv")
    assert table.groupby("hospital").size().to_dict() == {
        "set": internal["count"],
        "elsewhere": external["count"],
    }


def test_report_and_card_show_the_kinds_of_evidence_side_by_side(evaluated):
    page = (evaluated / "report.html").read_text()
    assert "set (internal)" in page
    assert "validation, not a test" in page
    assert 'href="elsewhere/report.html"' in page
    card = (evaluated / "card.md").read_text()
    assert "| Validation, not a test; chosen on it: best epoch: set |" in card
    assert "nothing was chosen on it | not measured |" in card
    assert "or another manifest: elsewhere |" in card
    own = (evaluated / "set" / "report.html").read_text()
    assert "Validation, not a test: best epoch was chosen on this split." in own


def test_wrong_arguments_are_named(classifier_run, phantoms, elsewhere, tmp_path, capsys):
    with pytest.raises(SemenetError, match="two or more different manifests"):
        semenet.evaluate_hospitals(classifier_run, [phantoms, phantoms], out=tmp_path / "out")
    with pytest.raises(SemenetError, match="at least one row"):
        semenet.evaluate_hospitals(classifier_run, [phantoms, elsewhere], "test", out=tmp_path / "out")
    arguments = ["--manifest", str(phantoms), "--manifest", str(elsewhere), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        main(["evaluate", str(classifier_run), *arguments, "--root", str(tmp_path)])
    with pytest.raises(SystemExit):
        main(["evaluate", str(classifier_run), "--out", str(tmp_path / "out")])
    error = " ".join(capsys.readouterr().err.split())
    assert "An evaluation needs a manifest. Received: none." in error
    assert "belong to one manifest. Received: --root" in error
    assert not (tmp_path / "out").exists()
