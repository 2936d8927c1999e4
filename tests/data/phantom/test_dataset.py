import csv
import hashlib
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from semenet.data.manifest.table import check_patients, read_manifest
from semenet.data.phantom import dataset as dataset_module
from semenet.data.phantom.arguments import LETTERS, PhantomError
from semenet.data.phantom.canvas import Pose, fill
from semenet.data.phantom.dataset import CLASSES, write_phantoms
from semenet.data.phantom.exposure import burn_in
from semenet.data.phantom.frontal import draw_radiograph

PER_CLASS = 25  # one full cycle of the pattern of patients: twenty patients, five of them with two images


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, count=3 * PER_CLASS, size=64, seed=3)
    return folder


@pytest.fixture(scope="module")
def rows(dataset):
    with open(dataset / "manifest.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def grey(path):
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image.ndim == 2
    assert image.dtype == np.uint8
    return image


def share(part, whole):
    return (part & whole).sum() / whole.sum()


def halves(mask):
    """Counts a mask's pixels on the patient's right (the image's left) and on the patient's left."""
    middle = mask.shape[1] // 2
    return mask[:, :middle].sum(), mask[:, middle:].sum()


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        write_phantoms(tmp_path / name, count=9, size=64, seed=seed)
    one, two, other = (digests(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert len(one) == 9 * 3 + 2
    assert all(one[f"images/{i:06d}.png"] != other[f"images/{i:06d}.png"] for i in range(9))


def test_a_larger_count_appends_images(dataset, rows, tmp_path):
    write_phantoms(tmp_path / "few", count=12, size=64, seed=3)
    few, many = digests(tmp_path / "few"), digests(dataset)
    images = [name for name in few if name.endswith(".png")]
    assert len(images) == 36
    assert all(few[name] == many[name] for name in images)
    with open(tmp_path / "few" / "manifest.csv", newline="") as stream:
        assert list(csv.DictReader(stream)) == rows[:12]


def test_manifest_has_the_columns_and_its_files_exist(dataset, rows):
    assert list(rows[0]) == ["file", "label", "patient", "split", "mask", "lesion_mask", "marker", "source"]
    assert len(rows) == 3 * PER_CLASS
    assert len({row["file"] for row in rows}) == len(rows)
    for row in rows:
        for column in ("file", "mask", "lesion_mask"):
            assert grey(dataset / row[column]).shape == (64, 64)
    manifest = read_manifest(dataset / "manifest.csv", required=("label", "mask"))
    assert len(manifest.rows) == len(rows)
    check_patients(manifest)


def test_patients_are_split_60_20_20_and_classes_are_balanced(rows):
    patients = {}
    for row in rows:
        patients.setdefault((row["patient"], row["label"]), []).append(row["split"])
    assert all(len(set(splits)) == 1 for splits in patients.values())
    assert len({name for name, _ in patients}) == len(patients) == 60
    assert sorted(map(len, patients.values())) == [1] * 45 + [2] * 15
    for label in CLASSES:
        of_class = [splits[0] for (_, at), splits in patients.items() if at == label]
        assert [of_class.count(split) for split in ("train", "val", "test")] == [12, 4, 4]
        images = [row["split"] for row in rows if row["label"] == label]
        assert [images.count(split) for split in ("train", "val", "test")] == [15, 5, 5]


@pytest.mark.parametrize("classes", [("normal", "bacteria", "virus"), ("other_viral", "COVID-19")])
def test_the_smallest_count_has_every_class_in_every_split(classes, tmp_path):
    path = write_phantoms(tmp_path / "d", count=3 * len(classes), size=64, classes=classes)
    with open(path, newline="") as stream:
        found = {(row["split"], row["label"]) for row in csv.DictReader(stream)}
    assert found == {(split, label) for split in ("train", "val", "test") for label in classes}


@pytest.mark.parametrize("size", [64, 101, 256, 1024])
def test_shapes_and_dtypes(size):
    drawn = draw_radiograph("COVID-19", size=size, seed=1, marker="C")
    assert drawn.image.shape == drawn.lungs.shape == drawn.lesion.shape == (size, size)
    assert drawn.image.dtype == np.uint8
    assert drawn.lungs.dtype == drawn.lesion.dtype == bool
    assert drawn.marker == "C"
    assert drawn.image.max() - int(drawn.image.min()) > 120


@pytest.mark.parametrize("size", [64, 96, 256, 1024])
@pytest.mark.parametrize("label", ["bacteria", "virus", "COVID-19"])
def test_an_image_looks_the_same_at_every_size(label, size):
    reference = draw_radiograph(label, size=512, seed=(2, 7), marker="V")
    drawn = draw_radiograph(label, size=size, seed=(2, 7), marker="V")
    small = min(size, 256)
    expected, found = (
        cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA).astype(float)
        for image in (reference.image, drawn.image)
    )
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.99
    assert np.abs(expected - found).mean() < 4
    for name in ("lungs", "lesion"):
        one, two = (
            cv2.resize(getattr(p, name).astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA) > 0.5
            for p in (reference, drawn)
        )
        assert (one & two).sum() / (one | two).sum() > 0.93


@pytest.mark.parametrize("seed", range(6))
def test_there_are_two_lungs_and_they_are_dark(seed):
    drawn = draw_radiograph("normal", size=128, seed=seed)
    _, labels = cv2.connectedComponents(drawn.lungs.astype(np.uint8))
    areas = sorted(np.bincount(labels.ravel())[1:], reverse=True)
    assert sum(areas[:2]) > 0.995 * drawn.lungs.sum()  # all but the last pixels of a costophrenic angle
    assert areas[1] > 0.06 * drawn.lungs.size
    assert 0.15 < drawn.lungs.mean() < 0.45
    assert not drawn.lungs[0].any()
    # The heart overlaps the patient's left lung, not the right one.
    between = np.zeros_like(drawn.lungs)
    for row in np.flatnonzero(drawn.lungs[:, :64].any(1) & drawn.lungs[:, 64:].any(1)):
        inside = np.flatnonzero(drawn.lungs[row])
        between[row, inside[0] : inside[-1] + 1] = True
    between &= ~drawn.lungs
    assert drawn.image[drawn.lungs].mean() < drawn.image[between].mean() - 30
    left, right = drawn.lungs.copy(), drawn.lungs.copy()
    left[:, :64], right[:, 64:] = False, False
    assert drawn.image[left].mean() > drawn.image[right].mean()


def test_lesions_are_inside_the_lungs_where_the_disease_is_typical():
    lower, seen = [], {"bacteria": [], "virus": [], "other_viral": [], "COVID-19": []}
    for seed in range(8):
        assert not draw_radiograph("normal", size=64, seed=seed).lesion.any()
        for label, shares in seen.items():
            drawn = draw_radiograph(label, size=96, seed=seed)
            assert drawn.lesion.any()
            assert not (drawn.lesion & ~drawn.lungs).any()
            shares.append((share(drawn.lesion, drawn.lungs), min(halves(drawn.lesion)) / drawn.lesion.sum()))
            if label == "COVID-19":
                rows = np.flatnonzero(drawn.lungs.any(1))
                middle = np.mean([rows[0], rows[-1]])
                lower.append(np.nonzero(drawn.lesion)[0].mean() > middle)
    extent = {label: np.mean([a for a, _ in shares]) for label, shares in seen.items()}
    assert all(other < 0.02 for _, other in seen["bacteria"])  # one lung
    assert all(other > 0.1 for label in ("virus", "other_viral") for _, other in seen[label])
    assert np.mean([other > 0.1 for _, other in seen["COVID-19"]]) > 0.8
    assert all(lower)
    assert 0.1 < extent["bacteria"] < 0.4
    assert 0.1 < extent["COVID-19"] < 0.5
    assert extent["virus"] > 0.6


@pytest.mark.parametrize("label", ["bacteria", "virus", "COVID-19"])
def test_a_lesion_brightens_only_its_mask(label):
    inside, outside = [], []
    for seed in range(4):
        healthy = draw_radiograph("normal", size=128, seed=seed).image.astype(float)
        drawn = draw_radiograph(label, size=128, seed=seed)
        added = drawn.image - healthy
        inside.append(added[drawn.lesion].mean())
        outside.append(np.abs(added[~drawn.lungs]).mean())
    assert np.mean(inside) > 8
    assert max(outside) < 0.25 * np.mean(inside)


def test_two_examinations_of_a_patient_show_the_same_disease():
    first, second = (draw_radiograph("bacteria", size=96, seed=(4, i), patient=(4, 0)) for i in (0, 1))
    another = draw_radiograph("bacteria", size=96, seed=(4, 1))
    assert np.abs(first.image.astype(float) - second.image).mean() > 3
    one, two, other = (share(p.lesion, p.lungs) for p in (first, second, another))
    assert one == pytest.approx(two, rel=0.1)
    assert one != pytest.approx(other, rel=0.1)


def test_the_marker_is_near_an_upper_corner_outside_the_lungs():
    for seed in range(12):
        plain = draw_radiograph("virus", size=128, seed=seed)
        marked = draw_radiograph("virus", size=128, seed=seed, marker="V")
        changed = np.abs(plain.image.astype(int) - marked.image) > 12
        y, x = np.nonzero(changed)
        assert len(y) > 15
        assert y.max() < 0.3 * 128
        assert x.max() < 0.3 * 128 or x.min() > 0.7 * 128
        assert not (changed & plain.lungs).any()
        assert marked.image[changed].max() > 200
        assert plain.marker == ""


def test_the_marker_moves_away_from_the_lungs():
    # Lungs wider than any drawn one: the first position of the marker is mostly over one of them.
    right = np.array([(-0.36, -0.45), (-0.05, -0.45), (-0.05, 0.3), (-0.36, 0.3)])
    lungs, pose = (right, right * (-1, 1)), Pose.from_parameters()
    covered = fill(lungs, pose) > 0
    for seed in range(12):
        marked = burn_in(np.zeros((512, 512), np.float32), "B", lungs, pose, np.random.default_rng(seed))
        assert marked.max() > 0.9
        assert not (covered & (marked > 0)).any()


def test_markers_are_independent_of_the_class_at_correlation_0(rows):
    letters = [LETTERS[label] for label in CLASSES]
    drawn = [row["marker"] for row in rows]
    assert set(drawn) == set(letters)
    # With 75 draws of three letters, the standard deviation of a share is 0.054.
    assert np.mean([row["marker"] == LETTERS[row["label"]] for row in rows]) == pytest.approx(1 / 3, abs=0.14)
    for letter in letters:
        assert drawn.count(letter) / len(drawn) == pytest.approx(1 / 3, abs=0.14)
    # The share of every letter in every class over many draws, without drawing the images.
    for label in CLASSES:
        many = [dataset_module._draw_letter(label, CLASSES, 0.0, (0, i, 1)) for i in range(3000)]
        assert all(many.count(letter) / 3000 == pytest.approx(1 / 3, abs=0.03) for letter in letters)


def test_markers_follow_the_correlation(tmp_path):
    path = write_phantoms(tmp_path / "d", count=12, size=64, marker_correlation=1.0)
    with open(path, newline="") as stream:
        assert all(row["marker"] == LETTERS[row["label"]] for row in csv.DictReader(stream))
    # The own letter with probability 0.4, otherwise one of three: 0.4 + 0.6 / 3 carry their own letter.
    own = [dataset_module._draw_letter("virus", CLASSES, 0.4, (0, i, 1)) == "V" for i in range(3000)]
    assert np.mean(own) == pytest.approx(0.6, abs=0.03)


def test_the_correlation_changes_only_the_letters(dataset, rows, tmp_path):
    write_phantoms(tmp_path / "d", count=9, size=64, seed=3, marker_correlation=1.0)
    for row in rows[:9]:
        assert (grey(dataset / row["mask"]) == grey(tmp_path / "d" / row["mask"])).all()
        changed = grey(dataset / row["file"]) != grey(tmp_path / "d" / row["file"])
        assert changed.any() == (row["marker"] != LETTERS[row["label"]])
        assert not changed[20:].any()


def test_brightness_does_not_separate_the_classes(dataset, rows):
    images = [(grey(dataset / row["file"]), grey(dataset / row["mask"]) > 0) for row in rows]
    labels = np.array([row["label"] for row in rows])
    for means in (
        np.array([image.mean() for image, _ in images]),
        np.array([image[lungs].mean() for image, lungs in images]),
    ):
        for label in CLASSES:
            of_class, others = means[labels == label], means[labels != label]
            auroc = (of_class[:, None] > others[None, :]).mean()
            assert 0.25 < auroc < 0.75
        assert means.std() > 10


def test_progress_counts_every_image(tmp_path):
    seen = []
    write_phantoms(tmp_path / "d", count=9, size=64, progress=lambda *at: seen.append(at))
    assert seen == [(i, 9) for i in range(1, 10)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 8},
        {"count": 9.5},
        {"size": 63},
        {"size": 1025},
        {"size": 96.0},
        {"seed": -1},
        {"seed": (1, 2)},
        {"classes": ("normal", "tuberculosis")},
        {"classes": "normal"},
        {"classes": ()},
        {"classes": ("normal", "normal")},
        {"marker_correlation": -0.1},
        {"marker_correlation": 1.1},
        {"marker_correlation": float("nan")},
    ],
)
def test_invalid_arguments_are_rejected_before_anything_is_written(arguments, tmp_path):
    with pytest.raises(PhantomError, match="Received: .*Choose"):
        write_phantoms(tmp_path / "d", **{"count": 9, "size": 64, **arguments})
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("label", "arguments"),
    [
        ("asthma", {}),
        ("normal", {"size": 32}),
        ("normal", {"seed": -3}),
        ("normal", {"patient": (1, -3)}),
        ("normal", {"marker": "BV"}),
        ("normal", {"marker": ""}),
    ],
)
def test_draw_radiograph_rejects_invalid_arguments(label, arguments):
    with pytest.raises(PhantomError, match="Received: "):
        draw_radiograph(label, **{"size": 64, **arguments})


@pytest.mark.parametrize("name", ["notes.txt", "phantom.json", "manifest.csv"])
def test_a_folder_with_other_files_is_rejected_and_not_changed(name, tmp_path):
    (tmp_path / name).write_text('{"generator": "mine"}')
    with pytest.raises(PhantomError, match="Received: .*which holds other files"):
        write_phantoms(tmp_path, count=9, size=64)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"generator": "mine"}'


def test_a_folder_that_cannot_be_created_is_rejected(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(PhantomError, match="can be created and written. Received: .*Choose another"):
            write_phantoms(folder, count=9, size=64)


def test_a_folder_with_earlier_phantoms_is_replaced(tmp_path):
    write_phantoms(tmp_path / "d", count=12, size=64, seed=1)
    (tmp_path / "d" / "run").mkdir()
    (tmp_path / "d" / "run" / "history.csv").write_text("mine")
    write_phantoms(tmp_path / "d", count=9, size=64, seed=2)
    assert (tmp_path / "d" / "run" / "history.csv").read_text() == "mine"
    write_phantoms(tmp_path / "fresh", count=9, size=64, seed=2)
    again = digests(tmp_path / "d")
    del again["run/history.csv"]
    assert again == digests(tmp_path / "fresh")


def test_a_killed_call_leaves_no_manifest_and_can_be_repeated(tmp_path):
    class Killed(BaseException):
        pass

    def kill(done, _):
        if done == 4:
            raise Killed

    write_phantoms(tmp_path / "d", count=9, size=64)
    with pytest.raises(Killed):
        write_phantoms(tmp_path / "d", count=30, size=64, progress=kill)
    assert not (tmp_path / "d" / "manifest.csv").exists()
    assert len(list((tmp_path / "d" / "images").iterdir())) < 30
    assert write_phantoms(tmp_path / "d", count=9, size=64).is_file()
    assert len(list((tmp_path / "d" / "images").iterdir())) == 9


def test_the_manifest_is_written_after_all_its_files(tmp_path, monkeypatch):
    def written(frame, path):
        for column in ("file", "mask", "lesion_mask"):
            assert all((path.parent / name).is_file() for name in frame[column])
        raise OSError("disk full")

    monkeypatch.setattr(dataset_module, "write_manifest", written)
    with pytest.raises(PhantomError, match="disk full"):
        write_phantoms(tmp_path / "d", count=9, size=64)
    assert not (tmp_path / "d" / "manifest.csv").exists()


def test_phantoms_do_not_import_tensorflow():
    code = (
        "import sys, semenet.data.phantom.dataset\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_settings_file_names_the_generator_and_the_arguments(dataset):
    assert json.loads((dataset / "phantom.json").read_text()) == {
        "generator": "semenet.data.phantom",
        "count": 75,
        "size": 64,
        "seed": 3,
        "classes": ["normal", "bacteria", "virus"],
        "marker_correlation": 0.0,
    }
