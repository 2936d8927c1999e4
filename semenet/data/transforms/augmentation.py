"""Settings of training augmentation as plain data, which loads neither TensorFlow nor OpenCV."""

import dataclasses
import numbers
from typing import Literal, get_args

from semenet.errors import SemenetError

View = Literal["original", "clahe", "masked", "masked_clahe"]
ClaheDraw = Literal["epoch", "fixed", "added"]
AcquisitionChange = Literal[
    "collimation",
    "resolution",
    "blur",
    "sharpness",
    "clahe",
    "tone",
    "noise",
    "letters",
    "borders",
    "jpeg",
]
VIEWS = get_args(View)
# In the order in which they are made.
ACQUISITION_CHANGES: tuple[AcquisitionChange, ...] = get_args(AcquisitionChange)
CLAHE_DRAWS = get_args(ClaheDraw)


@dataclasses.dataclass(frozen=True)
class _Range:
    """The interval that a setting must lie in, in words for its error message."""

    maximum: float
    unit: str
    example: str


# Beyond a zoom of 0.5 a side could shrink to less than two thirds, where a bilinear warp skips pixels.
_RANGES = {
    "clahe": _Range(1.0, "", "0.4, as in the paper, applies CLAHE to 40 % of the images"),
    "rotation": _Range(180.0, " degrees", "30 rotates by -30 to 30 degrees"),
    "zoom": _Range(0.5, "", "0.1 scales by 1/1.1 to 1.1"),
    "shift": _Range(0.5, "", "0.05 moves by up to 5 % of each side"),
    "gamma": _Range(1.0, "", "0.2 raises grey levels to a power of 1/1.2 to 1.2"),
    "contrast": _Range(1.0, "", "0.2 scales grey levels by 1/1.2 to 1.2"),
    "acquisition": _Range(1.0, "", "0.4 makes each of the changes in 40 % of the images"),
}


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of training images. The default changes nothing.

    All changes are anatomically plausible: another position, distance or exposure of the same patient.
    Images are never mirrored: the heart lies on the left, and a mirrored image shows a rare disease (situs
    inversus) or a wrong side marker.

    Attributes:
        clahe: the share of images, in [0, 1], that CLAHE is applied to. It concerns the views "original" and
            "masked"; the two others always have CLAHE.
        rotation: images are rotated by an angle drawn uniformly from ± this many degrees, in [0, 180].
        views: the versions of each image that the training set contains, each one of `VIEWS`: the image as
            it is, after CLAHE, and both with everything outside the lung mask set to black.
        clahe_draw: "epoch" draws the images that get CLAHE anew in each epoch, each with the probability
            `clahe`; "fixed" draws exactly that share of them once, as in the paper's table 3 (whose counts
            are a share of 0.337); "added" draws them once too, and adds copies of them with CLAHE to the
            training set instead of replacing them, as in the paper's conclusion. With images drawn by
            weight, copies of that share of an epoch's draws are added. The views "original" and "clahe"
            together are a copy of every image.
        zoom: images are scaled about their centre by a factor drawn log-uniformly from
            [1 / (1 + zoom), 1 + zoom]; in [0, 0.5], 0 for no scaling.
        shift: images are moved by up to ± this share of their height and of their width; in [0, 0.5].
        gamma: grey levels, as shares of 255, are raised to a power drawn log-uniformly from
            [1 / (1 + gamma), 1 + gamma]; in [0, 1].
        contrast: grey levels are then scaled about mid-grey, 127.5, by a factor drawn log-uniformly from
            [1 / (1 + contrast), 1 + contrast], and clipped; in [0, 1]. Mid-grey is used and not the image's
            mean, because the mean depends on how much black surrounds the patient.
        acquisition: the probability, in [0, 1], of each change of how an image was acquired and stored. The
            changes come first, before CLAHE and masks; masks stay as they are.
        acquisition_changes: the names of these changes, each one of `ACQUISITION_CHANGES`. They are always
            made in that order: collimation, resolution, blur, sharpness, clahe (of random strength), tone,
            noise, letters, borders, jpeg.

    Raises:
        SemenetError: a value is out of its range.

    Example:
        >>> augmentation = semenet.data.Augmentation(clahe=0.4, rotation=30, views=("original", "masked"))
        >>> augmentation.needs_masks
        True
        >>> semenet.data.Augmentation(zoom=2)
        Traceback (most recent call last):
        ...
        semenet.errors.SemenetError: `zoom` must be a number in [0, 0.5]. Received: 2. ...
    """

    clahe: float = 0.0
    rotation: float = 0.0
    views: tuple[View, ...] = ("original",)
    clahe_draw: ClaheDraw = "epoch"
    zoom: float = 0.0
    shift: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0
    acquisition: float = 0.0
    acquisition_changes: tuple[AcquisitionChange, ...] = ACQUISITION_CHANGES

    def __post_init__(self) -> None:
        """Checks every value."""
        for name, allowed in _RANGES.items():
            value = getattr(self, name)
            if not (isinstance(value, numbers.Real) and 0 <= value <= allowed.maximum):
                raise SemenetError(
                    f"`{name}` must be a number in [0, {allowed.maximum:g}]{allowed.unit}. "
                    f"Received: {value!r}. {allowed.example}; 0 turns it off."
                )
        if self.clahe_draw not in CLAHE_DRAWS:
            raise SemenetError(
                f"`clahe_draw` must be one of {', '.join(CLAHE_DRAWS)}. Received: {self.clahe_draw!r}. "
                "Use 'epoch' to draw anew in every epoch."
            )
        if self.clahe_draw == "added" and any("clahe" in view for view in self.views or ()):
            raise SemenetError(
                "Copies with CLAHE are added to views without CLAHE. Received: clahe_draw='added', "
                f"views={self.views!r}. Use the views 'original' and 'masked'."
            )
        views = () if isinstance(self.views, str) or self.views is None else tuple(self.views)
        if not views or len(set(views)) < len(views) or not set(views) <= set(VIEWS):
            raise SemenetError(
                f"`views` must be one or more of {', '.join(VIEWS)}, without repeats. "
                f"Received: {self.views!r}. Use ('original',) for unchanged images."
            )
        object.__setattr__(self, "views", views)
        changes = () if isinstance(self.acquisition_changes, str) else tuple(self.acquisition_changes or ())
        if not changes or len(set(changes)) < len(changes) or not set(changes) <= set(ACQUISITION_CHANGES):
            raise SemenetError(
                f"`acquisition_changes` must be one or more of {', '.join(ACQUISITION_CHANGES)}, without "
                f"repeats. Received: {self.acquisition_changes!r}. Use acquisition=0 for no change."
            )
        object.__setattr__(self, "acquisition_changes", changes)

    @property
    def needs_masks(self) -> bool:
        """Whether a view needs every row's lung mask."""
        return any(view.startswith("masked") for view in self.views)

    def is_masked(self, number: int) -> bool:
        """Whether a view is masked. Numbers beyond the views are their copies with CLAHE."""
        return self.views[number % len(self.views)].startswith("masked")

    @property
    def only_masked(self) -> bool:
        """Whether every view is masked, so that the network sees nothing but lungs."""
        return all(view.startswith("masked") for view in self.views)

    @property
    def warps(self) -> bool:
        """Whether images are rotated, scaled or moved."""
        return self.rotation > 0 or self.zoom > 0 or self.shift > 0

    @property
    def changes_tone(self) -> bool:
        """Whether grey levels are changed by `gamma` or `contrast`."""
        return self.gamma > 0 or self.contrast > 0

    def check_for_segmentation(self) -> None:
        """Checks that the settings suit a network that segments lungs.

        Raises:
            SemenetError: a view is masked. Segmentation needs whole images: the mask is its target.
        """
        if self.needs_masks:
            raise SemenetError(
                f"Segmentation needs whole images. Received: views={self.views}. "
                "Use the views 'original' and 'clahe'."
            )
