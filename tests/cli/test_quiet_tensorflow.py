import os
import sys
import warnings

import pytest

from semenet.cli.tensorflow_import import without_startup_messages

NOISE = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1796057633.388170   29081 cudart_stub.cc:31] Could not find cuda drivers on your machine.
E0000 00:00:1796057705.939158   29081 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)
2026-11-30 16:57:42.1: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.
To enable the following instructions: AVX2 FMA, rebuild TensorFlow with the appropriate compiler flags.
"""


def test_only_tensorflow_s_messages_are_held_back(capfd, monkeypatch):
    monkeypatch.delenv("SEMENET_VERBOSE", raising=False)
    with without_startup_messages():
        os.write(2, NOISE.encode())
        os.write(2, b"a library's own error\n")
        print("semenet: our own warning", file=sys.stderr)
    # pytest's own stream is not the descriptor that is held back, so that the order is not ours.
    lines = capfd.readouterr().err.splitlines()
    assert sorted(lines) == ["a library's own error", "semenet: our own warning"]


def test_an_error_keeps_what_was_written_before_it(capfd, monkeypatch):
    monkeypatch.delenv("SEMENET_VERBOSE", raising=False)

    @without_startup_messages()
    def fail():
        os.write(2, b"libcuda.so is broken\n")
        raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capfd.readouterr().err == "libcuda.so is broken\n"
    print("after", file=sys.stderr)
    assert capfd.readouterr().err == "after\n"


def test_warnings_are_warnings():
    with pytest.warns(UserWarning, match="ours"), without_startup_messages():
        warnings.warn("ours", stacklevel=1)


@pytest.mark.parametrize(("value", "shown"), [("1", NOISE), ("0", ""), ("", "")])
def test_verbose_brings_them_back(capfd, monkeypatch, value, shown):
    monkeypatch.setenv("SEMENET_VERBOSE", value)
    with without_startup_messages():
        os.write(2, NOISE.encode())
    assert capfd.readouterr().err == shown
