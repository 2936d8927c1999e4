"""Imports TensorFlow and Keras for a command, without messages and without what no command needs."""

import contextlib
import gc
import json
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator

# Keras and TensorFlow import these if they are installed, for functions that no command calls: drawing
# galleries, wrappers for scikit-learn, and conversion from JAX. That is a third of their import's time.
_UNUSED = ("jax", "matplotlib.pyplot", "sklearn")

VERBOSE = "SEMENET_VERBOSE"
# What TensorFlow's libraries log in C++, where no setting of Python's reaches: a first line that warns of the
# following ones; lines such as "I0000 00:00:1796057633.388170 29081 cudart_stub.cc:31] Could not find cuda
# drivers"; the same with a date, of older versions; and the second line of one of them.
_NOISE = re.compile(
    r"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    r"|[IWE]\d{4} [\d:.]+ +\d+ [\w./-]+:\d+\] .*"
    r"|\d{4}-\d\d-\d\d [\d:.]+: [IWE] \S+:\d+\] .*"
    r"|To enable the following instructions: .*rebuild TensorFlow with the appropriate compiler flags\."
)


def import_tensorflow(training: bool = False) -> None:
    """Imports TensorFlow and Keras in half of the usual time.

    Call it at the start of a command, before the modules that need TensorFlow. Keras' functions that draw
    with matplotlib, and its wrappers for scikit-learn, do not work in this process afterwards; both packages
    can still be imported. TensorFlow's start-up messages are not shown, unless the variable SEMENET_VERBOSE
    is 1. Does nothing where TensorFlow is loaded already.

    Args:
        training: whether the command trains. TensorFlow then computes with oneDNN on every CPU, unless the
            variable TF_ENABLE_ONEDNN_OPTS says otherwise. TensorFlow itself does so only on CPUs with AVX-512
            VNNI or newer instructions, but a training step is faster with it on CPUs with AVX2 too. The
            prediction of single images is slower there.
    """
    if "tensorflow" in sys.modules or "keras" in sys.modules:
        return
    if training:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    unused = [name for name in _UNUSED if name not in sys.modules]
    if _keras_backend() != "tensorflow":
        unused = [name for name in unused if name != "jax"]
    # None makes an import raise ImportError, as for a package that is not installed.
    sys.modules.update(dict.fromkeys(unused))
    try:
        with without_startup_messages(), _without_collector():
            import keras
            import tensorflow as tf

            if keras.backend.backend() == "tensorflow":
                # Here, because the first search for devices logs too.
                tf.config.list_physical_devices()
    finally:
        for name in unused:
            del sys.modules[name]


def is_verbose() -> bool:
    """Returns whether the variable SEMENET_VERBOSE asks for all messages of TensorFlow."""
    return os.environ.get(VERBOSE, "0") not in ("", "0")


@contextlib.contextmanager
def without_startup_messages() -> Iterator[None]:
    """Holds back what is written to standard error, and then writes all of it but TensorFlow's messages.

    Use it around the import of TensorFlow and the first look for devices, during which they are written. It
    also sets TensorFlow's own level for later messages of information, unless TF_CPP_MIN_LOG_LEVEL is set.
    With SEMENET_VERBOSE=1 it does nothing.
    """
    if is_verbose():
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    try:
        terminal = os.dup(2)
    except OSError:
        # A process without standard error has nothing to keep clean.
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            lines = held.read().decode(errors="backslashreplace").splitlines(keepends=True)
            # Python's own stream, so that a program that replaced it gets its lines too.
            sys.stderr.write("".join(line for line in lines if not _NOISE.fullmatch(line.rstrip())))
            sys.stderr.flush()


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Pauses the garbage collector, and exempts from it what was imported.

    Of half a million objects nearly all remain: to search them for garbage again and again takes a quarter
    of the import's time, and the greater part of each full collection later.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def _keras_backend() -> str:
    """Returns the backend that Keras will take: from the environment, or from its own settings."""
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"]
    settings = pathlib.Path(os.environ.get("KERAS_HOME", pathlib.Path.home() / ".keras")) / "keras.json"
    try:
        return json.loads(settings.read_text(encoding="utf-8")).get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        return "tensorflow"
