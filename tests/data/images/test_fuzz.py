"""Thousands of damaged files: each is refused or returns an image of the right kind, and none crashes."""

import io
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import mutated_images
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from semenet.data.images.errors import ImageError
from semenet.data.images.in_graph import decode_image
from semenet.data.images.reading import read_image

PROGRAM = pathlib.Path(mutated_images.__file__)
SEEDS = mutated_images.seeds()
GRAPH = tf.function(decode_image, input_signature=[tf.TensorSpec((), tf.string)])
# A hang is a failure too.
TIMEOUT = 900

pytestmark = pytest.mark.filterwarnings("ignore")


def read_in_a_process(folder):
    """Reads a folder's files in another process; after a failure the file that caused it is kept."""
    command = [sys.executable, "-W", "ignore", PROGRAM, folder]
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    if result.returncode:
        last = pathlib.Path(result.stdout.splitlines()[-1])
        kept = shutil.copy(last, pathlib.Path(tempfile.gettempdir()) / f"broken_{last.name}")
        pytest.fail(f"exit status {result.returncode}; the input is kept as {kept}\n{result.stderr[-1500:]}")
    return result.stdout.splitlines()


def test_whole_files_of_every_kind_are_read():
    grey, deep, _ = mutated_images.pixels()
    for kind, contents in SEEDS.items():
        image = read_image(contents)
        assert image.shape == (mutated_images.HEIGHT, mutated_images.WIDTH), kind
        assert image.std() > 5 or "_deep" in kind, kind
    for kind in ("png_grey", "bmp_grey", "raw_grey", "tiff_lzw_grey", "packbits_grey"):
        np.testing.assert_array_equal(read_image(SEEDS[kind]), grey)
    for kind in ("dicom_plain", "dicom_deflated", "dicom_lossless", "dicom_jpeg_ls", "dicom_rle"):
        np.testing.assert_array_equal(read_image(SEEDS[kind]), np.rint(deep / 4095 * 255))


@pytest.mark.parametrize("kind", SEEDS)
def test_a_truncated_file_is_refused(kind):
    contents = SEEDS[kind]
    whole = read_image(contents)
    rng = random.Random(kind)
    places = {rng.randrange(len(contents)) for _ in range(60)} | set(range(len(contents) - 12, len(contents)))
    for place in sorted(places):
        try:
            image = read_image(contents[:place])
        except ImageError:
            continue
        # Only bytes behind the pixels may be missing: padding, a delimiter, unused bytes of a TIFF.
        assert place >= len(contents) - 12, place
        np.testing.assert_array_equal(image, whole)


def test_a_crash_is_reported_and_its_input_kept(tmp_path, monkeypatch):
    program = tmp_path / "crash.py"
    program.write_text("import os, sys\nprint(sys.argv[1] + '/bad', flush=True)\nos.abort()")
    (tmp_path / "bad").write_bytes(b"culprit")
    monkeypatch.setattr(sys.modules[__name__], "PROGRAM", program)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="broken_bad"):
        read_in_a_process(tmp_path)
    assert (tmp_path / "broken_bad").read_bytes() == b"culprit"


def test_hundreds_of_broken_files(tmp_path):
    mutated_images.write_broken(tmp_path, 900, seed=1)
    assert len(read_in_a_process(tmp_path)) == 900


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_thousands_of_broken_files(tmp_path, seed):
    mutated_images.write_broken(tmp_path, 6000, seed=seed)
    assert len(read_in_a_process(tmp_path)) == 6000


STARTS = st.sampled_from(
    [
        *(b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM"),
        *(b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"),
        *(bytes(128) + b"DICM", b"\x08\0\x05\0CS\x0a\0", b"\x02\0\x10\0UI\x14\0"),
    ]
)


@given(start=STARTS, rest=st.binary(max_size=400))
@settings(max_examples=300, deadline=5000, suppress_health_check=[HealthCheck.too_slow])
def test_arbitrary_bytes_are_refused_or_give_an_image(start, rest):
    try:
        image = read_image(start + rest, max_pixels=10_000)
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 2
    assert 0 < image.size <= 10_000


# As the docstring of `decode_image` says.
DETECTED_ON_THE_HOST_ONLY = ("checksum", "a progressive JPEG whose data end before")


def compare_readers(count, seed):
    """Reads damaged PNGs and JPEGs on the host and in the graph.

    Returns the files that the readers treat differently beyond the exceptions in the docstring of
    `decode_image`, and how many files both read and both refused.
    """
    rng = random.Random(seed)
    kinds = [kind for kind in SEEDS if kind.startswith(("png", "jpeg"))]
    unlike, read, refused = [], 0, 0
    for number in range(count):
        contents = mutated_images.broken(SEEDS[kinds[number % len(kinds)]], rng)
        if not contents.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
            continue
        try:
            on_host, why = read_image(contents, max_pixels=mutated_images.MOST_PIXELS), ""
        except ImageError as error:
            on_host, why = None, str(error)
        try:
            in_graph = decode_image(tf.constant(contents), mutated_images.MOST_PIXELS)[..., 0]
        except tf.errors.InvalidArgumentError:
            in_graph = None
        if on_host is not None and in_graph is not None:
            read += 1
            if not np.array_equal(on_host, in_graph):
                unlike.append((contents, "other pixels"))
        elif on_host is None and in_graph is None:
            refused += 1
        elif on_host is None and not any(known in why for known in DETECTED_ON_THE_HOST_ONLY):
            unlike.append((contents, why))
    return unlike, read, refused


@pytest.mark.slow
def test_the_graph_refuses_what_the_host_refuses():
    unlike, read, refused = compare_readers(600, seed=4)
    assert not unlike, [why for _, why in unlike]
    assert read > 20
    assert refused > 100


def test_the_graph_decodes_whole_cmyk_as_the_host_does():
    contents = SEEDS["jpeg_cmyk"]
    np.testing.assert_array_equal(GRAPH(contents)[..., 0], read_image(contents))
    assert Image.open(io.BytesIO(contents)).mode == "CMYK"
