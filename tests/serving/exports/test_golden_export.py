import base64
import csv
import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from golden_export import GOLDEN, digest, golden_cascade

from semenet.data.images.colour import is_coloured
from semenet.data.images.reading import read_image
from semenet.serving.exports.decoding_graph import decode_batch
from semenet.serving.exports.saved_model import export
from semenet.serving.exports.servables import CascadeServable


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    return golden_cascade(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def prepared_in_graph(cascade):
    """Function from image files to the images that the exported graph prepares, in one batch."""
    servable = CascadeServable(cascade)
    graph = tf.function(
        lambda contents: decode_batch(contents, servable.prepare, servable.specs),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )

    def prepare(files):
        codes, batches = graph(tf.constant(files))
        assert not codes.numpy().any()
        return list(zip(*(batch.numpy() for batch in batches), strict=True))

    return prepare


@pytest.fixture(scope="module")
def golden():
    read = json.loads(GOLDEN.read_text())
    return {name: values | {"file": base64.b64decode(values["file"])} for name, values in read.items()}


def test_prepared_images_equal_the_golden_file(cascade, prepared_in_graph, golden):
    """Bit for bit, in Python and in the exported graph."""
    in_graph = prepared_in_graph([values["file"] for values in golden.values()])
    for (name, values), arrays in zip(golden.items(), in_graph, strict=True):
        by_python = cascade.prepare(read_image(values["file"]), is_coloured(values["file"]))
        assert digest(by_python) == values["prepared_sha256"], f"{name} in Python"
        assert digest(arrays) == values["prepared_sha256"], f"{name} in the graph"


def test_the_answers_of_a_savedmodel_equal_the_golden_file(cascade, golden, tmp_path):
    saved = export(cascade.save(tmp_path / "cascade"), tmp_path / "saved")
    model = tf.saved_model.load(str(saved))
    answer = model.signatures["serving_default"](
        image_bytes=tf.constant([values["file"] for values in golden.values()])
    )
    expected = [values["probabilities"] for values in golden.values()]
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    for output in ("predicted", "reason"):
        assert answer[output].numpy().astype(str).tolist() == [values[output] for values in golden.values()]


@pytest.mark.skipif(
    "SEMENET_DATA" not in os.environ, reason="SEMENET_DATA is not set to a folder of radiographs"
)
def test_real_radiographs_are_prepared_equally(cascade, prepared_in_graph):
    """Images of each data set, of many sizes."""
    data = pathlib.Path(os.environ["SEMENET_DATA"])
    files = []
    for name in ("dataset1", "dataset1_hires", "dataset2"):
        with open(data / name / "manifest.csv", newline="", encoding="utf-8") as manifest:
            rows = list(csv.DictReader(manifest))
        files += [data / name / row["file"] for row in rows[:: max(1, len(rows) // 16)]]
    contents = [file.read_bytes() for file in files]
    shapes = set()
    for start in range(0, len(files), 16):
        in_graph = prepared_in_graph(contents[start : start + 16])
        for file, bytes_, arrays in zip(
            files[start : start + 16], contents[start : start + 16], in_graph, strict=True
        ):
            image = read_image(file)
            shapes.add(image.shape)
            for expected, found in zip(cascade.prepare(image, is_coloured(bytes_)), arrays, strict=True):
                np.testing.assert_array_equal(found, expected, err_msg=str(file))
    assert len(shapes) > 8
