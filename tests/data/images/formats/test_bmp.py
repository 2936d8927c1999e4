"""BMP: compared with Pillow's pixels."""

import struct

import numpy as np
import pytest
from image_files import TIFF_KINDS, encoded

from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image


@pytest.mark.parametrize("kind", ["one_bit", "grey", "palette", "colour", "colour_alpha"])
def test_bmp_is_read_and_a_truncated_one_is_refused(kind):
    image, expected = TIFF_KINDS[kind]
    contents = encoded(image, "BMP")
    np.testing.assert_array_equal(read_image(contents), expected)
    for share in (0.999, 0.5, 0.05):
        with pytest.raises(ImageError, match="BMP truncated"):
            read_image(contents[: int(len(contents) * share)])
    with pytest.raises(ImageError, match="compression 1"):
        read_image(contents[:30] + b"\x01" + contents[31:])
    bomb = contents[:18] + struct.pack("<ii", 60_000, 60_000) + contents[26:]
    with pytest.raises(ImageError, match="truncated"):
        read_image(bomb)
