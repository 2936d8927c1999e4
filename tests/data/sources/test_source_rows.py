import numpy as np
import pandas as pd
import pytest

from semenet.data.sources import (
    SourceNotFoundError,
    read_class_folders,
    read_covid_chestxray,
    read_kermany,
    read_shenzhen,
)
from semenet.data.sources.source_rows import SourceWarning, draw_splits


def people(**labels):
    """Returns rows with the given number of patients per label and one image per patient."""
    rows = [(f"{label}{number}", label) for label, count in labels.items() for number in range(count)]
    return pd.DataFrame(rows, columns=["patient", "label"])


def test_rare_labels_share_a_stratum():
    frame = people(a=20, b=2, c=1)
    with pytest.warns(SourceWarning, match="fewer patients than there are splits.*: b, c"):
        split = draw_splits(frame, {"train": 0.7, "val": 0.15, "test": 0.15}, 0)
    assert set(split[frame["label"] == "a"]) == {"train", "val", "test"}
    with pytest.warns(SourceWarning, match=": a, b"):
        assert len(set(draw_splits(people(a=2, b=2), {"train": 0.4, "val": 0.3, "test": 0.3}, 0))) == 3
    with pytest.warns(SourceWarning, match=": b"):
        assert len(set(draw_splits(people(a=3, b=1), {"train": 0.4, "val": 0.3, "test": 0.3}, 0))) == 3
    with pytest.warns(SourceWarning, match="2 patients are too few"):
        assert set(draw_splits(people(a=1, b=1), {"train": 0.4, "val": 0.3, "test": 0.3}, 0)) == {"train"}


@pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")
def test_patients_of_several_labels_can_always_be_drawn():
    """Patients have any combination of labels on different days, as in covid-chestxray-dataset."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        frame = pd.DataFrame({"patient": rng.integers(0, 9, 16).astype(str), "label": rng.integers(0, 5, 16)})
        frame["label"] = "finding " + frame["label"].astype(str)
        split = draw_splits(frame, {"train": 0.7, "val": 0.15, "test": 0.15}, 0)
        assert (split.groupby(frame["patient"]).nunique() == 1).all()
        assert set(split) == {"train", "val", "test"}


def test_labels_with_enough_patients_cause_no_warning(recwarn):
    draw_splits(people(a=20, b=20), {"train": 0.7, "val": 0.15, "test": 0.15}, 0)
    assert not recwarn.list


def test_a_missing_folder_is_a_file_not_found_error(tmp_path):
    for read in (read_kermany, read_covid_chestxray, read_class_folders, read_shenzhen):
        with pytest.raises(FileNotFoundError, match="nowhere") as raised:
            read(tmp_path / "nowhere")
        assert isinstance(raised.value, SourceNotFoundError)
