"""What to do about published weights that are not on this machine."""

import difflib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from semenet.models.entries import find_entry
from semenet.models.weights import fetching
from semenet.models.weights.places import FOLDER

_WITHOUT_IMAGENET = "unet"


def remedy_for_missing(
    entry_name: str, name: str, available: Collection[str], sizes: Mapping[str, int], imagenet: bool = False
) -> str:
    """Returns the sentences that end an error about missing weights.

    Args:
        entry_name: name of the entry in the catalogue.
        name: name of the weights that are missing.
        available: names of the entry's weights that can be loaded.
        sizes: size in bytes of those that are described here, by name.
        imagenet: whether "imagenet" is accepted too.
    """
    published = [key.split("/")[1] for key in fetching.read_index() if key.split("/")[0] == entry_name]
    if name in published and name not in available:
        size = f" ({sizes[name] / 1e6:.1f} MB)" if name in sizes else ""
        return f"{entry_name}:{name}{size} is published but not on this machine. {ways_to_get()}"
    names = ["imagenet"] if imagenet and find_entry(entry_name).backbone != _WITHOUT_IMAGENET else []
    names += sorted({*available, *published})
    shown = [
        one if one in available or one == "imagenet" else f"{one} (not on this machine)" for one in names
    ]
    close = difflib.get_close_matches(name, names, n=1)
    advice = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(shown) or "none; `semenet weights list` shows those of all networks"
    return f"Names of `{entry_name}`: {listed}.{advice}{_wrong_folder()}"


def ways_to_get() -> str:
    """Returns the sentence that names every place weights can come from."""
    return (
        "Install the wheel semenet-zoo; or set SEMENET_ZOO to the folder zoo of a clone of the repository; "
        f"or set SEMENET_ZOO_URL to the address of a copy, https://... or hf://OWNER/REPO.{_wrong_folder()}"
    )


def _wrong_folder() -> str:
    folder = os.environ.get(FOLDER)
    if not folder or Path(folder).is_dir():
        return ""
    return f" {FOLDER} is set to {folder}, which is not a folder."
