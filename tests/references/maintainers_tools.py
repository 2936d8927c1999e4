"""Runs the scripts of tools/ as their users do."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def run_tool(name, *arguments):
    """The ended process of `python tools/<name>`, its output as text."""
    command = [sys.executable, ROOT / "tools" / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
