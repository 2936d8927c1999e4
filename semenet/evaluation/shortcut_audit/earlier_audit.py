"""What an audit wrote, read for a report of the same network on the same manifest."""

import json
import pathlib

from semenet.errors import SemenetError

# What a report shows of an audit.
_REPORTED = {
    *(
        "verdict",
        "words",
        "rule",
        "split",
        "count",
        "patients",
        "fed",
        "masks",
        "fitted_to",
        "views",
        "origins",
    ),
    *("model_sha256", "manifest_sha256"),
}


def read_audit(folder, model_sha256, manifest_sha256):
    """Reads what `audit` wrote.

    Args:
        folder: the folder it wrote to.
        model_sha256: str, the hash of the network that is reported now.
        manifest_sha256: str, the hash of the manifest it is reported on.

    Returns:
        dict, the content of audit.json.

    Raises:
        ValueError: there is no whole audit.json, or it is of another network or manifest.
    """
    path = pathlib.Path(folder) / "audit.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if missing := _REPORTED - set(found):
            raise KeyError(*sorted(missing))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SemenetError(
            "An audit is a folder with the audit.json that `semenet audit` writes. "
            f"Received: {path}: {error!r}. Audit the network again."
        ) from error
    hashes = {"network": ("model_sha256", model_sha256), "manifest": ("manifest_sha256", manifest_sha256)}
    for what, (name, own) in hashes.items():
        if found[name] != own:
            raise SemenetError(
                f"A report shows the audit of its own network and manifest. Received: {path}, of another "
                f"{what}. Audit this network on this manifest, and name that folder."
            )
    return found
