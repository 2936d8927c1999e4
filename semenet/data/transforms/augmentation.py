"""What training does to its images, as plain data: recipes name it before TensorFlow is loaded."""

import dataclasses

from semenet.errors import SemenetError

CLAHE_DRAWS = ("epoch", "fixed")
VIEWS = ("original", "clahe", "masked", "masked_clahe")
# The most that each change may be, and an example of it. Beyond a zoom of 0.5 a side would shrink to under
# two thirds, where a bilinear warp skips pixels.
_MOST = {
    "zoom": (0.5, "0.1 scales by 1/1.1 to 1.1"),
    "shift": (0.5, "0.05 moves by up to 5 % of each side"),
    "gamma": (1.0, "0.2 raises grey levels to a power of 1/1.2 to 1.2"),
    "contrast": (1.0, "0.2 scales grey levels by 1/1.2 to 1.2"),
}


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What training does to its images.

    All changes are anatomically possible ones: another posture, distance or exposure of the same patient.
    None mirrors: the heart lies left, and an image that is turned over shows a rare disease (situs
    inversus) or a wrong marker.

    Attributes:
        clahe: the share of images, in [0, 1], that CLAHE is applied to; of the views "original" and
            "masked" alone, for the others have it always.
        clahe_draw: "epoch" draws these images anew each epoch, each with the probability `clahe`;
            "fixed" draws exactly that share of them once, as in the paper's table 3 (its counts are
            a share of 0.337).
        rotation: images are turned by an angle drawn evenly from ± this many degrees, in [0, 180].
        views: what stands in the training set for each row, among `VIEWS`: the image as it is, after
            CLAHE, and both with everything outside the lung mask black. The set is their union.
        zoom: images are scaled about their centre by a factor drawn log-evenly from
            [1 / (1 + zoom), 1 + zoom]; in [0, 0.5], 0 for not at all.
        shift: images are moved by up to ± this share of their height, and of their width; in [0, 0.5].
        gamma: grey levels, as shares of 255, are raised to a power drawn log-evenly from
            [1 / (1 + gamma), 1 + gamma]; in [0, 1].
        contrast: grey levels are then scaled about mid-grey, 127.5, by a factor drawn log-evenly from
            [1 / (1 + contrast), 1 + contrast], and clipped; in [0, 1]. About mid-grey, not the image's mean:
            that one depends on how much black lies around the patient.

    Raises:
        ValueError: a value is out of its range.
    """

    clahe: float = 0.0
    rotation: float = 0.0
    views: tuple[str, ...] = ("original",)
    clahe_draw: str = "epoch"
    zoom: float = 0.0
    shift: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0

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
        for name, (most, example) in _MOST.items():
            if not 0 <= getattr(self, name) <= most:
                raise SemenetError(
                    f"`{name}` must be in [0, {most}]. Received: {getattr(self, name)}. {example}; 0 is off."
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

    @property
    def moves(self):
        """Whether images are warped: turned, scaled or moved."""
        return self.rotation > 0 or self.zoom > 0 or self.shift > 0

    @property
    def tones(self):
        """Whether grey levels are changed, CLAHE aside."""
        return self.gamma > 0 or self.contrast > 0
