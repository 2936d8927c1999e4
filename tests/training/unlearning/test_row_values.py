import numpy as np
import pandas as pd
import pytest

from semenet.data.manifest.table import ManifestError
from semenet.training.recipe import Recipe
from semenet.training.unlearning.row_values import unlearning_values


def recipe(**changes):
    return Recipe("resnet50_gap", **changes)


def table(labels, sources):
    return pd.DataFrame({"label": list(labels), "source": list(sources)})


def test_every_combination_of_values_is_a_group():
    rows = table("nnvvn", ["A", "B", "B", "", "A"])
    values = unlearning_values(recipe(group_by=("label", "source"), dro_step=0.1), rows, "m.csv")
    assert values.groups == ("n/A", "n/B", "v/(empty)", "v/B")
    assert values.of_rows["group"].tolist() == [0, 1, 3, 2, 0]
    assert values.group_counts.tolist() == [2, 1, 1, 1]
    assert list(values.of_rows) == ["group"]


def test_sources_are_balanced_and_rows_without_a_source_do_not_count():
    rows = table("nnnnvv", ["A", "A", "A", "B", "B", ""])
    values = unlearning_values(recipe(unlearn="source"), rows, "m.csv")
    assert values.sources == ("A", "B")
    assert values.of_rows["source"].tolist() == [0, 0, 0, 1, 1, 0]
    weights = values.of_rows["source_weight"]
    # Five rows count: each source gets half of 5.
    np.testing.assert_allclose(weights, [2.5 / 3] * 3 + [2.5 / 2] * 2 + [0])


def test_within_a_label_only_labels_of_several_sources_count():
    rows = table("nnnvvv", ["A", "A", "B", "B", "B", "B"])
    values = unlearning_values(recipe(unlearn="source", unlearn_within="label"), rows, "m.csv")
    assert values.within == ("n", "v")
    assert values.of_rows["within"].tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(values.of_rows["source_weight"], [0.75, 0.75, 1.5, 0, 0, 0])


def test_a_recipe_without_columns_needs_no_values():
    for changes in ({}, {"lung_attention_weight": 1.0}):
        values = unlearning_values(recipe(**changes), table("nv", "AB"), "m.csv")
        assert values.of_rows == {}
        assert values.sha256 is None


def test_the_hash_follows_the_values():
    unlearning = recipe(unlearn="source")
    first, same, other = (
        unlearning_values(unlearning, table("nvn", sources), "m.csv").sha256
        for sources in ("ABA", "ABA", "ABB")
    )
    assert first == same != other


@pytest.mark.parametrize(
    ("changes", "sources", "message"),
    [
        (
            {"unlearn": "hospital"},
            "ABA",
            "--unlearn must name a column .* Received: 'hospital'",
        ),
        ({"group_by": ("label", "x"), "dro_step": 1}, "ABA", "--group-by must name a column"),
        ({"unlearn": "source", "unlearn_within": "x"}, "ABA", "--unlearn-within must name a column"),
        ({"unlearn": "source"}, ["A", "", "A"], "two sources or more. Received: m.csv"),
        ({"unlearn": "source"}, ["", "", ""], "no value in the split train"),
        ({"group_by": ("source",), "dro_step": 1}, "AAA", "two groups or more. Received: m.csv"),
        ({"unlearn": "source", "unlearn_within": "label"}, "ABA", "every value of 'label' has one value"),
    ],
)
def test_a_column_that_cannot_be_used_raises(changes, sources, message):
    with pytest.raises(ManifestError, match=message):
        unlearning_values(recipe(**changes), table("nvn", sources), "m.csv")
