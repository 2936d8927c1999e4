"""A single network rejects what is not a radiograph, as the cascade does; or it answers and flags it."""

import cv2
import numpy as np
import pandas as pd
import pytest

import semenet
from semenet.cli.main import main
from semenet.data.phantom.frontal import draw_radiograph
from semenet.errors import SemenetError

CLASSES = ["normal", "bacteria", "virus"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A phantom, the same inverted, in colour and with few grey levels, and one of 20 pixels."""
    folder = tmp_path_factory.mktemp("gate")
    image = draw_radiograph("virus", size=128, seed=4).image
    colour = np.zeros((*image.shape, 3), np.uint8)
    colour[..., 2] = image
    pictures = {
        "0_chest": image,
        "1_inverted": 255 - image,
        "2_colour": colour,
        "3_dark": image // 16,
        "4_small": cv2.resize(image, (20, 20)),
    }
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / f"{name}.png"), picture)
    return sorted(folder.iterdir())


def test_unsuitable_images_are_rejected_or_flagged(classifier_run, files, tmp_path, capsys):
    out = tmp_path / "p.csv"
    maps = ["--maps", str(tmp_path / "maps")]
    main(["predict", str(classifier_run), *map(str, files), "--out", str(out), "--batch-size", "2", *maps])
    rejected = pd.read_csv(out, keep_default_na=False)
    assert list(rejected.columns) == ["file", *CLASSES, "predicted", "input_flags"]
    flags = rejected["input_flags"].str.split()
    assert flags[0] == []
    for number, code in enumerate(("inverted", "colour_photograph", "wrong_range", "too_small"), start=1):
        assert code in flags[number]
        assert rejected["predicted"][number] == "rejected"
        assert not rejected.loc[number, CLASSES].any()
    assert pd.read_csv(tmp_path / "maps/maps.csv")["file"].tolist() == [str(files[0])]
    main(["predict", str(classifier_run), *map(str, files), "--out", str(out), "--no-gate"])
    answered = pd.read_csv(out, keep_default_na=False)
    assert answered["input_flags"].tolist() == rejected["input_flags"].tolist()
    assert set(answered["predicted"]) <= set(CLASSES)
    np.testing.assert_allclose(answered[CLASSES].sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(answered[CLASSES].iloc[0], rejected[CLASSES].iloc[0], rtol=1e-6)


def test_a_segmentation_network_writes_no_mask_of_a_rejected_image(unet_run, files, tmp_path):
    table = semenet.predict(unet_run, files[:2], tmp_path / "lungs.csv")
    assert list(table.columns) == ["file", "lung", "mask", "input_flags"]
    assert table["mask"][1] == ""
    assert [path.name for path in (tmp_path / "lungs_masks").iterdir()] == ["0_chest.png"]


def test_an_image_as_small_as_the_network_s_input_is_large_enough(classifier_run, files, tmp_path):
    small = cv2.resize(
        cv2.imread(str(files[0]), cv2.IMREAD_GRAYSCALE), (40, 40), interpolation=cv2.INTER_AREA
    )
    cv2.imwrite(str(tmp_path / "small.png"), small)
    (flags,) = semenet.predict(classifier_run, tmp_path / "small.png")["input_flags"]
    assert "too_small" not in flags


def test_a_cascade_has_a_gate_of_its_own(tmp_path):
    (tmp_path / "cascade.json").write_text("{}")
    with pytest.raises(SemenetError, match=r"its own segmentation network and input gate.*--no-gate"):
        semenet.predict(tmp_path, [tmp_path], gated=False)
