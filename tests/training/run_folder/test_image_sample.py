import pandas as pd

from semenet.training.run_folder.image_sample import SAMPLED_FILES, sample_sha256


def rows(folder, count, kind="path"):
    files = [folder / f"{kind}{number}.png" for number in range(count)]
    for number, file in enumerate(files):
        if not file.exists():
            file.write_bytes(f"{kind}{number}".encode())
    return pd.DataFrame({kind: [str(file) for file in files]})


def test_the_hash_changes_with_the_content_of_a_sampled_file(tmp_path):
    train, val = rows(tmp_path, 3), rows(tmp_path, 2)
    before = sample_sha256([train, val])
    assert sample_sha256([train, val]) == before
    (tmp_path / "path2.png").write_bytes(b"other")
    assert sample_sha256([train, val]) != before


def test_masks_count_and_missing_ones_are_skipped(tmp_path):
    train = rows(tmp_path, 2).join(rows(tmp_path, 2, "mask_path"))
    before = sample_sha256([train])
    (tmp_path / "mask_path1.png").write_bytes(b"other")
    assert sample_sha256([train]) != before
    assert sample_sha256([train.assign(mask_path="")]) == sample_sha256([rows(tmp_path, 2)])


def test_files_are_evenly_spaced_and_limited(tmp_path, monkeypatch):
    from semenet.training.run_folder import image_sample

    read = []
    monkeypatch.setattr(image_sample, "_contents", lambda file: read.append(file) or b"")
    table = pd.DataFrame({"path": [str(number) for number in range(1000)]})
    sample_sha256([table])
    assert len(read) == SAMPLED_FILES
    assert (read[0], read[-1]) == ("0", "999")
    sample_sha256([table[:1]])
    assert read[-1] == "0"


def test_a_missing_file_does_not_stop_the_hash(tmp_path):
    assert len(sample_sha256([pd.DataFrame({"path": [str(tmp_path / "no.png")]})])) == 64
