import pandas as pd
import pytest

import semenet


def write_series(folder, scores):
    """Writes the predictions of a series in which COVID-19 has these probabilities."""
    folder.mkdir(parents=True)
    rows = [
        (f"{source}{number}.png", source, label, number, score)
        for (source, label), values in scores.items()
        for number, score in enumerate(values)
    ]
    table = pd.DataFrame(rows, columns=["file", "source", "label", "patient", "COVID-19"])
    table["file"] = table["label"] + table["file"]
    table[["file", "source"]].to_csv(folder.parent / "sources.csv", index=False)
    table["normal"] = table["pneumonia"] = (1 - table["COVID-19"]) / 2
    table.drop(columns="source").to_csv(folder / "predictions.csv", index=False)
    (folder / "metrics.json").write_text("{}")


def test_the_table_compares_within_sources_and_across(tool, tmp_path):
    script = tool("domains/left_out_sources")
    scores = {
        (name, label): [0.4, 0.4] for name in ("kermany", "nih-chestxray14") for label in script.CLASSES[:2]
    }
    scores |= {("covid-chestxray-dataset", "pneumonia"): [0.5, 0.5]}
    scores |= {(name, "COVID-19"): [0.3, 0.6] for name in script.COVID}
    write_series(tmp_path / "without_lungs_box", scores)
    table = script.markdown(tmp_path, tmp_path / "sources.csv", resamples=200).splitlines()
    assert table[0].startswith("|  | pneumonia, adults (nih) |")
    assert table[2] == "| images | 2 against 2 | 2 against 2 | 2 against 2 | 6 against 4 |"
    name, nih, kermany, collection, adults = [cell.strip() for cell in table[3].strip("|").split("|")]
    assert name == "without lungs' box"
    assert (nih[:5], kermany[:5], collection[:5], adults[:5]) == ("0.500",) * 4


def test_the_second_class_scores_higher_where_it_is_told_apart(tool):
    script = tool("domains/left_out_sources")
    rows = pd.DataFrame(
        {
            "label": ["pneumonia", "pneumonia", "COVID-19", "COVID-19"],
            "source": ["nih", "nih", "hannover", "nih"],
            "patient": ["a", "b", "c", "d"],
            "pneumonia": [0.5, 0.2, 0.1, 0.6],
            "COVID-19": [0.1, 0.2, 0.3, 0.1],
        }
    )
    within = script.compare(rows, "pneumonia", ("nih",), "COVID-19", ("nih",), resamples=100)
    across = script.compare(rows, "pneumonia", ("nih",), "COVID-19", ("hannover",), resamples=100)
    assert (within[0], within[2]) == (0.0, (2, 1))
    assert (across[0], across[2]) == (1.0, (2, 1))
    with pytest.raises(semenet.SemenetError, match="none of COVID-19 from articles"):
        script.compare(rows, "pneumonia", ("nih",), "COVID-19", ("articles",))


def test_a_variant_changes_what_its_name_says(tool):
    script = tool("domains/left_out_sources")
    recipe = script.base_recipe(script.Arguments(manifest="sources.csv", out="series"))
    assert (recipe.lungs_box, recipe.standardize, recipe.balance) == (True, True, ("label", "source"))
    for name, changes in script.VARIANTS.items():
        assert all(getattr(recipe, key) != value for key, value in changes.items()), name


def test_without_a_finished_variant_there_is_no_table(tool, tmp_path):
    with pytest.raises(semenet.SemenetError, match="which has none"):
        tool("domains/left_out_sources").markdown(tmp_path, tmp_path / "sources.csv", resamples=100)
