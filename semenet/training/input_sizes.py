"""Input sizes that grow during a training run, as `96@0.5,128@0.3,160@0.2`."""

import dataclasses
import math
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class SizePhase:
    """A part of a training run with one input size.

    Example:
        >>> from semenet.training.input_sizes import size_phases
        >>> size_phases(("96@0.5", "128@0.5"), epochs=10)[1]
        SizePhase(size=128, first_epoch=5, end_epoch=10)
    """

    size: int
    """Height and width of the input in pixels."""
    first_epoch: int
    """Number of its first epoch, from 0."""
    end_epoch: int
    """Number after that of its last epoch."""


def parse_sizes(texts: Sequence[str]) -> list[tuple[int, float]]:
    """Reads sizes and their shares of the epochs.

    Args:
        texts: each a size in pixels and a share, as "96@0.5".

    Returns:
        Pairs (size, share).

    Raises:
        ValueError: a text does not have this form.

    Example:
        >>> from semenet.training.input_sizes import parse_sizes
        >>> parse_sizes(["96@0.5", "128@0.5"])
        [(96, 0.5), (128, 0.5)]
    """
    pairs = []
    for text in texts:
        size, _, share = text.partition("@")
        pairs.append((int(size), float(share)))
    return pairs


def size_phases(texts: Sequence[str], epochs: int) -> list[SizePhase]:
    """Divides the epochs of a run among its input sizes.

    A size begins at the epoch nearest to the sum of the shares before it.

    Args:
        texts: as for `parse_sizes`; the shares sum to 1.
        epochs: number of all epochs.

    Returns:
        One phase for each size, in order.
    """
    phases, first, total = [], 0, 0.0
    for size, share in parse_sizes(texts):
        total += share
        end = round(total * epochs)
        phases.append(SizePhase(size, first, end))
        first = end
    return phases


def sizes_rule(texts: Sequence[str], epochs: int) -> str | None:
    """Returns the rule that the sizes break, to follow the words "`input_sizes`"; None if they are valid.

    Args:
        texts: as for `parse_sizes`.
        epochs: number of all epochs.
    """
    if not texts:
        return None
    try:
        pairs = parse_sizes(texts)
    except ValueError:
        return "must be sizes in pixels with their shares of the epochs, such as 96@0.5,128@0.5"
    if not all(size >= 32 for size, _ in pairs):
        return "must be 32 pixels or more"
    if not all(0 < share <= 1 for _, share in pairs) or not math.isclose(
        sum(share for _, share in pairs), 1, abs_tol=1e-6
    ):
        return "must have positive shares that sum to 1"
    if not all(phase.first_epoch < phase.end_epoch for phase in size_phases(texts, epochs)):
        return f"must each have one epoch or more of {epochs}"
    return None
