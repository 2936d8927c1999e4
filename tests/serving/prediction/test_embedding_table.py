import os
import shutil

import numpy as np
import pandas as pd
import pytest

import semenet
from semenet.data.manifest.table import read_manifest
from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.evaluation.probing.feature_table import read_features
from semenet.inference.embeddings import embedding_function
from semenet.serving.prediction import embedding_table
from semenet.serving.prediction.embedding_table import embed, nearest_images
from semenet.storage.atomic import OutputError
from semenet.training.run_folder.run import Run


@pytest.fixture(scope="module")
def run(classifier_run):
    return Run.open(classifier_run)


@pytest.fixture(scope="module")
def written(run, phantoms, tmp_path_factory):
    out = tmp_path_factory.mktemp("embeddings") / "features.parquet"
    return out, embed(run, phantoms, out)


def test_an_embedding_is_the_mean_of_the_last_feature_map(run, phantoms, written):
    """By hand: the feature map of one prepared image, averaged with NumPy."""
    import keras

    row = read_manifest(phantoms).rows.iloc[7]
    image = prepare_image(semenet.read_image(row["path"]), run.input_size, run.channels, False)
    feature_map = keras.Model(run.model.inputs[0], run.model.get_layer("features").output)
    expected = np.asarray(feature_map(image[np.newaxis])).mean(axis=(1, 2))[0]
    _, features = read_features(written[0])
    assert features.shape == (45, len(expected))
    np.testing.assert_allclose(features[7], expected, rtol=1e-4, atol=1e-5)


def test_the_table_keeps_the_manifest_and_no_path_of_this_machine(phantoms, written):
    rows, _ = read_features(written[0])
    table = read_manifest(phantoms).rows
    assert rows["file"].tolist() == table["file"].tolist()
    assert rows["label"].tolist() == table["label"].tolist()
    assert str(phantoms.parent) not in rows.drop(columns="network").to_csv()


def test_csv_and_parquet_hold_the_same(run, phantoms, tmp_path):
    for name in ("test.csv", "test.parquet"):
        embed(run, phantoms, tmp_path / name, split="test")
    (first, of_first), (second, of_second) = (
        read_features(tmp_path / name) for name in ("test.csv", "test.parquet")
    )
    pd.testing.assert_frame_equal(first, second)
    np.testing.assert_array_equal(of_first, of_second)
    assert set(first["split"]) == {"test"}


def test_a_killed_call_is_resumed_and_ends_with_the_same_bytes(
    run, phantoms, written, tmp_path, monkeypatch, capsys
):
    computed = []
    compute = embedding_table.embed_rows

    def killed_after_two(*arguments):
        for number, batch in enumerate(compute(*arguments)):
            if number == 2:
                raise KeyboardInterrupt
            computed.append(len(batch))
            yield batch

    out = tmp_path / "features.parquet"
    monkeypatch.setattr(embedding_table, "embed_rows", killed_after_two)
    with pytest.raises(KeyboardInterrupt):
        embed(run, phantoms, out)
    journal = tmp_path / ".features.parquet.batches"
    # The process was killed while it wrote the second batch.
    os.truncate(journal, journal.stat().st_size - 3)
    assert computed == [16, 16]
    with pytest.raises(OutputError, match="resumed only with the same network.*batch size"):
        embed(run, phantoms, out, batch_size=8)

    def counted(run, rows, masks, batch_size):
        computed.append(len(rows))
        yield from compute(run, rows, masks, batch_size)

    monkeypatch.setattr(embedding_table, "embed_rows", counted)
    embed(run, phantoms, out)
    assert computed[2:] == [45 - 16]
    assert "resuming after 16 images" in capsys.readouterr().err
    assert out.read_bytes() == written[0].read_bytes()
    assert not journal.exists()


def test_what_has_changed_is_not_resumed(run, phantoms, tmp_path, monkeypatch):
    folder = tmp_path / "set"
    shutil.copytree(phantoms.parent, folder)

    def killed(*arguments):
        yield next(iter(compute(*arguments)))
        raise KeyboardInterrupt

    compute = embedding_table.embed_rows
    monkeypatch.setattr(embedding_table, "embed_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        embed(run, folder / "manifest.csv", tmp_path / "features.csv")
    os.utime(folder / "images" / "000000.png")
    with pytest.raises(OutputError, match="resumed only with the same network"):
        embed(run, folder / "manifest.csv", tmp_path / "features.csv")


def test_an_image_is_nearest_to_itself(run, phantoms, written):
    rows, features = read_features(written[0])
    image = read_manifest(phantoms).rows["path"][11]
    found = nearest_images(run, image, rows, features)
    assert len(found) == 5
    assert found["file"][0] == rows["file"][11]
    assert found["similarity"][0] == pytest.approx(1, abs=1e-4)
    assert found["similarity"].is_monotonic_decreasing
    assert "e0" not in found
    with pytest.raises(SemenetError, match="embeddings of the same network"):
        nearest_images(run, image, rows.assign(network_sha256="0"), features)


def test_other_arguments_are_errors(run, unet_run, phantoms, tmp_path):
    with pytest.raises(SemenetError, match="computed by a classifier.*segmentation network"):
        embed(unet_run, phantoms)
    with pytest.raises(SemenetError, match="table of embeddings must be a .csv or a .parquet"):
        embed(run, phantoms, tmp_path / "features.txt")
    with pytest.raises(SemenetError, match="`batch_size` must be 1 or more"):
        embed(run, phantoms, batch_size=0)
    with pytest.raises(SemenetError, match="computed by a classifier"):
        embedding_function(Run.open(unet_run))
