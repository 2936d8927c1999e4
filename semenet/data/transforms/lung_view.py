"""What a network sees of an image beyond its size: the lungs' box and standard grey levels, as plain data.

The pixels have one specification. `lung_view_on_host` computes it with NumPy and OpenCV,
`lung_view_in_graph` with TensorFlow operations, equal to the bit, because all arithmetic is in integers.
Every network has its lung mask in the size of its image, 1 inside the lungs and 0 outside; the probabilities
of a segmentation network are resized to it first, as grey levels, see
`semenet.inference.lung_masks.resized_mask`.

1. The mask must be plausible by the rule of `semenet.data.transforms.lung_plausibility`. If it is not, the
   whole image is the box, and the mask becomes 1 everywhere.
2. The box is the bounding rectangle of the mask's pixels. Pieces of the mask smaller than a tenth of its area
   are specks and do not count: pixels that lie more than one cell, a 64th of a side, outside the bounding
   rectangle of the larger pieces' cells are left out.
3. The box is enlarged on every side by the margin: `(side * thousandths + 500) // 1000` pixels, where
   `thousandths` is the margin in thousandths. It ends at the image's borders.
4. Image and mask are cropped to the box and resized to the input size, with `resize` and `resize_mask` of
   `semenet.data.transforms.host`.
5. Grey levels are standardised. Of the resized image's n pixels inside the resized mask (of all pixels if
   there are none), the lower level L is the lowest one at which `100 * count >= 2 * n`, where `count` is the
   number of these pixels at or below the level; the upper level U is the lowest one at which
   `100 * count >= 98 * n`. A level v becomes `28 + (400 * (v - L) + U - L) // (2 * (U - L))`, rounded down,
   then clipped to [0, 255]. If L = U the image stays as it is.

CLAHE, changes of training and the black outside the lungs of masked views follow, in this order.
"""

import dataclasses
import numbers
from collections.abc import Mapping
from typing import Any, Self

from semenet.errors import SemenetError

# The grey levels that the two percentiles inside the lungs are mapped to.
LOW_LEVEL, HIGH_LEVEL = 28, 228
LOW_PERCENT, HIGH_PERCENT = 2, 98


@dataclasses.dataclass(frozen=True)
class LungView:
    """What is done to an image, with the help of its lung mask, before a network sees it.

    Attributes:
        box: whether the image is cut to the bounding box of the lungs and stretched to the input size.
        margin: the margin around the box, as a share of its sides, in [0, 0.5].
        standardize: whether grey levels are stretched so that the 2nd and 98th percentile inside the lungs
            become 28 and 228.

    Raises:
        SemenetError: `margin` is out of its range.

    Example:
        >>> view = semenet.data.LungView(box=True)
        >>> view.needs_mask, view.margin
        (True, 0.04)
        >>> semenet.data.LungView().needs_mask
        False
    """

    box: bool = False
    margin: float = 0.04
    standardize: bool = False

    def __post_init__(self) -> None:
        """Checks the margin."""
        if not (isinstance(self.margin, numbers.Real) and 0 <= self.margin <= 0.5):
            raise SemenetError(
                "The margin around the lungs' box must be a number in [0, 0.5], a share of the box's sides. "
                f"Received: {self.margin!r}. The usual value is 0.04."
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Makes a view of the settings that a network's head stores, each of them optional.

        Args:
            settings: `lungs_box`, `lungs_box_margin` and `standardize`.

        Raises:
            SemenetError: the margin is out of its range.
        """
        return cls(
            box=settings.get("lungs_box", False),
            margin=settings.get("lungs_box_margin", cls.margin),
            standardize=settings.get("standardize", False),
        )

    @property
    def needs_mask(self) -> bool:
        """Whether a lung mask of every image is needed."""
        return self.box or self.standardize

    @property
    def margin_thousandths(self) -> int:
        """The margin in thousandths, with which pixels are computed in integers."""
        return round(self.margin * 1000)

    def describe(self) -> str:
        """Describes the view in words for a report, "" for a view that changes nothing."""
        words = []
        if self.box:
            words.append(f"cut to the lungs' box with a margin of {self.margin_thousandths / 10:g} %")
        if self.standardize:
            words.append(
                f"grey levels stretched so that the {LOW_PERCENT}nd and {HIGH_PERCENT}th percentile inside "
                f"the lungs become {LOW_LEVEL} and {HIGH_LEVEL}"
            )
        return ", ".join(words)
