import hashlib

import pytest

from semenet.storage.hashing import file_sha256


def test_the_hash_is_of_the_whole_file(tmp_path):
    path = tmp_path / "long.bin"
    contents = bytes(range(256)) * 5000
    path.write_bytes(contents)
    assert file_sha256(path) == file_sha256(str(path)) == hashlib.sha256(contents).hexdigest()


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / "missing.bin")
