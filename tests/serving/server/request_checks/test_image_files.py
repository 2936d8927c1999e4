"""Image files of a request: checked as `read_image` does, and limited in their pixels."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from asgi_client import predict, service_of
from running_server import encoded

from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image
from semenet.serving.server.request_checks import image_files
from semenet.serving.server.request_checks.image_files import declared_pixels, sized_inputs

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 96), "uint8")
JPEG = cv2.imencode(".jpg", PIXELS)[1].tobytes()
PNG = cv2.imencode(".png", PIXELS)[1].tobytes()


def lengths(name, inputs):
    return {"bytes": np.array([len(contents) for contents in inputs["image_bytes"]])}


def service():
    return service_of(lengths, {"image_bytes": tf.TensorSpec([None], tf.string)})


def test_a_jpeg_that_was_cut_and_closed_by_an_end_marker_gets_no_bytes():
    cut = [JPEG[: len(JPEG) * part // 20] + b"\xff\xd9" for part in range(14, 20)]
    for contents in cut:
        with pytest.raises(ImageError):
            read_image(contents)
    damaged = PNG[:-20] + b"x" + PNG[-19:]
    answer = predict(service(), {"instances": [encoded(one) for one in (JPEG, *cut, PNG, damaged, b"BM")]})
    assert answer.content["predictions"] == [len(JPEG), *[0] * 6, len(PNG), 0, 2]


def test_pixels_are_read_from_headers():
    assert [declared_pixels(one) for one in (JPEG, PNG, JPEG[:50], PNG[:50], b"")] == [6144, 6144, 0, 0, 0]
    huge = PNG[:16] + (1 << 30).to_bytes(4, "big") * 2 + PNG[24:]
    assert declared_pixels(huge) == 0


def test_images_of_too_many_pixels_together_are_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(image_files, "MAX_REQUEST_PIXELS", 3 * PIXELS.size)
    monkeypatch.setattr(image_files, "check_image", None)
    answer = predict(service(), {"instances": [encoded(JPEG), encoded(PNG)] * 2})
    assert answer.status == 400
    assert "Received: 4 images of 24,576 pixels" in answer.content["error"]


def test_sizes_are_pixels_of_files_and_values_of_arrays():
    images = np.array([JPEG, b"x"], object)
    assert sized_inputs({"image_bytes": images}, 2)[1] == [6144, 0]
    arrays = {"a": np.zeros((2, 3, 4)), "b": np.zeros(2)}
    assert sized_inputs(arrays, 2) == (arrays, [13, 13])


def test_images_of_a_million_rows_are_refused():
    tall = cv2.imencode(".png", np.zeros((70_000, 1), np.uint8))[1].tobytes()
    assert declared_pixels(tall) == 0
    model = service_of(lambda name, inputs: inputs, {"pixels": tf.TensorSpec([None, None, None], tf.uint8)})
    answer = predict(model, {"instances": [[[1] * 70_000]]})
    assert answer.status == 400
    assert "at most 65,535 rows and columns. Received: 1 of 1 x 70000" in answer.content["error"]


@pytest.mark.parametrize("contents", [PNG, JPEG, b"II*\0" + bytes(20), b"MM\0*" + bytes(20), b"BM6" + PNG])
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_base64_in_a_plain_string_is_answered_with_the_remedy(contents, prefix):
    answer = predict(service(), {"instances": [prefix + encoded(contents)["b64"]]})
    assert answer.status == 400
    assert 'Send {"b64": "..."} in its place' in answer.content["error"]
    assert len(answer.body) < 400


def test_items_that_are_no_images_count_their_values():
    texts = np.array([b"a", b"longer"], object)
    assert sized_inputs({"text": texts, "numbers": np.zeros((2, 3))}, 2)[1] == [4, 4]
