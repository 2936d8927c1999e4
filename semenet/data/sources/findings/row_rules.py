"""Rules for the rows of a manifest of a data set with findings: which rows, which columns, which label."""

import dataclasses
import re
from collections.abc import Mapping

import pandas as pd

from semenet.errors import SemenetError

UNCERTAIN = "uncertain"
# The oldest people; ChestX-ray14 has ages up to 414.
OLDEST = 120

_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


@dataclasses.dataclass(frozen=True)
class RowRules:
    """Rules for the rows of a manifest.

    Attributes:
        views: values of `view` to keep, case-insensitive; empty for all frontal views (PA, AP ...), and for
            images without a known view if the publisher has frontal images only.
        ages: years to keep: "18-", "-17" or "18-64"; images without a known age are left out. "" for all.
        findings: findings that become columns; empty for all of the data set.
        labels: maps findings to values of `label`, in the order of precedence: an image has the label of the
            first finding that is present. None for the reader's own mapping.
        drop_others: whether to leave out images with none of these findings. Otherwise their label is
            "other", or "uncertain" if one of the findings is uncertain.
        uncertain: the cells of uncertain findings: "keep" for `uncertain`, "missing" for empty, "0" or "1".
        on_missing: "raise" to raise an error that names files of the table that do not exist, "skip" to leave
            them out and name them in a `SourceWarning`.
        seed: seed of the draw of the splits.

    Example:
        >>> from semenet.data.sources import RowRules
        >>> adults = RowRules(views=("PA",), ages="18-", labels={"Pneumonia": "pneumonia"})
        >>> adults.uncertain
        'keep'
    """

    views: tuple[str, ...] = ()
    ages: str = ""
    findings: tuple[str, ...] = ()
    labels: Mapping[str, str] | None = None
    drop_others: bool = False
    uncertain: str = "keep"
    on_missing: str = "raise"
    seed: int = 0

    def __post_init__(self) -> None:
        allowed = {"uncertain": ("keep", "missing", "0", "1"), "on_missing": ("raise", "skip")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise SemenetError(
                    f"`{name}` must be one of {', '.join(values)}. Received: {getattr(self, name)!r}. Pass "
                    "one of these."
                )
        parse_age_range(self.ages)


def parse_age_range(text: str) -> tuple[float, float]:
    """Parses years such as "18-", "-17" or "18-64".

    Args:
        text: the years, both included; "" for all.

    Returns:
        The lowest and the highest age.

    Raises:
        SemenetError: the text has another form.
    """
    if not text:
        return 0.0, float("inf")
    match = re.fullmatch(r"(\d*)-(\d*)", text)
    if match is None or text == "-" or (match[1] and match[2] and int(match[1]) > int(match[2])):
        raise SemenetError(
            f"Ages must be written as FIRST-, -LAST or FIRST-LAST, in years. Received: {text!r}. Write 18- "
            "for adults."
        )
    return float(match[1] or 0), float(match[2] or "inf")


def parse_ages(ages: pd.Series) -> pd.Series:
    """Converts ages such as "58", "58.0", "058Y", "003M" or "012D" into whole years.

    Args:
        ages: text.

    Returns:
        Text: whole years; "" for other text and for impossible ages of more than 120 years.
    """
    return ages.map({text: _whole_years(text) for text in ages.unique()}).astype(ages.dtype)


def _whole_years(text: str) -> str:
    match = re.fullmatch(r"(\d+)(?:\.0+)?\s*([YMWD]?)", text.strip().upper())
    if match is None:
        return ""
    years = int(int(match[1]) * _YEARS[match[2] or "Y"])
    return str(years) if years <= OLDEST else ""
