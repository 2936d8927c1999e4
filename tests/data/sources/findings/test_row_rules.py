import pandas as pd
import pytest

from semenet.data.sources.findings.row_rules import RowRules, parse_age_range, parse_ages
from semenet.errors import SemenetError


def test_ages_become_whole_years():
    ages = ["058Y", "58", "58.0", "011M", "024M", "060W", "400D", "412Y", "121", "120", "", "old", "-5"]
    expected = ["58", "58", "58", "0", "2", "1", "1", "", "", "120", "", "", ""]
    assert parse_ages(pd.Series(ages)).tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("18-", (18, float("inf"))), ("-17", (0, 17)), ("18-64", (18, 64)), ("5-5", (5, 5))],
)
def test_age_ranges_are_parsed(text, expected):
    assert parse_age_range(text) == expected


@pytest.mark.parametrize("text", ["18", "-", "a-b", "64-18", "18-64-70", "1.5-"])
def test_other_age_ranges_are_rejected(text):
    with pytest.raises(SemenetError, match="FIRST-, -LAST or FIRST-LAST"):
        RowRules(ages=text)


@pytest.mark.parametrize("rule", [{"uncertain": "2"}, {"on_missing": "ignore"}])
def test_unknown_values_are_rejected(rule):
    with pytest.raises(SemenetError, match="must be one of"):
        RowRules(**rule)
