"""Tells what this installation is and can do."""

import importlib.metadata
import platform
import re

import rich.console
import rich.markup
import rich.table

from semenet.models.entries import CATALOG
from semenet.models.weights.published import published_names, zoo_folders


def dependencies():
    """What semenet depends on.

    Returns:
        dict of extra ("" for none) to a list of (distribution, version or None if it is not installed), as
        its metadata has them; of `tensorflow[and-cuda]` and the like also what that extra adds.
    """
    found = {}
    for name, extras, extra in _requirements("semenet"):
        packages = found.setdefault(extra, [])
        packages.append((name, _version(name)))
        for added, _, its_extra in _requirements(name) if extras else []:
            if its_extra in extras:
                packages.append((added, _version(added)))
    return found


def _requirements(distribution):
    """Tuples (name, extras asked of it, extra of `distribution` that needs it or "")."""
    try:
        lines = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for line in lines:
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", line).groups()
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        yield name, extras.split(",") if extras else [], extra.group(1) if extra else ""


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


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
        # Rich takes [gpu] for one of its own marks.
        table.add_row(f"extra {extra}" if extra else "packages", rich.markup.escape(versions))
    table.add_row("zoo folders", ", ".join(map(str, zoo_folders())) or "none: set SEMENET_ZOO")
    weights = [f"{entry}/{name}" for entry in CATALOG for name in published_names(entry)]
    table.add_row("published weights", ", ".join(weights) or "none found")
    console.print(table)
