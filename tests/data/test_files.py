import os
import stat

import pytest

from semenet.data.files import replacing, write_bytes, write_text


def test_writes_what_is_given_readable_by_all(tmp_path):
    write_text(tmp_path / "a.csv", "é\n")
    write_bytes(tmp_path / "b.png", b"\x00\r\n")
    assert (tmp_path / "a.csv").read_bytes() == "é\n".encode()
    assert (tmp_path / "b.png").read_bytes() == b"\x00\r\n"
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o644
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "b.png"]


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
