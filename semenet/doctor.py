"""Tells what this installation is and can do."""

import importlib.metadata
import importlib.util
import platform
import re

import rich.console
import rich.table

from semenet.models.catalog import CATALOG
from semenet.models.published import published, zoo_folders


def dependencies():
    """What semenet depends on.

    Returns:
        dict of extra ("" for none) to a list of (distribution, version or None), as its metadata has them.
    """
    found = {}
    for requirement in importlib.metadata.requires("semenet") or []:
        name = re.match(r"[\w.-]+", requirement).group()
        extra = re.search(r"extra == ['\"](\w+)['\"]", requirement)
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = None
        found.setdefault(extra.group(1) if extra else "", []).append((name, version))
    return found


def examine(console=None):
    """Prints versions, devices, extras and published weights.

    Args:
        console: `rich.console.Console`; None for one on stdout.
    """
    console = console or rich.console.Console(soft_wrap=True)
    import keras
    import tensorflow as tf

    table = rich.table.Table("what", "found", box=None, show_header=False)
    table.add_row("semenet", importlib.metadata.version("semenet"))
    table.add_row("Python", f"{platform.python_version()} on {platform.platform()}")
    table.add_row("Keras backend", keras.backend.backend())
    devices = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    table.add_row("GPUs", ", ".join(devices) or "none: training runs on the CPU, in float32")
    for extra, packages in dependencies().items():
        missing = [name for name, version in packages if version is None]
        versions = ", ".join(f"{name} {version}" for name, version in packages if version)
        if missing:
            install = f"pip install 'semenet[{extra}]'" if extra else "pip install semenet"
            versions = f"{versions}  missing: {', '.join(missing)} ({install})".strip()
        table.add_row(f"extra {extra}" if extra else "packages", versions)
    table.add_row("zoo folders", ", ".join(map(str, zoo_folders())) or "none: set SEMENET_ZOO")
    weights = [f"{entry}/{name}" for entry in CATALOG for name in published(entry)]
    table.add_row("published weights", ", ".join(weights) or "none found")
    console.print(table)
