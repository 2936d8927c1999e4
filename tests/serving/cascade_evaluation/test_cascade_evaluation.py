"""`semenet evaluate` and `semenet explain` with the folder of a cascade."""

import pandas as pd
import pytest
from hand_made_networks import brightness_network, threshold_unet

from semenet.cli.main import main
from semenet.data.phantom.dataset import write_phantoms
from semenet.serving.cascade.cascade import Cascade

CLASSES = ("normal", "bacteria", "other_viral", "COVID-19")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cascade whose stage 1 passes on every image, and whose stage 2 calls every image COVID-19."""
    networks = tmp_path_factory.mktemp("networks")
    cascade = Cascade(
        brightness_network(networks / "one.keras", ("normal", "bacteria", "virus"), [0.0, 0.0, 1.0]),
        threshold_unet(networks / "unet.keras"),
        brightness_network(networks / "two.keras", CLASSES[2:], [0.0, 1.0], size=(32, 56), alone=True),
    )
    return cascade.save(networks / "cascade")


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """Two sources: one of normal and virus, one of the classes of stage 2."""
    path = tmp_path_factory.mktemp("phantoms")
    return (
        write_phantoms(path / "one", count=10, size=96, classes=("normal", "virus")),
        write_phantoms(path / "two", count=10, size=96, classes=CLASSES[2:], seed=9),
    )


def test_the_evaluation_counts_the_decisions(folder, manifests, tmp_path, capsys):
    both, covid = map(str, manifests)
    options = ["--out", str(tmp_path / "out"), "--split", "train", "--resamples", "50"]
    # The first manifest is given twice, and counts once.
    main(["evaluate", str(folder), *(f"--manifest={path}" for path in (both, covid, both)), *options])
    printed = capsys.readouterr().out
    frame = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert frame["path"].is_unique
    # virus counts as the first class of stage 2.
    assert set(frame["label"]) == {"normal", "other_viral", "COVID-19"}
    confusion = pd.read_csv(tmp_path / "out" / "confusion.csv", index_col=0)
    assert confusion.columns.tolist() == [*CLASSES, "abstain", "rejected"]
    assert confusion.to_numpy().sum() == len(frame)
    accepted = frame[frame["predicted"] != "rejected"]
    assert (accepted["stage1"] == "virus").all()
    assert confusion["COVID-19"].sum() == len(accepted)
    share = (frame["likeliest"] == frame["label"]).mean()
    assert f"| most probable class is right | {share:.3f} (" in printed
    counted = frame["label"] == "COVID-19"
    sent = (frame["stage1"] == "virus")[counted].sum()
    assert f"| COVID-19: passed on to stage 2 | {sent / counted.sum():.3f}" in printed
    assert printed.count("| source ") == 2 * frame["source"].nunique()


def test_unknown_classes_and_options_of_networks_are_refused(folder, manifests, tmp_path, capsys):
    arguments = ["evaluate", str(folder), "--manifest", str(manifests[0]), "--out", str(tmp_path / "out")]
    for option, received in ((["--refined", "flu"], "Received: flu"), (["--tta", "3"], "with --tta")):
        with pytest.raises(SystemExit) as raised:
            main([*arguments, *option])
        assert raised.value.code == 1
        assert received in capsys.readouterr().err


def test_the_maps_of_both_stages_are_written(folder, manifests, tmp_path, capsys):
    image = manifests[0].parent / "images" / "000000.png"
    main(["explain", str(folder), str(image), "--out", str(tmp_path / "maps")])
    table = pd.read_csv(tmp_path / "maps" / "explanations.csv", keep_default_na=False)
    assert capsys.readouterr().out.strip().endswith("explanations.csv")
    if (table["predicted"] != "rejected").all():
        assert table["network"].tolist() == ["stage1", "stage2"]
    pictures = {*table["heatmap"], *table["overlay"]} - {""}
    assert {file.name for file in (tmp_path / "maps").iterdir()} == {*pictures, "explanations.csv"}


def test_wrong_answers_of_a_split_are_explained(folder, manifests, tmp_path):
    out = tmp_path / "maps"
    options = ["--split", "train", "--out", str(out), "--only"]
    for only in ("wrong", "right"):
        main(["explain", str(folder), "--manifest", str(manifests[1]), *options, only])
        table = pd.read_csv(out / "explanations.csv", keep_default_na=False)
        assert set(table["predicted"]) <= {"COVID-19"}
        assert ((table["predicted"] == table["label"]) == (only == "right")).all()
