import os
import pathlib

import pytest

from semenet.storage.file_names import as_paths, shown_name


@pytest.mark.parametrize("one", ["images", pathlib.Path("images")])
def test_one_path_is_not_split_into_letters(one):
    assert as_paths(one) == [pathlib.Path("images")]


def test_several_paths_keep_their_order():
    several = ["b.png", pathlib.Path("a.png")]
    expected = [pathlib.Path("b.png"), pathlib.Path("a.png")]
    assert as_paths(several) == as_paths(tuple(several)) == as_paths(iter(several)) == expected
    assert as_paths([]) == []


def test_a_name_in_another_encoding_is_shown_with_escapes():
    assert shown_name(os.fsdecode(b"m\xfcller.jpeg")) == r"m\xfcller.jpeg"
    assert shown_name("müller.jpeg") == "müller.jpeg"
