import subprocess
import sys

PROGRAM = """
import sys
from semenet.cli.tensorflow_import import import_tensorflow
import_tensorflow()
assert {"tensorflow", "keras"} <= set(sys.modules)
loaded = {"jax", "matplotlib.pyplot", "sklearn"} & set(sys.modules)
assert not loaded, loaded
import keras
assert keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).count_params() == 3
# Both can still be imported.
import sklearn.metrics
import matplotlib.pyplot
assert sklearn.metrics.roc_auc_score([0, 1], [0.1, 0.9]) == 1
"""


def test_tensorflow_is_imported_without_packages_that_no_command_uses():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
