"""The graph refuses cut JPEGs that an end marker closes, and scans that cost much, as the host does."""

import io

import bombs
import mutated_images
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from semenet.data.images.errors import ImageError
from semenet.data.images.in_graph import decode_image
from semenet.data.images.reading import check_image, read_image

SEEDS = mutated_images.seeds()
GREY, _, COLOUR = mutated_images.pixels()


def encoded(image, **options):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


KINDS = {
    "grey": SEEDS["jpeg_grey"],
    "colour": SEEDS["jpeg_colour"],
    "progressive": SEEDS["jpeg_progressive"],
    "cmyk": SEEDS["jpeg_cmyk"],
    "restarts": encoded(Image.fromarray(GREY), restart_marker_blocks=3),
    "restarts of colour": encoded(Image.fromarray(COLOUR), restart_marker_rows=1, subsampling="4:2:0"),
}


def in_graph(contents):
    try:
        return decode_image(tf.constant(contents))[..., 0].numpy()
    except tf.errors.InvalidArgumentError:
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_jpeg_that_an_end_marker_closes_is_refused_as_on_the_host(kind):
    contents = KINDS[kind]
    np.testing.assert_array_equal(in_graph(contents), read_image(contents))
    first = contents.index(b"\xff\xda") + 20
    places = {first + (len(contents) - first) * part // 12 for part in range(12)}
    # Cuts at a marker leave whole intervals or scans.
    markers = {place for place in range(first, len(contents) - 2) if contents[place] == 0xFF}
    places |= {place for place in markers if contents[place + 1] in (*range(0xD0, 0xD8), 0xC4, 0xDA)}
    refused = 0
    for place in sorted(places)[:30]:
        cut = contents[:place].removesuffix(b"\xff") + b"\xff\xd9"
        try:
            expected = read_image(cut)
        except ImageError:
            expected, refused = None, refused + 1
            with pytest.raises(ImageError):
                check_image(cut)
        found = in_graph(cut)
        assert (found is None) == (expected is None), place
        if found is not None:
            np.testing.assert_array_equal(found, expected)
    assert refused > 0.8 * len(sorted(places)[:30])


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (bombs.many_scans(SEEDS["jpeg_progressive"], 500), r"(?s)at most.*100.*scans"),
        (bombs.many_scans(SEEDS["jpeg_grey"], 500), r"(?s)at most.*100.*scans"),
        (bombs.jpeg_with(b"\xff\xef\x00\x02", 1_500), "must have its segments"),
        (bombs.declared_large(SEEDS["jpeg_grey"], 9_000), "at most"),
    ],
)
def test_work_without_data_is_refused(contents, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode_image(tf.constant(contents))
