"""Reports what is installed: packages, devices, extras and published weights."""

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator

import rich.console
import rich.markup
import rich.table

from semenet.cli.environment_checks import opencv_distributions, opencv_warning, precisions, runtimes
from semenet.models.entries import CATALOG
from semenet.models.weights.fetching import URL, cache_folder
from semenet.models.weights.places import zoo_places
from semenet.models.weights.published import published_names
from semenet.training.precision import choose_precision
from semenet.training.processor import processor_name


def dependencies() -> dict[str, list[tuple[str, str | None]]]:
    """Returns semenet's dependencies by extra, with the installed versions.

    Returns:
        Dict from extra ("" for the core) to a list of (distribution, version, or None if it is not
        installed), as in the package's metadata. A dependency with extras, such as `tensorflow[and-cuda]`,
        also contributes the dependencies of those extras.
    """
    found = {}
    for name, extras, extra in _requirements("semenet"):
        packages = found.setdefault(extra, [])
        packages.append((name, _version(name)))
        for added, _, its_extra in _requirements(name) if extras else []:
            if its_extra in extras:
                packages.append((added, _version(added)))
    return found


def _requirements(distribution: str) -> Iterator[tuple[str, list[str], str]]:
    """Yields (name, requested extras of it, extra of `distribution` that needs it or "")."""
    try:
        lines = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for line in lines:
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", line).groups()
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        yield name, extras.split(",") if extras else [], extra.group(1) if extra else ""


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _automatic_precision() -> str:
    """Returns what --precision auto takes, for each group of networks with the reason."""
    networks = {}
    for entry in CATALOG:
        networks.setdefault(choose_precision("auto", entry), []).append(entry)
    return "; ".join(
        f"{choice.policy} for {', '.join(names) if len(networks) > 1 else 'all networks'}, because "
        f"{choice.reason}"
        for choice, names in networks.items()
    )


def print_installation(console: rich.console.Console | None = None) -> None:
    """Prints versions, devices, extras and published weights.

    Args:
        console: where to print; None for stdout.
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
    table.add_row("GPUs", ", ".join(devices) or "none: training runs on the CPU")
    table.add_row("CPU", rich.markup.escape(f"{processor_name()}, {os.cpu_count()} cores"))
    present, missing = runtimes()
    not_installed = f"; not installed: {', '.join(missing)}" if missing else ""
    table.add_row("runtimes", rich.markup.escape(", ".join(present) + not_installed))
    table.add_row("precisions", rich.markup.escape("; ".join(precisions(len(devices)))))
    table.add_row("precision auto", rich.markup.escape(_automatic_precision()))
    for extra, packages in dependencies().items():
        missing = [name for name, version in packages if version is None]
        versions = ", ".join(f"{name} {version}" for name, version in packages if version)
        if missing:
            install = f"pip install 'semenet[{extra}]'" if extra else "pip install semenet"
            versions = f"{versions}  missing: {', '.join(missing)} ({install})".strip()
        # Without escape, rich would read [gpu] as markup.
        table.add_row(f"extra {extra}" if extra else "packages", rich.markup.escape(versions))
    folders = ", ".join(f"{place.path} ({place.origin})" for place in zoo_places())
    table.add_row("zoo folders", rich.markup.escape(folders) or "none: set SEMENET_ZOO")
    table.add_row("weights from", rich.markup.escape(os.environ.get(URL, f"nowhere: {URL} is not set")))
    table.add_row("cached weights", rich.markup.escape(str(cache_folder())))
    weights = [f"{entry}/{name}" for entry in CATALOG for name in published_names(entry)]
    table.add_row("published weights", ", ".join(weights) or "none found")
    console.print(table)
    if warning := opencv_warning(opencv_distributions()):
        console.print(f"warning: {warning}", style="bold yellow", markup=False, highlight=False)
