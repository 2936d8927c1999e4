"""Validates DICOM files with dciodvfy of dicom3tools, which Debian has and .ci/run installs."""

import pathlib
import shutil
import subprocess

import pytest


def validation_errors(file: pathlib.Path) -> list[str]:
    """Returns the errors that dciodvfy finds in a file; skips the test where it is not installed."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed: apt-get install dicom3tools")
    checked = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
    lines = (checked.stdout + checked.stderr).splitlines()
    # Without a line about the kind of object, it has not understood the file at all.
    assert any("DXImage" in line or line.strip() in KINDS for line in lines), lines
    return [line for line in lines if line.startswith("Error")]


KINDS = {"Segmentation", "SCImage", "ComprehensiveSR"}
