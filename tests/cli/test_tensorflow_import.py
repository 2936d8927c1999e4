import json
import os
import subprocess
import sys

import pytest

from semenet.cli import tensorflow_import

PROGRAM = """
import gc, sys
from semenet.cli.tensorflow_import import import_tensorflow
full = gc.get_stats()[2]["collections"]
import_tensorflow(training=True)
# The garbage collector pauses during the import, and leaves out what was imported afterwards.
assert gc.get_stats()[2]["collections"] == full
assert gc.isenabled()
assert gc.get_freeze_count() > 100_000
assert {"tensorflow", "keras"} <= set(sys.modules)
loaded = {"jax", "matplotlib.pyplot", "sklearn"} & set(sys.modules)
assert not loaded, loaded
import keras
assert keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).count_params() == 3
# Both can still be imported.
import sklearn.metrics
import matplotlib.pyplot
assert sklearn.metrics.roc_auc_score([0, 1], [0.1, 0.9]) == 1
from tensorflow.python.util import _pywrap_util_port
assert _pywrap_util_port.IsMklEnabled()
"""


def test_tensorflow_is_imported_without_unused_packages_and_trains_with_onednn():
    own = ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL", "SEMENET_VERBOSE")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, check=True, env=environment, stderr=subprocess.PIPE, text=True)
    # None of TensorFlow's start-up messages.
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("variable", "settings", "backend"),
    [
        (None, None, "tensorflow"),
        (None, {"backend": "jax"}, "jax"),
        ("tensorflow", {"backend": "jax"}, "tensorflow"),
        (None, {"floatx": "float32"}, "tensorflow"),
    ],
)
def test_the_backend_is_known_before_keras_is_imported(monkeypatch, tmp_path, variable, settings, backend):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if variable is not None:
        monkeypatch.setenv("KERAS_BACKEND", variable)
    if settings is not None:
        (tmp_path / "keras.json").write_text(json.dumps(settings))
    assert tensorflow_import._keras_backend() == backend
