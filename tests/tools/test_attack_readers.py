"""The attack on the readers, in the size of a test: damaged files of every format, and every bomb."""

import pathlib
import textwrap

import pytest

ACCEPTED = {"jpeg_fill", "jpeg_exif", "jpeg_restarts"}


@pytest.mark.slow
def test_no_file_crashes_hangs_or_takes_a_gigabyte(tool, tmp_path):
    readers = tool("attack/readers")
    files = readers.write_files(tmp_path, 150, seed=11)
    result = readers.attack(files, seconds=20)
    assert not result.broken
    outcomes = [result.outcomes[str(file)] for file in files]
    assert outcomes.count("rejected") > 40
    assert outcomes.count("accepted") > 10
    read = {file.name for file in files if file.name.startswith("bomb_")}
    read = {name for name in read if result.outcomes[str(tmp_path / name)] == "accepted"}
    assert read <= {f"bomb_{kind}" for kind in ACCEPTED}
    assert result.table().splitlines()[-1].startswith(f"| {len(files)} |")


def test_each_way_to_fail_is_counted_and_the_next_file_read(tool, tmp_path, monkeypatch):
    readers = tool("attack/readers")
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import os, sys, time
            for name in open(sys.argv[2]).read().split("\\n"):
                print(name, flush=True)
                if "crash" in name:
                    os.abort()
                if "hang" in name:
                    time.sleep(60)
                print(f"rejected 0.25 {5000 if 'large' in name else 90}", flush=True)
            """
        )
    )
    monkeypatch.setattr(readers, "PROGRAM", program)
    files = [pathlib.Path(name) for name in ("a", "b_crash", "c", "d_hang", "e_large", "f")]
    result = readers.attack(files, seconds=0.5)
    expected = ["rejected", "crashed", "rejected", "hung", "too large", "rejected"]
    assert [result.outcomes[str(file)] for file in files] == expected
    assert result.broken == ["b_crash", "d_hang", "e_large"]
    assert "| 6 | 0 | 3 | 1 | 1 | 1 |" in result.table()
