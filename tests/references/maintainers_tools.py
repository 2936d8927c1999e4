"""Runs and imports the scripts of tools/."""

import importlib.util
import pathlib
import subprocess
import sys
import types
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]


def run_tool(name: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Runs `python tools/<name>`, and returns the completed process with its output as text."""
    command = [sys.executable, ROOT / "tools" / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def load_tool(name: str) -> types.ModuleType:
    """Imports a script that imports no other script, such as "paper/effective_field"."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
