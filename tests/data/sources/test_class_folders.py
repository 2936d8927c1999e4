import pytest
from source_folders import class_tree

from semenet.data.sources.class_folders import folder_tree
from semenet.data.sources.kermany import SourceError, SourceWarning

CLASSES = tuple(f"{label}/p{n}_{m}.png" for label in ("normal", "sick") for n in range(10) for m in (1, 2))
PATTERN = r"^(?P<patient>p\d+)_"


def test_folders_are_classes_and_patients_come_from_a_pattern(tmp_path, recwarn):
    frame = folder_tree(class_tree(tmp_path / "mine", CLASSES), patient_pattern=PATTERN)
    assert frame["file"].tolist() == sorted(CLASSES)
    assert frame["label"].value_counts().to_dict() == {"normal": 20, "sick": 20}
    assert set(frame["patient"]) == {f"p{n}" for n in range(10)}, "a patient is one over all classes"
    assert (frame.groupby("patient")["split"].nunique() == 1).all()
    assert set(frame["split"]) == {"train", "val", "test"}
    assert set(frame["source"]) == {"mine"}
    assert set(frame["license"]) == {"not stated"}
    assert not recwarn.list


def test_splits_follow_the_seed_and_source_and_license_are_options(tmp_path):
    class_tree(tmp_path, CLASSES)
    told = {"patient_pattern": PATTERN, "source": "ours", "license": "CC0"}
    frame = folder_tree(tmp_path, **told, seed=1)
    assert folder_tree(tmp_path, **told, seed=1).equals(frame)
    assert any(not folder_tree(tmp_path, **told, seed=seed).equals(frame) for seed in (2, 3, 4))
    assert set(frame["source"]) == {"ours"}
    assert set(frame["license"]) == {"CC0"}


def test_classes_reached_by_a_link_are_taken_and_no_file_is_left_out_in_silence(tmp_path):
    class_tree(tmp_path / "elsewhere", CLASSES)
    tree = class_tree(tmp_path / "tree", [f"train/{name}" for name in CLASSES if name.startswith("sick")])
    (tree / "train" / "normal").symlink_to(tmp_path / "elsewhere" / "normal")
    # A link that would go round for ever.
    (tree / "train" / "sick" / "round").symlink_to(tree)
    (tree / "train" / "sick" / "p7.gif").touch()
    with pytest.warns(SourceWarning, match=r"1 files below .*train are left out.*p7\.gif"):
        frame = folder_tree(tree, patient_pattern=PATTERN)
    assert frame["file"].tolist() == [f"train/{name}" for name in sorted(CLASSES)]


def test_a_link_back_to_the_tree_is_not_followed(tmp_path):
    class_tree(tmp_path, CLASSES)
    (tmp_path / "sick" / "round").symlink_to(tmp_path)
    assert folder_tree(tmp_path, patient_pattern=PATTERN)["file"].tolist() == sorted(CLASSES)


def test_an_image_beside_the_classes_is_refused(tmp_path):
    class_tree(tmp_path, (*CLASSES, "stray.png"))
    with pytest.raises(SourceError, match=r"Received: stray\.png"):
        folder_tree(tmp_path, patient_pattern=PATTERN)


def test_without_a_pattern_each_file_is_a_patient_and_the_risk_is_said(tmp_path):
    with pytest.warns(SourceWarning, match="each of 40 files counts as a patient .* figure .* too good"):
        frame = folder_tree(class_tree(tmp_path, CLASSES))
    assert frame["patient"].nunique() == 40
    assert frame["patient"][0] == "normal/p0_1"


def test_splits_of_the_tree_are_taken_and_patients_kept_whole(tmp_path):
    names = (
        "Training/normal/p1_1.png",
        "Training/sick/p2_1.JPG",
        "Training/sick/p3_1.jpeg",
        "valid/normal/p4_1.png",
        "test/sick/p3_2.png",
    )
    class_tree(tmp_path, names)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "Training" / "sick" / "notes.txt").touch()
    (tmp_path / "Training" / "sick" / "._p2_1.JPG").touch()
    with pytest.warns(SourceWarning, match="1 images of 1 patients .* p3"):
        frame = folder_tree(tmp_path, patient_pattern=PATTERN)
    assert dict(zip(frame["file"], frame["split"], strict=True)) == {
        "Training/normal/p1_1.png": "train",
        "Training/sick/p2_1.JPG": "train",
        "Training/sick/p3_1.jpeg": "test",
        "valid/normal/p4_1.png": "val",
        "test/sick/p3_2.png": "test",
    }
    assert frame["label"].tolist() == ["normal", "sick", "sick", "sick", "normal"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/a/1.png", "normal/1.png"), "all splits .* or all classes. Received: .* normal, train"),
        (("val/a/1.png", "valid/a/1.png"), "one folder. Received: .* val, valid"),
        (("a/b/1.png", "a/2.png"), r"stand at DIR/<class>/<image>. Received: .*a/b/1.png"),
        (("train/1.png",), r"stand at DIR/<split>/<class>/<image>. Received: .*train/1.png"),
        ((), "where there are none"),
    ],
)
def test_trees_of_another_form_are_refused(tmp_path, names, message):
    (tmp_path / "tree").mkdir()
    with pytest.raises(SourceError, match=message):
        folder_tree(class_tree(tmp_path / "tree", names), patient_pattern=".(?P<patient>)")


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(SourceError, match="nowhere, which is none"):
        folder_tree(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "regular expression. Received: '\\('"),
        (r"p\d+", "group `patient`"),
        (r"^(?P<patient>q\d+)", "match every file's name. Received: .*normal/p0_1.png"),
        (r"^(?P<patient>q?)", "match every file's name. Received: .*normal/p0_1.png"),
    ],
)
def test_patterns_that_tell_no_patient_are_refused(tmp_path, pattern, message):
    with pytest.raises(SourceError, match=message):
        folder_tree(class_tree(tmp_path, CLASSES), patient_pattern=pattern)
