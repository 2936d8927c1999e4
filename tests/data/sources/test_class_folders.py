import pytest
from source_folders import class_tree

from semenet.data.sources.class_folders import read_class_folders
from semenet.data.sources.source_rows import SourceError, SourceNotFoundError, SourceWarning

CLASSES = tuple(f"{label}/p{n}_{m}.png" for label in ("normal", "sick") for n in range(10) for m in (1, 2))
PATTERN = r"^(?P<patient>p\d+)_"


def test_classes_come_from_folders_and_patients_from_a_pattern(tmp_path, recwarn):
    frame = read_class_folders(class_tree(tmp_path / "mine", CLASSES), patient_pattern=PATTERN)
    assert frame["file"].tolist() == sorted(CLASSES)
    assert frame["label"].value_counts().to_dict() == {"normal": 20, "sick": 20}
    assert set(frame["patient"]) == {f"p{n}" for n in range(10)}, (
        "the same name in several classes is the same patient"
    )
    assert (frame.groupby("patient")["split"].nunique() == 1).all()
    assert set(frame["split"]) == {"train", "val", "test"}
    assert set(frame["source"]) == {"mine"}
    assert set(frame["license"]) == {"not stated"}
    assert not recwarn.list


def test_splits_follow_the_seed_and_source_and_license_are_options(tmp_path):
    class_tree(tmp_path, CLASSES)
    settings = {"patient_pattern": PATTERN, "source": "ours", "license": "CC0"}
    frame = read_class_folders(tmp_path, **settings, seed=1)
    assert read_class_folders(tmp_path, **settings, seed=1).equals(frame)
    assert any(not read_class_folders(tmp_path, **settings, seed=seed).equals(frame) for seed in (2, 3, 4))
    assert set(frame["source"]) == {"ours"}
    assert set(frame["license"]) == {"CC0"}


def test_links_to_classes_are_followed_and_other_files_are_reported(tmp_path):
    class_tree(tmp_path / "elsewhere", CLASSES)
    tree = class_tree(tmp_path / "tree", [f"train/{name}" for name in CLASSES if name.startswith("sick")])
    (tree / "train" / "normal").symlink_to(tmp_path / "elsewhere" / "normal")
    # A link that would loop forever.
    (tree / "train" / "sick" / "round").symlink_to(tree)
    (tree / "train" / "sick" / "p7.gif").touch()
    with pytest.warns(SourceWarning, match=r"1 files below .*train are left out.*p7\.gif"):
        frame = read_class_folders(tree, patient_pattern=PATTERN)
    assert frame["file"].tolist() == [f"train/{name}" for name in sorted(CLASSES)]


def test_a_link_back_to_the_folder_is_not_followed(tmp_path):
    class_tree(tmp_path, CLASSES)
    (tmp_path / "sick" / "round").symlink_to(tmp_path)
    assert read_class_folders(tmp_path, patient_pattern=PATTERN)["file"].tolist() == sorted(CLASSES)


def test_an_image_beside_the_class_folders_is_rejected(tmp_path):
    class_tree(tmp_path, (*CLASSES, "stray.png"))
    with pytest.raises(SourceError, match=r"Received: stray\.png"):
        read_class_folders(tmp_path, patient_pattern=PATTERN)


def test_without_a_pattern_each_file_is_a_patient_and_a_warning_explains_the_risk(tmp_path):
    with pytest.warns(SourceWarning, match="each of 40 files counts as its own patient.* too optimistic"):
        frame = read_class_folders(class_tree(tmp_path, CLASSES))
    assert frame["patient"].nunique() == 40
    assert frame["patient"][0] == "normal/p0_1"


def test_folders_with_names_of_splits_are_splits_and_patients_are_kept_whole(tmp_path):
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
        frame = read_class_folders(tmp_path, patient_pattern=PATTERN)
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
        (("a/b/1.png", "a/2.png"), r"be at DIR/<class>/<image>. Received: .*a/b/1.png"),
        (("train/1.png",), r"be at DIR/<split>/<class>/<image>. Received: .*train/1.png"),
        ((), "where there are none"),
    ],
)
def test_folders_with_another_layout_are_rejected(tmp_path, names, message):
    (tmp_path / "tree").mkdir()
    with pytest.raises(SourceError, match=message):
        read_class_folders(class_tree(tmp_path / "tree", names), patient_pattern=".(?P<patient>)")


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(SourceNotFoundError, match="nowhere, which is not a folder"):
        read_class_folders(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "regular expression. Received: '\\('"),
        (r"p\d+", "group `patient`"),
        (r"^(?P<patient>q\d+)", "match every file's name. Received: .*normal/p0_1.png"),
        (r"^(?P<patient>q?)", "match every file's name. Received: .*normal/p0_1.png"),
    ],
)
def test_invalid_patterns_are_rejected(tmp_path, pattern, message):
    with pytest.raises(SourceError, match=message):
        read_class_folders(class_tree(tmp_path, CLASSES), patient_pattern=pattern)


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        (
            "archive/",
            r"All images are deeper\. Pass a folder that contains the classes, such as .*tree/archive\.",
        ),
        ("archive/data/", r"contains the classes, such as .*tree/archive/data\."),
        ("archive/train/", r"contains the splits, such as .*tree/archive\."),
        (
            "train/images/",
            r"All images are deeper\. Below .*tree/train there must be the folders of the classes",
        ),
    ],
)
def test_a_tree_that_is_one_folder_too_deep_is_named(prefix, words, tmp_path):
    tree = class_tree(tmp_path / "tree", [f"{prefix}{name}" for name in CLASSES])
    with pytest.raises(SourceError, match=words):
        read_class_folders(tree, patient_pattern=PATTERN)


def test_a_folder_for_each_patient_is_no_class(tmp_path):
    tree = class_tree(tmp_path / "tree", ["normal/p1/a.png", "normal/p2/a.png", "virus/p3/a.png"])
    with pytest.raises(SourceError, match="If normal is a class and p1 a patient, move the images up"):
        read_class_folders(tree)


def test_the_folder_of_one_class_is_named(tmp_path):
    with pytest.raises(SourceError, match="If it is a class, pass the folder above it"):
        read_class_folders(class_tree(tmp_path, ["a.png", "b.png"]), patient_pattern=PATTERN)


def test_labels_and_patients_of_folders_are_in_normal_form(tmp_path):
    tree = class_tree(tmp_path, [f"se\u0301ve\u0300re/Jose\u0301{n}_{n}.png" for n in range(4)])
    frame = read_class_folders(tree, patient_pattern="^(?P<patient>[^_]+)_")
    assert set(frame["label"]) == {"s\u00e9v\u00e8re"}
    assert set(frame["patient"]) == {f"Jos\u00e9{n}" for n in range(4)}
    assert all((tmp_path / file).is_file() for file in frame["file"])
