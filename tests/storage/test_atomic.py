import itertools
import os
import pathlib
import stat

import pytest

from semenet.storage.atomic import (
    OutputError,
    check_output_folder,
    output_file,
    replacing,
    unique_stems,
    write_bytes,
    write_text,
    write_together,
)


def test_text_and_bytes_are_written_unchanged(tmp_path):
    write_text(tmp_path / "a.csv", "é\n")
    write_bytes(tmp_path / "b.png", b"\x00\r\n")
    assert (tmp_path / "a.csv").read_bytes() == "é\n".encode()
    assert (tmp_path / "b.png").read_bytes() == b"\x00\r\n"
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "b.png"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_permissions_follow_the_umask(tmp_path, umask, mode):
    earlier = os.umask(umask)
    try:
        write_text(tmp_path / "a.csv", "patients")
    finally:
        os.umask(earlier)
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == mode


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "there" / "a.csv")
    write_text(tmp_path / "link.csv", "new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "there" / "a.csv").read_text() == "new"


def test_a_pipe_or_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for write in (lambda path: write_text(path, "new"), output_file):
        with pytest.raises(OutputError, match="device or pipe"):
            write(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_an_output_folder_is_checked_without_creating_it(tmp_path):
    (tmp_path / "file").touch()
    check_output_folder(tmp_path / "new" / "deeper")
    for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(OutputError, match=f"can be written to. Received: {tmp_path / 'file'} "):
            check_output_folder(path)
    assert os.listdir(tmp_path) == ["file"]


def test_stems_are_text_that_utf_8_can_hold():
    files = [pathlib.Path(os.fsdecode(name)) for name in (b"m\xfcller.png", b"a/m\xfcller.png")]
    assert unique_stems(files) == [r"m\xfcller", r"m\xfcller_2"]


def test_a_failure_leaves_the_old_file_and_no_temporary_file(tmp_path):
    path = tmp_path / "a.weights.h5"
    write_bytes(path, b"old")

    def fill_the_disk():
        with replacing(path) as temporary:
            assert temporary.name.endswith(".weights.h5")
            temporary.write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fill_the_disk()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.weights.h5"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_full_disk_leaves_all_files_unchanged(place, tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("a.csv", "b.html", "c.json")]
    write_together(dict.fromkeys(paths, b"old"))
    monkeypatch.setattr(os, "fsync", failing_at(place, os.fsync))
    with pytest.raises(OSError, match=f"No space.*{paths[place].name}"):
        write_together(dict.fromkeys(paths, b"new"))
    assert [path.read_bytes() for path in paths] == [b"old"] * 3
    assert sorted(os.listdir(tmp_path)) == [path.name for path in paths]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_last_file_never_exists_beside_older_files(place, tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("a.csv", "b.html", "c.json")]
    write_together(dict.fromkeys(paths, b"old"))
    monkeypatch.setattr(os, "replace", failing_at(place, os.replace))
    with pytest.raises(OSError, match="No space"):
        write_together(dict.fromkeys(paths, b"new"))
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "b.html"]


def failing_at(place, function):
    """The function, which finds the disk full at its call of that number."""
    calls = itertools.count()

    def call(*arguments):
        if next(calls) == place:
            raise OSError(28, "No space left on device")
        return function(*arguments)

    return call


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(OSError, match="absent"):
        write_text(tmp_path / "absent" / "a.csv", "")
