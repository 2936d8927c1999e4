"""Runs and loads the scripts of tools/ as their users do."""

import importlib.util
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def run_tool(name, *arguments):
    """The ended process of `python tools/<name>`, its output as text."""
    command = [sys.executable, ROOT / "tools" / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def load_tool(name):
    """The module of a script that imports no other script, such as "paper/effective_field"."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
