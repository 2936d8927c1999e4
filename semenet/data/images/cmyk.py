"""JPEGs of four inks (CMYK and YCCK), to red, green and blue as TensorFlow mixes them."""

import io

import numpy as np

from semenet.data.images import jpeg_png as headers


def decode_cmyk(contents, name):
    """Decodes a JPEG of four channels.

    Adobe's programs store such inks inverted, and say so by a marker. Both kinds are mixed as
    TensorFlow's `decode_jpeg` does, `ink * black // 255`, no colour profile applied, so that the
    graph gives the same pixels.

    Args:
        contents: the bytes of a JPEG whose frame header says four channels.
        name: what errors call the file.

    Returns:
        uint8 (height, width, 3), red, green, blue.

    Raises:
        ImageError: its data are damaged, or end before the image does.
    """
    colours = _mixed(contents, name)
    # The decoder fills missing data in silence; to a complete image these bytes are surplus.
    end = contents.rindex(headers.JPEG_END)
    if not np.array_equal(colours, _mixed(contents[:end] + headers.SURPLUS + contents[end:], name)):
        raise headers.damaged(name, "a JPEG whose data end before the image does")
    return colours


def _mixed(contents, name):
    # The format's own class: Pillow's `open` warns of large images, whose size is checked here.
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        file = JpegImageFile(io.BytesIO(contents))
        inks = np.asarray(file)
    except (OSError, SyntaxError, ValueError, IndexError, KeyError) as error:
        raise headers.damaged(name, f"a CMYK JPEG that cannot be decoded ({error})") from error
    if inks.ndim != 3 or inks.shape[2] != 4:
        raise headers.damaged(name, "a CMYK JPEG that cannot be decoded")
    # Pillow hands out ink where a marker of Adobe's says that light is stored, else light.
    light = inks.astype(np.uint16)
    if "adobe_transform" in file.info:
        light = 255 - light
    return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)
