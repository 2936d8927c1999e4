"""Imports TensorFlow and Keras for a command, without what they import only in case someone needs it."""

import contextlib
import gc
import json
import os
import pathlib
import sys
from collections.abc import Iterator

# Keras and TensorFlow import these if they are installed, for functions that no command calls: drawing
# galleries, wrappers for scikit-learn, and conversion from JAX. That is a third of their import's time.
_UNUSED = ("jax", "matplotlib.pyplot", "sklearn")


def import_tensorflow(training: bool = False) -> None:
    """Imports TensorFlow and Keras in half of the usual time.

    Call it at the start of a command, before the modules that need TensorFlow. Keras' functions that draw
    with matplotlib, and its wrappers for scikit-learn, do not work in this process afterwards; both packages
    can still be imported. Does nothing where TensorFlow is loaded already.

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
        with _without_collector():
            import keras  # noqa: F401
    finally:
        for name in unused:
            del sys.modules[name]


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
