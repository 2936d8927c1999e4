"""Runs and imports the scripts of tools/ and recipes/."""

import contextlib
import importlib.util
import io
import pathlib
import runpy
import subprocess
import sys
import traceback
import types
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
TOOLS = ROOT / "tools"


def run_tool(name: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Runs `tools/<name>`, as `run_script` does."""
    return run_script(TOOLS / name, *arguments)


def start_tool(name: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Runs `python tools/<name>`, for what this process does not show: TensorFlow's start and settings."""
    command = [sys.executable, TOOLS / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_script(script: pathlib.Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Runs a script as `python <script>` does, but in this process, where TensorFlow is loaded already.

    Returns:
        The exit status, and what the script printed, as of a completed process.
    """
    command = [str(script), *map(str, arguments)]
    out, errors = io.StringIO(), io.StringIO()
    with _as_program(command), contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = _exit_status(command[0])
    return subprocess.CompletedProcess(command, status, out.getvalue(), errors.getvalue())


@contextlib.contextmanager
def _as_program(command: list[str]) -> Iterator[None]:
    """Sets the program's arguments and the folder it imports from, and forgets its modules at the end."""
    arguments, path, modules = sys.argv, sys.path, set(sys.modules)
    folder = pathlib.Path(command[0]).parent
    sys.argv = command
    sys.path = [str(folder), *path]
    try:
        yield
    finally:
        sys.argv, sys.path = arguments, path
        # Scripts of other folders have the same names.
        for name in set(sys.modules) - modules:
            if folder in pathlib.Path(getattr(sys.modules[name], "__file__", None) or "").parents:
                del sys.modules[name]


def _exit_status(script: str) -> int:
    """Runs a script as Python does, which prints an exit's message and an error's traceback."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def load_tool(name: str) -> types.ModuleType:
    """Imports a script that imports no other script, such as "paper/effective_field"."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
