import os
import stat

import pytest

from semenet.data.files import OutputError, output_file, replacing, write_bytes, write_text


def test_writes_what_is_given(tmp_path):
    write_text(tmp_path / "a.csv", "é\n")
    write_bytes(tmp_path / "b.png", b"\x00\r\n")
    assert (tmp_path / "a.csv").read_bytes() == "é\n".encode()
    assert (tmp_path / "b.png").read_bytes() == b"\x00\r\n"
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "b.png"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_who_may_read_is_what_the_umask_says(tmp_path, umask, mode):
    earlier = os.umask(umask)
    try:
        write_text(tmp_path / "a.csv", "patients")
    finally:
        os.umask(earlier)
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == mode


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
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


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path):
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


def test_an_absent_folder_is_an_error(tmp_path):
    with pytest.raises(OSError, match="absent"):
        write_text(tmp_path / "absent" / "a.csv", "")
