"""Heat maps beside predictions, of one network and of a cascade."""

import cv2
import numpy as np
import pandas as pd
import pytest

import semenet
from semenet.cli.main import main
from semenet.data.images.reading import read_image
from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.inference.heat_maps.map_choice import MapChoice, heat_map
from semenet.inference.heat_maps.overlays import cell_geometry, overlay_heat_map, resize_heat_map
from semenet.serving.prediction.any_network import predict
from semenet.training.run_folder.run import Run


@pytest.fixture(scope="module")
def images(phantoms):
    return sorted((phantoms.parent / "images").glob("*.png"))[:5]


def picture(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_the_command_writes_the_maps_of_the_predicted_classes(classifier_run, images, tmp_path, capsys):
    out, maps = tmp_path / "p.csv", tmp_path / "maps"
    command = ["predict", str(classifier_run), *map(str, images), "--out", str(out), "--batch-size", "2"]
    main([*command, "--maps", str(maps), "--map-method", "layer_cam", "--map-layer", "8"])
    frame, table = pd.read_csv(out, keep_default_na=False), pd.read_csv(maps / "maps.csv")
    pd.testing.assert_frame_equal(frame, predict(classifier_run, images, batch_size=2), check_dtype=False)
    assert list(table.columns) == ["file", "class", "method", "layer", "heatmap", "overlay"]
    assert table["file"].tolist() == frame["file"].tolist()
    assert table["class"].tolist() == frame["predicted"].tolist()
    assert set(table["method"]) == {"layer-cam"}
    run = Run.open(classifier_run)
    inputs = np.stack([prepare_image(read_image(file), run.input_size) for file in images])
    index = [run.class_names.index(name) for name in frame["predicted"]]
    heats = heat_map(run.model, inputs, index, method="layer-cam", layer=8)
    geometry = cell_geometry(run, table["layer"][0])
    for row, file, heat in zip(table.itertuples(), images, heats, strict=True):
        image = read_image(file)
        expected = resize_heat_map(heat, image.shape, geometry)
        np.testing.assert_allclose(picture(maps / row.heatmap) / 255, expected, atol=0.004)
        overlay = picture(maps / row.overlay)[..., ::-1].astype(int)
        assert np.abs(overlay - overlay_heat_map(image, heat, geometry=geometry)).max() <= 2


def test_a_cascade_writes_the_maps_of_both_stages(classifier_run, unet_run, images, tmp_path):
    small = {"input_shape": (32, 32, 1), "width": 0.125, "depth": 0.01}
    stage2 = semenet.build("seme_densenet169", classes=("other_viral", "COVID-19"), **small)
    cascade = semenet.Cascade(classifier_run, unet_run, stage2, gated=False)
    choice = MapChoice("hires-cam", 8)
    table = predict(cascade, images, maps=tmp_path / "maps", map_choice=choice)
    maps = pd.read_csv(tmp_path / "maps" / "maps.csv")
    assert maps["network"].tolist() == ["stage1"] * 5 + ["stage2"] * 5
    assert maps["layer"].tolist() == [maps["layer"][0]] * 5 + ["pool3_relu"] * 5
    assert (tmp_path / "maps" / f"{images[0].stem}_stage2_overlay.png").is_file()
    pd.testing.assert_frame_equal(table, predict(cascade, images))
    result = cascade.predict(images, explain=choice)
    first = picture(tmp_path / "maps" / maps["heatmap"][0])
    geometry = cell_geometry(cascade.stage1, maps["layer"][0])
    expected = resize_heat_map(result.stage1_heat_maps[0], first.shape, geometry)
    np.testing.assert_allclose(first / 255, expected, atol=0.004)
    default = cascade.predict(images, explain=True)
    assert default.stage1_heat_maps.shape[1:] == (1, 1)
    assert result.stage1_heat_maps.shape[1:] == (4, 4)


def test_rejected_images_of_a_cascade_have_no_map(classifier_run, unet_run, images, tmp_path):
    small = {"input_shape": (32, 32, 1), "width": 0.125, "depth": 0.01}
    stage2 = semenet.build("seme_densenet169", classes=("other_viral", "COVID-19"), **small)
    cascade = semenet.Cascade(classifier_run, unet_run, stage2)
    table = predict(cascade, images, maps=tmp_path / "maps")
    assert table["predicted"].tolist() == ["rejected"] * 5, "64 pixels are too few"
    assert pd.read_csv(tmp_path / "maps" / "maps.csv").empty


def test_what_cannot_be_explained(classifier_run, unet_run, images, tmp_path, capsys):
    with pytest.raises(SemenetError, match=r"--maps for .*segmentation network"):
        predict(unet_run, images, maps=tmp_path / "maps")
    with pytest.raises(SemenetError, match=r"Received: 'conv3'.*Did you mean"):
        predict(classifier_run, images, maps=tmp_path / "maps", map_choice=MapChoice(layer="conv3"))
    with pytest.raises(SystemExit):
        main(
            [
                "predict",
                str(classifier_run),
                str(images[0]),
                "--out",
                str(tmp_path / "p.csv"),
                "--map-layer",
                "8",
            ]
        )
    assert "Received: no --maps" in capsys.readouterr().err
