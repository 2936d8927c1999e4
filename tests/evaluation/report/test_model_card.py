"""The model card contains the facts, and no name breaks its Markdown."""

import datetime
import re
import types

import pandas as pd
import pytest

from semenet.data.transforms.lung_view import LungView
from semenet.evaluation.drawing.markdown import code_span, escape_markdown
from semenet.evaluation.drawing.pages import RESEARCH_USE
from semenet.evaluation.report.model_card import render_card

DATE = datetime.datetime(2025, 3, 9, tzinfo=datetime.UTC)
AUDIT = {"verdict": "shortcut", "words": ["The label can be predicted.", "Marks: 0.9."], "split": "test"}


def a_run(record=None, calibration=None, lungs_alone=False, name="seme_tiny"):
    model = types.SimpleNamespace(name=name, count_params=lambda: 1234567)
    return types.SimpleNamespace(
        model=model,
        record={} if record is None else record,
        input_size=(224, 160),
        channels=1,
        inference_clahe=True,
        segments=False,
        lungs_alone=lungs_alone,
        lung_view=LungView(),
        activation="softmax",
        temperature=1.0 if calibration is None else 1.25,
        calibration=calibration,
    )


def a_manifest(**columns):
    frame = pd.DataFrame({"split": ["val", "val", "train"], "patient": ["p", "q", "r"]} | columns)
    return types.SimpleNamespace(rows=frame, sha256="ab" * 32)


def a_result(names=("normal", "virus"), **changes):
    def intervals(name):
        return {f"per_class.{name}.{key}": [0.5, 0.7] for key in ("sensitivity", "specificity", "auroc")}

    result = {
        "class_names": list(names),
        "split": "val",
        "count": 41,
        "patients": 17,
        "accuracy": 0.625,
        "macro_auroc": None,
        "brier": 0.4,
        "per_class": {
            name: {"support": 12, "sensitivity": 0.75, "specificity": 0.5, "auroc": None} for name in names
        },
        "intervals": {"accuracy": [0.5, 0.75], "macro_auroc": None, "brier": None}
        | {key: value for name in names for key, value in intervals(name).items()},
        "interval_method": "95 % percentile interval, 99 bootstrap resamples of the patients",
        "model_sha256": "cd" * 32,
        "where": None,
        "audit": None,
        "evidence": "validation",
        "chosen_on": {"train": ["weights"], "val": ["best epoch"], "v|al": ["temperature"]},
        "command": "semenet evaluate run --manifest m.csv",
        "versions": {"python": "3.11", "keras": "3.15"},
    }
    return result | changes


def card(run=None, manifest=None, **result):
    return render_card(run or a_run(), manifest or a_manifest(), a_result(**result), DATE)


def tables(text):
    """Returns the cells of each Markdown table: lists of rows of str."""
    found, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            found.append(rows)
            rows = []
    return found


def test_the_card_contains_the_facts():
    text = card(a_run({"command": "semenet train x", "manifest_sha256": "ab" * 32}))
    lines = text.splitlines()
    assert lines[0] == "# seme_tiny: normal, virus"
    assert RESEARCH_USE in text
    network, evidence, metric_rows, per_class = tables(text)
    assert ["Parameters", "1,234,567"] in network
    assert ["Input", "224 x 160 x 1, values in [0, 255], with CLAHE"] in network
    assert ["Outputs", "normal, virus, in this order; softmax"] in network
    assert ["Temperature", "1.000, not calibrated"] in network
    assert ["SHA-256", f"`{'cd' * 32}`"] in network
    assert "Trained by `semenet train x`." in lines
    assert "Evaluated on 41 images of 17 patients, the split val" in text
    assert f"`{'ab' * 32}` (the same as used for training)." in lines
    assert "Intervals: 95 % percentile interval, 99 bootstrap resamples of the patients." in lines
    assert evidence[2][0] == "Validation, not a test; chosen on it: best epoch"
    assert evidence[2][1:] == ["41", "17", "0.625 (95 % interval 0.500 to 0.750)", "undefined"]
    assert [row[1] for row in evidence[3:]] == ["not measured", "not measured"]
    assert metric_rows[2:] == [
        ["Accuracy", "0.625 (95 % interval 0.500 to 0.750)"],
        ["Macro AUROC", "undefined"],
        ["Brier score", "0.400"],
    ]
    assert per_class[2] == [
        "normal",
        "12",
        "0.750 (95 % interval 0.500 to 0.700)",
        "0.500 (95 % interval 0.500 to 0.700)",
        "undefined (95 % interval 0.500 to 0.700)",
    ]
    assert "`semenet evaluate run --manifest m.csv` on 2025-03-09, with python 3.11, keras 3.15." in lines


def test_missing_information_is_stated():
    text = card(a_run({"manifest_sha256": "0" * 64}, calibration={"temperature": 1.25}, lungs_alone=True))
    assert "The training is not recorded." in text
    assert "(not the one used for training)" in text
    network = tables(text)[0]
    assert ["Temperature", "1.250"] in network
    assert ["Input", "224 x 160 x 1, values in [0, 255], with CLAHE, lungs alone"] in network
    assert "used for training" not in card()


def test_licences_are_those_of_the_split():
    text = card(manifest=a_manifest(license=["CC BY 4.0", "", "CC0"]))
    assert "Licences of these images: CC BY 4.0." in text
    assert "Licences" not in card()
    assert "Licences" not in card(manifest=a_manifest(license=""))


def test_the_card_shows_the_audit_or_that_there_is_none():
    text = card(audit=AUDIT)
    assert "Verdict on the split test: **shortcut**." in text
    assert "- The label can be predicted.\n- Marks: 0.9.\n" in text
    assert "Not audited" not in text
    assert "Not audited: it is not known whether the label can be predicted without the lungs." in card()


def test_heat_map_table_lists_the_classes_with_maps():
    spread = {"p50": 0.456, "mean": 0.2}
    classes = {
        "normal": {"count": 9, "in_lung": spread, "lung_area": spread},
        "virus": {"count": 0, "in_lung": None, "lung_area": None},
    }
    assert tables(card(where={"classes": classes}))[-1][2:] == [["normal", "9", "0.46", "0.20"]]
    assert len(tables(card(where={"classes": None}))) == 4


@pytest.mark.parametrize(
    "name", ["a|b", "a\nb", "a\r\nb", "a\\|b", "`a`", "*a*", "<b>a</b>", "[a](b)", "_a_", "&lt;", "~a~"]
)
def test_no_class_name_breaks_the_card(name):
    spread = {"count": 9, "in_lung": {"p50": 0.5}, "lung_area": {"mean": 0.2}}
    text = card(names=(name, "b"), where={"classes": {name: spread}})
    network, evidence, metric_rows, per_class, located = tables(text)
    widths = [{len(row) for row in rows} for rows in (network, evidence, metric_rows, per_class, located)]
    assert widths == [{2}, {5}, {2}, {5}, {4}]
    shown = " ".join(name.split())
    # A character after a backslash represents itself.
    for cell in (per_class[2][0], located[2][0], network[4][1].split(",")[0], text.splitlines()[0][13:-3]):
        assert re.sub(r"\\(.)", r"\1", cell) == shown
        assert re.sub(r"\\.", "", cell).isascii()
        assert not re.search(r"[|`*<\[\]~]|&lt;", re.sub(r"\\.", "", cell))


@pytest.mark.parametrize("name", ["other_viral", "COVID-19", "A & B", "10 %", "bacteria (mixed)"])
def test_common_names_are_not_escaped(name):
    assert escape_markdown(name) == name


def test_paths_with_backticks_are_valid_code_spans():
    command = "semenet evaluate 'a`b|c\nd' --out '`'"
    text = card(a_run({"command": command}), command=command, split="v|al", manifest=a_manifest())
    assert "Trained by ``semenet evaluate 'a`b|c d' --out '`'``." in text
    assert "``semenet evaluate 'a`b|c d' --out '`'`` on 2025-03-09" in text
    assert "the split v\\|al of" in text
    assert code_span("`a` ``") == "``` `a` `` ```"
    assert code_span("plain") == "`plain`"
