"""What training does to its images, as plain data: recipes name it before TensorFlow is loaded."""

import dataclasses

from semenet.errors import SemenetError

CLAHE_DRAWS = ("epoch", "fixed")
VIEWS = ("original", "clahe", "masked", "masked_clahe")


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What training does to its images.

    Attributes:
        clahe: the share of images, in [0, 1], that CLAHE is applied to; of the views "original" and
            "masked" alone, for the others have it always.
        clahe_draw: "epoch" draws these images anew each epoch, each with the probability `clahe`;
            "fixed" draws exactly that share of them once, as in the paper's table 3 (its counts are
            a share of 0.337).
        rotation: images are turned by an angle drawn evenly from ± this many degrees, in [0, 180].
        views: what stands in the training set for each row, among `VIEWS`: the image as it is, after
            CLAHE, and both with everything outside the lung mask black. The set is their union.

    Raises:
        ValueError: a value is out of its range.
    """

    clahe: float = 0.0
    rotation: float = 0.0
    views: tuple[str, ...] = ("original",)
    clahe_draw: str = "epoch"

    def __post_init__(self):
        """Checks the values; a recipe's command line ends here."""
        if not 0 <= self.clahe <= 1:
            raise SemenetError(f"`clahe` must be a share in [0, 1]. Received: {self.clahe}. The paper: 0.4.")
        if self.clahe_draw not in CLAHE_DRAWS:
            raise SemenetError(
                f"`clahe_draw` must be one of {', '.join(CLAHE_DRAWS)}. Received: {self.clahe_draw!r}. "
                "Use 'epoch' to draw anew in every epoch."
            )
        if not 0 <= self.rotation <= 180:
            raise SemenetError(
                f"`rotation` must be in [0, 180] degrees. Received: {self.rotation}. 30 turns by ±30."
            )
        views = tuple(self.views)
        if not views or len(set(views)) < len(views) or not set(views) <= set(VIEWS):
            raise SemenetError(
                f"`views` must name each once some of {', '.join(VIEWS)}. Received: {self.views}. "
                "Use ('original',) for the images as they are."
            )

    @property
    def needs_masks(self):
        """Whether a view needs every row's lung mask."""
        return any(view.startswith("masked") for view in self.views)
