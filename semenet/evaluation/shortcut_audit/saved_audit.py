"""Reads a saved audit for a report on the same network and manifest."""

import pathlib
from typing import Any

from semenet.errors import MissingFileError, SemenetError
from semenet.storage.json_files import TEXTS, JsonError, object_schema, read_json

# What a report shows of an audit.
_SCHEMA = object_schema(
    {
        "verdict": {"type": "string"},
        "words": TEXTS,
        "split": {"type": "string"},
        "count": {"type": "integer", "minimum": 0},
        "patients": {"type": "integer", "minimum": 0},
        "views": {"type": "object"},
        "model_sha256": {"type": "string"},
        "manifest_sha256": {"type": "string"},
    }
    | {key: {} for key in ("rule", "fed", "masks", "fitted_to", "origins")}
)


def read_audit(folder: str | pathlib.Path, model_sha256: str, manifest_sha256: str) -> dict[str, Any]:
    """Reads the result of `audit`.

    Args:
        folder: the folder that the audit was written to.
        model_sha256: the hash of the network in the report.
        manifest_sha256: the hash of the manifest in the report.

    Returns:
        dict, the content of audit.json.

    Raises:
        MissingFileError: audit.json does not exist.
        SemenetError: audit.json is incomplete, or belongs to another network or manifest.
    """
    path = pathlib.Path(folder) / "audit.json"
    try:
        found = read_json(path, _SCHEMA)
    except (OSError, JsonError) as error:
        kind = MissingFileError if isinstance(error, FileNotFoundError) else SemenetError
        raise kind(
            "An audit is a folder with the audit.json that `semenet audit` writes. "
            f"Received: {path}: {error}. Audit the network again."
        ) from error
    hashes = {"network": ("model_sha256", model_sha256), "manifest": ("manifest_sha256", manifest_sha256)}
    for subject, (name, expected) in hashes.items():
        if found[name] != expected:
            raise SemenetError(
                "A report shows the audit of its own network and manifest. "
                f"Received: {path}, of another {subject}. Audit this network on this manifest, and use that "
                "folder."
            )
    return found
