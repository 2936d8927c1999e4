from . import formats as formats
from .colour import is_coloured as is_coloured
from .colour import is_coloured_graph as is_coloured_graph
from .contents import read_contents as read_contents
from .decoded_image import MAX_PIXELS as MAX_PIXELS
from .errors import ImageError as ImageError
from .errors import ImageHeaderWarning as ImageHeaderWarning
from .errors import ImageTypeError as ImageTypeError
from .errors import MissingImageError as MissingImageError
from .errors import PixelRangeWarning as PixelRangeWarning
from .in_graph import decode_image as decode_image
from .listing import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from .listing import list_images as list_images
from .pixel_range import check_range as check_range
from .reading import check_image as check_image
from .reading import image_size as image_size
from .reading import read_image as read_image
from .reading import read_mask as read_mask

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "ImageError",
    "ImageHeaderWarning",
    "ImageTypeError",
    "MissingImageError",
    "PixelRangeWarning",
    "check_image",
    "check_range",
    "decode_image",
    "formats",
    "image_size",
    "is_coloured",
    "is_coloured_graph",
    "list_images",
    "read_contents",
    "read_image",
    "read_mask",
]
