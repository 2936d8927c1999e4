"""A process ends in time, whatever its threads do."""

import pathlib
import runpy
import subprocess
import sys

from semenet.serving.server import process_end

# The pattern keeps Python's global lock for ever, in C code. The module is run without its package, whose
# import would take long.
STUCK = """
import re, runpy, sys, threading
runpy.run_path(sys.argv[1])["end_process_after"](0.2)
threading.Thread(target=re.match, args=("(a|a)*b", "a" * 99)).start()
"""


def test_a_process_ends_although_a_thread_is_stuck():
    path = pathlib.Path(process_end.__file__)
    assert "end_process_after" in runpy.run_path(str(path))
    ended = subprocess.run([sys.executable, "-c", STUCK, path], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "Timeout (0:00:00.200000)!" in ended.stderr
