"""Which files of a folder are listed as images, and how the others are reported."""

import os
import re
import threading

import numpy as np
import pytest
from PIL import Image

from semenet.data.images.errors import ImageError
from semenet.data.images.listing import list_images
from semenet.data.images.reading import read_image
from semenet.storage.file_names import shown_name


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_links_to_folders_are_followed_and_no_folder_is_read_twice(tmp_path):
    top, share = tmp_path / "top", tmp_path / "share"
    touch(top, "own/a.png", "z.png")
    touch(share, "b.png", "deeper/c.png", ".hidden/d.png")
    (top / "a_link_to_own").symlink_to(top / "own")
    (top / "link").symlink_to(share)
    (top / "the_same").symlink_to(share)
    # A link to a folder above would never end.
    (share / "deeper" / "above").symlink_to(top)
    names = ["link/b.png", "link/deeper/c.png", "own/a.png", "z.png"]
    assert list_images([top]) == [top / name for name in names]


def test_jpegs_with_rare_suffixes_are_found_and_read(tmp_path):
    grey = np.full((16, 16), 90, np.uint8)
    for name in ("a.JPE", "b.jfif"):
        Image.fromarray(grey).save(tmp_path / name, "JPEG")
    files = list_images([tmp_path])
    assert [file.name for file in files] == ["a.JPE", "b.jfif"]
    for file in files:
        np.testing.assert_array_equal(read_image(file), grey)


def test_skipped_files_are_counted_on_one_line(tmp_path, capsys):
    touch(tmp_path, "a.png", "b.GIF", "deeper/c.txt", "d.txt", "README", "scan.001", ".hidden.gif")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling")
    # A folder given twice is counted once, and a file given by name is not counted.
    assert list_images([tmp_path, tmp_path / "deeper" / "c.txt", tmp_path])[0] == tmp_path / "a.png"
    expected = (
        "Skipped 5 files that are not images by their names: .001 (1), .gif (1), .txt (1), no suffix (2)."
    )
    assert capsys.readouterr().err == expected + "\n"


def test_nothing_is_printed_where_no_file_is_skipped(tmp_path, capsys):
    touch(tmp_path, "a.png", ".hidden.gif")
    list_images([tmp_path])
    assert capsys.readouterr().err == ""


def test_many_suffixes_fit_on_one_short_line(tmp_path, capsys):
    touch(tmp_path, "a.png", *(f"scan.{number}" for number in range(100, 130)), "b.txt", "c.txt")
    list_images([tmp_path])
    told = capsys.readouterr().err
    assert "32 files" in told
    assert ".txt (2)" in told
    assert told.endswith("others (21).\n")
    assert len(re.findall(r"\(\d+\)", told)) == 11


def test_a_folder_without_images_is_refused_with_its_suffixes(tmp_path):
    touch(tmp_path, "a.gif", "b.webp")
    with pytest.raises(
        ImageError, match=r"none, but 2 files that .* names: \.gif \(1\), \.webp \(1\)\. Give"
    ):
        list_images([tmp_path])


def test_an_unreadable_folder_is_reported(tmp_path, capsys, monkeypatch):
    touch(tmp_path, "a.png", "lost/b.png")
    scandir = os.scandir

    def refusing(path):
        if os.fspath(path).endswith("lost"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert list_images([tmp_path]) == [tmp_path / "a.png"]
    assert f"cannot be read: {tmp_path / 'lost'} (Permission denied)" in capsys.readouterr().err


def test_a_pipe_without_a_suffix_is_skipped_without_waiting(tmp_path):
    touch(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe")
    found = []
    thread = threading.Thread(target=lambda: found.extend(list_images([tmp_path])), daemon=True)
    thread.start()
    thread.join(10)
    assert found == [tmp_path / "a.png"]


def test_names_that_are_not_utf_8_are_shown_escaped(tmp_path):
    names = {b"bad\xff.png": r"bad\xff.png", b"m\xfcller.jpeg": r"m\xfcller.jpeg"}
    for name, shown in names.items():
        assert shown_name(os.fsdecode(name)) == shown
    assert shown_name("müller.png") == "müller.png"
    # None of the files exists.
    for name, shown in names.items():
        with pytest.raises(ImageError, match=re.escape(f"{tmp_path}/{shown}, which does not")):
            list_images([tmp_path / os.fsdecode(name)])
        with pytest.raises(ImageError, match=re.escape(f"{tmp_path}/{shown}, which does not")):
            read_image(tmp_path / os.fsdecode(name))


def test_folders_are_searched_and_files_are_listed_whatever_their_names(tmp_path):
    for name in ("b.PNG", "a/c.jpg", "a/.hidden.png", ".git/d.png", "notes.txt", "a/e.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [tmp_path / name for name in ("a/c.jpg", "a/e.jpeg", "b.PNG")]
    assert list_images([tmp_path]) == found
    notes = tmp_path / "notes.txt"
    assert list_images([notes, str(found[1]), tmp_path]) == [notes, found[1], found[0], found[2]]
    with pytest.raises(ImageError, match=r"none\.png"):
        list_images([tmp_path / "none.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="holds none"):
        list_images([tmp_path / "empty"])


def test_an_empty_list_of_paths_is_refused():
    with pytest.raises(ImageError, match="at least one image.*Received"):
        list_images([])
