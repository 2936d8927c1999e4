"""The bytes of a DICOM file while it is parsed: inflated, and read in a limited number of steps."""

import io
import zlib

from semenet.data.images.errors import ImageError, damaged_image

# The bytes that a deflated file may hold in addition to its pixels.
_DEFLATED_EXTRA = 16 << 20
# Radiographs have some hundred attributes.
_MOST_READS = 30_000


class CountedReads(io.BytesIO):
    """Bytes that may be read in a limited number of steps: an element of a data set takes one or two.

    Args:
        contents: the bytes.
        name: the file's name in error messages.
    """

    def __init__(self, contents: bytes, name: str) -> None:
        super().__init__(contents)
        self.name, self.steps = name, 0

    def read(self, size: int | None = -1) -> bytes:
        """Reads as `io.BytesIO` does; raises ImageError after too many steps."""
        self.steps += 1
        if self.steps > _MOST_READS:
            raise ImageError(
                f"A DICOM image must have at most {_MOST_READS // 2:,} attributes. Received: {self.name} "
                "with more. Check the file's origin, and export the image again."
            )
        return super().read(size)


def inflate(deflated: bytes, name: str, max_pixels: int) -> bytes:
    """Inflates a data set, up to the size that an image of `max_pixels` can need.

    Args:
        deflated: the bytes of the deflated data set.
        name: the file's name in error messages.
        max_pixels: the largest height x width to decode.

    Raises:
        ImageError: it is truncated, or inflates beyond that size.
    """
    limit = max_pixels * 2 + _DEFLATED_EXTRA
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(deflated, limit)
    if not inflater.eof:
        if len(inflated) >= limit:
            raise ImageError(
                f"A deflated DICOM file must hold at most {max_pixels:,} pixels. Received: {name}, which "
                f"inflates beyond {limit:,} bytes. Check the file's origin, make the image smaller, or, in "
                "Python, raise `max_pixels`."
            )
        raise damaged_image(name, "a truncated deflated DICOM file")
    return inflated
