"""The sub-command of `semenet data` that makes columns of several labels from a column of findings."""

import pathlib

from semenet.cli.manifest import ManifestPath, move_paths
from semenet.training.recipe import Names

_WORDS = {"1": "with it", "0": "without", "": "not known"}


def data_findings(
    manifest: ManifestPath,
    out: pathlib.Path,
    column: str = "finding",
    findings: Names = (),
    none: str = "No Finding",
    separator: str = "|",
    root: pathlib.Path | None = None,
) -> None:
    """Adds a column label:NAME (1, 0 or empty) for each finding that a column lists, such as Edema|Effusion.

    Args:
        manifest: CSV with the columns file, patient and split, and a column of findings.
        out: CSV to write; its paths are relative to its own folder.
        column: The column that lists the findings; an empty cell means that nothing is known.
        findings: The findings to make columns for, comma-separated. None: all that occur.
        none: The word for an image without any finding.
        separator: What stands between two findings.
        root: Folder that the manifest's paths start from. None: the manifest's own folder.
    """
    from semenet.data.manifest.csv_file import ManifestError
    from semenet.data.manifest.several_labels import label_columns, split_findings
    from semenet.data.manifest.table import read_manifest, write_manifest
    from semenet.storage.atomic import output_file

    out = output_file(out)
    rows = read_manifest(manifest, root, required=()).rows
    if column not in rows or label_columns(rows):
        raise ManifestError(
            "Findings are read from a column of a manifest that has no columns label:NAME yet. Received: "
            f"{manifest} with {', '.join(rows.columns)}. Pass --column, or remove these columns."
        )
    added = split_findings(rows[column], findings, none=none, separator=separator)
    rows = rows.join(added)
    move_paths(rows, manifest, root, out)
    write_manifest(rows, out)
    for name, values in added.items():
        counts = [f"{(values == value).sum()} {words}" for value, words in _WORDS.items()]
        print(f"{name}: {', '.join(counts)}")
    print(out)


FINDINGS_COMMANDS = {"findings": data_findings}
