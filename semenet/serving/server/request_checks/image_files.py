"""Image files of a request: checked as `read_image` does, and their sizes before any is decoded.

TensorFlow's decoders accept a JPEG whose data end early. Where `read_image` refuses a file, the graph gets no
bytes instead, and answers with its own `error_code`.
"""

import numpy as np

from semenet.data.images.decoded_image import MAX_PIXELS, MAX_SIDE
from semenet.data.images.errors import ImageError
from semenet.data.images.formats.jpeg import is_jpeg, jpeg_header
from semenet.data.images.formats.png import is_png, png_header
from semenet.data.images.reading import check_image
from semenet.serving.server.request_errors import invalid

# The input that takes image files in every signature of `semenet.export`.
INPUT = "image_bytes"
# The input that takes decoded images.
PIXELS = "pixels"
MAX_REQUEST_PIXELS = 4 * MAX_PIXELS
_NAME = "the image sent"


def sized_inputs(inputs: dict[str, np.ndarray], count: int) -> tuple[dict[str, np.ndarray], list[int]]:
    """Checks the image files among the inputs of a request.

    Args:
        inputs: dict of names to arrays `(count, ...)`.
        count: number of items.

    Returns:
        The inputs, with no bytes for each PNG or JPEG that `read_image` refuses; and each item's number of
        pixels, or of values where it is no image file.

    Raises:
        RequestError: 400, all images together have more than `MAX_REQUEST_PIXELS` pixels, or decoded images
            have more than `MAX_SIDE` in a row or column.
    """
    shape = np.shape(inputs.get(PIXELS, ()))
    if max(shape[1:3], default=0) > MAX_SIDE:
        raise invalid(
            f"An image must have at most {MAX_SIDE:,} rows and columns. Received: {count} of "
            f"{' x '.join(map(str, shape[1:3]))}. Send the pixels in the shape of the image."
        )
    if INPUT not in inputs:
        return inputs, [sum(np.size(values[0]) for values in inputs.values())] * count
    images = inputs[INPUT]
    sizes = [declared_pixels(contents) for contents in images]
    if sum(sizes) > MAX_REQUEST_PIXELS:
        raise invalid(
            f"The images of a request must have at most {MAX_REQUEST_PIXELS:,} pixels together. "
            f"Received: {count} images of {sum(sizes):,} pixels. Send fewer per request."
        )
    checked = np.empty(count, object)
    for number, (contents, size) in enumerate(zip(images, sizes, strict=True)):
        checked[number] = b"" if _is_refused(contents, size) else contents
    return inputs | {INPUT: checked}, sizes


def declared_pixels(contents: bytes) -> int:
    """Returns height x width in the header of a PNG or JPEG, and 0 for any file that cannot be decoded."""
    header = png_header if is_png(contents) else jpeg_header if is_jpeg(contents) else None
    if header is None:
        return 0
    try:
        declared = header(contents, _NAME)
    except ImageError:
        return 0
    pixels = declared.height * declared.width
    return pixels if pixels <= MAX_PIXELS and max(declared.height, declared.width) <= MAX_SIDE else 0


def _is_refused(contents: bytes, pixels: int) -> bool:
    # The model itself refuses other formats.
    if not (is_png(contents) or is_jpeg(contents)):
        return False
    if not pixels:
        return True
    try:
        check_image(contents, name=_NAME)
    except ImageError:
        return True
    return False
