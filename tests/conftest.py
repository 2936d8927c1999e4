"""Fixtures of all tests: quiet TensorFlow, seeds, a float32 policy, phantoms and small trained runs."""

import gc
import importlib
import os
import pathlib
import shutil
import tempfile

# As training commands do, so that a run in a process of its own equals one in that of a test.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# All processes on JAX share what they compiled.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", f"{tempfile.gettempdir()}/compiled_for_tests_{os.getpid()}"
)

import pytest

from semenet.cli.tensorflow_import import without_startup_messages

with without_startup_messages():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()

# Searching what is imported for garbage, again and again, would be a twentieth of the tests' time.
gc.freeze()
gc.set_threshold(20_000, 10, 10)

# The files with the longest tests. They run first, so that no worker waits at the end for one of these.
LONGEST = (
    "test_zoo",
    "test_resume",
    "test_cross_validation",
    "test_classifier_audit",
    "test_distributed_runs",
    "test_readme",
    "test_paper",
)


def pytest_unconfigure():
    compiled = pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    # The processes that share the tests out use the folder of the one that started them.
    if compiled.name == f"compiled_for_tests_{os.getpid()}":
        shutil.rmtree(compiled, ignore_errors=True)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(autouse=True)
def fresh_keras():
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def mixed_policy(request):
    keras.config.set_dtype_policy(request.param)
    return request.param


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """Manifest of 45 synthetic radiographs of 64 pixels, with masks."""
    from semenet.data.phantom.dataset import write_phantoms

    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "set", count=45, size=64, seed=1)


def tiny(name, **changes):
    """Returns a committed recipe, reduced to a few seconds of training."""
    import dataclasses

    from semenet.training.recipe import find_recipe

    small = {"input_size": 32, "width": 0.125, "depth": 0.01, "epochs": 2, "batch_size": 8}
    return dataclasses.replace(find_recipe(name), **small | changes)


@pytest.fixture(scope="session")
def tiny_recipe():
    return tiny


def train_tiny(name, manifest, folder):
    from semenet.training.loop.fit import train

    return train(tiny(name), manifest, folder / name)


@pytest.fixture(scope="session")
def classifier_run(phantoms, tmp_path_factory):
    """Run folder of a tiny seme_resnet50."""
    return train_tiny("seme_resnet50", phantoms, tmp_path_factory.mktemp("runs")).path


@pytest.fixture(scope="session")
def unet_run(phantoms, tmp_path_factory):
    """Run folder of a tiny unet."""
    return train_tiny("unet", phantoms, tmp_path_factory.mktemp("runs")).path


@pytest.fixture
def fresh_range_warning(monkeypatch):
    """Resets the warning of a wrong pixel range, which is issued once per process."""
    from semenet.data.images import pixel_range

    monkeypatch.setattr(pixel_range, "_has_warned", False)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium, for modules marked with `chromium.needs_chromium`."""
    from chromium import Browser

    started = Browser(tmp_path_factory.mktemp("browser"))
    try:
        started.attach()
        yield started
    finally:
        started.end()


@pytest.fixture
def tool(monkeypatch):
    """Function that imports a script of tools/, such as "bench/training"."""

    def load(name):
        script = pathlib.Path(__file__).parents[1] / "tools" / name
        monkeypatch.syspath_prepend(script.parent)
        return importlib.import_module(script.name)

    return load
