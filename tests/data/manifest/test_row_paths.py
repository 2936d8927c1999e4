import pytest

from semenet.data.manifest.errors import ManifestError
from semenet.data.manifest.table import read_manifest


def manifest(folder, *files):
    rows = "".join(f"{file},normal,p{number},train\n" for number, file in enumerate(files))
    (folder / "manifest.csv").write_text("file,label,patient,split\n" + rows)
    return folder / "manifest.csv"


def test_backslashes_separate_folders(tmp_path):
    rows = read_manifest(manifest(tmp_path, r"images\a.png", "images/b.png", r".\images\c.png")).rows
    assert rows["path"].tolist() == [str(tmp_path / "images" / name) for name in ("a.png", "b.png", "c.png")]
    assert rows["file"][0] == r"images\a.png"


def test_a_file_whose_name_has_a_backslash_is_kept(tmp_path):
    (tmp_path / r"images\a.png").touch()
    rows = read_manifest(manifest(tmp_path, r"images\a.png", r"images\b.png")).rows
    assert rows["path"].tolist() == [str(tmp_path / r"images\a.png"), str(tmp_path / "images" / "b.png")]


def test_two_spellings_of_one_file_are_found(tmp_path):
    with pytest.raises(ManifestError, match="which are one file"):
        read_manifest(manifest(tmp_path, r"images\a.png", "images/a.png"))


@pytest.mark.parametrize("name", [r"C:\images\a.png", "d:/images/a.png", r"\\server\share\a.png"])
def test_drive_letters_and_servers_are_named(name, tmp_path):
    with pytest.raises(ManifestError, match="(?s)drive letter.*line 3.*relative to the folder.*--root"):
        read_manifest(manifest(tmp_path, "a.png", name))
