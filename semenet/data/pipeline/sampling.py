"""Settings of how training images are drawn, as plain data, which loads neither TensorFlow nor pandas."""

import dataclasses
import numbers

from semenet.errors import SemenetError


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How many images an epoch has, and how often each image is drawn. The default uses each image once.

    A cell is the set of the images that have the same values in all columns of `balance`. An image of a cell
    of n images has the weight 1 / n ** `balance_power`. The groups, which are the values of the first column,
    have equal totals: with G groups, an image's expected share of an epoch is its weight divided by the sum
    of all weights in its group, divided by G. If the first column is `label`, a partial label such as
    `bacteria|virus` belongs in equal parts to each of its classes: half of such an image's weight counts in
    `bacteria` and half in `virus`.

    Every epoch holds each image as often as expected, rounded down or up, and the same is true of each cell;
    if no label is partial, also of each group. Which images are rounded up is drawn anew in each epoch.

    Attributes:
        balance: the names of the manifest's columns, such as ("label", "source"); () draws all images equally
            often.
        balance_power: in [0, 1]. Within a group the totals of cells are in proportion to their sizes to the
            power of 1 - `balance_power`: 0 leaves them as they are, 0.5 reduces their differences, 1 makes
            all cells equal.
        epoch_images: the number of images drawn in an epoch, each of which is used in every view; None for
            the number of rows.

    Raises:
        SemenetError: a value is out of its range.

    Example:
        >>> semenet.data.Sampling(balance=("label", "source"), epoch_images=2000).draws
        True
        >>> semenet.data.Sampling(balance_power=2)
        Traceback (most recent call last):
        ...
        semenet.errors.SemenetError: `balance_power` must be a number in [0, 1]. Received: 2. ...
    """

    balance: tuple[str, ...] = ()
    balance_power: float = 0.5
    epoch_images: int | None = None

    def __post_init__(self) -> None:
        """Checks every value."""
        columns = () if isinstance(self.balance, str) or self.balance is None else tuple(self.balance)
        if columns != self.balance or len(set(columns)) < len(columns) or not all(columns):
            raise SemenetError(
                "`balance` must be a tuple of names of columns, without repeats. "
                f"Received: {self.balance!r}. Use ('label', 'source'), or () for no balance."
            )
        if not (isinstance(self.balance_power, numbers.Real) and 0 <= self.balance_power <= 1):
            raise SemenetError(
                f"`balance_power` must be a number in [0, 1]. Received: {self.balance_power!r}. "
                "0.5 draws by the square root of a cell's size; 1 draws all cells of a group equally often."
            )
        if self.epoch_images is not None and not (
            isinstance(self.epoch_images, numbers.Integral) and self.epoch_images >= 1
        ):
            raise SemenetError(
                f"`epoch_images` must be 1 or more. Received: {self.epoch_images!r}. "
                "Leave it out for as many as the manifest has."
            )

    @property
    def draws(self) -> bool:
        """Whether images are drawn, so that an epoch may hold one several times or not at all."""
        return bool(self.balance) or self.epoch_images is not None
