"""The sub-command `semenet data combine`."""

import pathlib
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro

from semenet.errors import SemenetError
from semenet.training.recipe import Names

Sources = Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NAME=]CSV"), tyro.conf.Positional]
# Accepted as `--map a=b c=d` and as `--map a=b --map c=d`.
Changes = Annotated[
    tuple[tuple[str, ...], ...], tyro.conf.arg(metavar="[NAME:]KEY=VALUE"), tyro.conf.UseAppendAction
]
Labels = Annotated[
    tuple[tuple[str, ...], ...], tyro.conf.arg(metavar="[NAME:]LABEL"), tyro.conf.UseAppendAction
]


def data_combine(
    manifests: Sources,
    out: pathlib.Path,
    map: Changes = (),
    drop: Labels = (),
    rename: Changes = (),
    add: Changes = (),
    classes: Names = (),
    patients: Literal["shared", "separate"] | None = None,
    allow_patient_overlap: bool = False,
) -> None:
    """Combines several manifests into one, and prints its images by label, source and split.

    The name of a manifest is NAME, or that of its file, or that of its folder if the file is manifest.csv.
    With it, an option applies to that manifest alone: --map nih:pneumonia=virus.

    Args:
        manifests: CSVs with the columns file, patient and split. NAME= names a manifest.
        out: CSV to write; its paths are relative to its own folder.
        map: Labels to change, OLD=NEW. "bacteria|virus" means one of these; an empty NEW drops the rows.
        drop: Labels whose rows are left out.
        rename: Columns to rename, OLD=NEW.
        add: Columns to add, COLUMN=VALUE.
        classes: Classes that labels must consist of afterwards, comma-separated. None: any.
        patients: If identifiers are in several sources: the same people (shared), or not (separate), which
            puts the source in front of them.
        allow_patient_overlap: Accept patients in two of train, val and test, to draw new splits afterwards.
    """
    from semenet.data.sources.combining.combine import combine_manifests, count_labels, manifest_name

    paths = {}
    for text in manifests:
        name, equals, path = text.partition("=")
        if not equals or pathlib.Path(text).exists():
            name, path = manifest_name(text), text
        if name in paths:
            raise SemenetError(
                f"Each manifest must have its own name. Received: {name!r} for {paths[name]} and {path}. "
                f"Pass another name: NAME={path}."
            )
        paths[name] = path
    combined = combine_manifests(
        paths,
        out,
        labels=parse_changes("--map", map),
        drop=[label for labels in drop for label in labels],
        rename=parse_changes("--rename", rename),
        add=parse_changes("--add", add),
        classes=classes,
        patients=patients,
        allow_patient_overlap=allow_patient_overlap,
    )
    print(count_labels(combined.rows).to_string(), file=sys.stderr)
    print(f"semenet: resized or recompressed copies: run `semenet data check {out}`.", file=sys.stderr)
    print(out)


def parse_changes(option: str, groups: Sequence[Sequence[str]]) -> dict[str, str]:
    """Parses KEY=VALUE.

    Args:
        option: the option, for the message.
        groups: the texts of each occurrence of the option.

    Returns:
        Maps keys to values, which may be empty.

    Raises:
        SemenetError: a text has another form, or a key is repeated.
    """
    changes: dict[str, str] = {}
    for text in (text for group in groups for text in group):
        key, equals, value = text.partition("=")
        if not key or not equals or key in changes:
            raise SemenetError(
                f"{option} must be written as KEY=VALUE or NAME:KEY=VALUE, with each key once. "
                f"Received: {text!r}. Write, for example, {option} old=new."
            )
        changes[key] = value
    return changes


COMBINE_COMMANDS = {"combine": data_combine}
