"""Changes of labels and columns, for all manifests ("pneumonia") or for one ("nih:pneumonia")."""

import difflib
from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from semenet.data.manifest.class_labels import SEPARATOR
from semenet.data.manifest.csv_file import ManifestError, shorten


def scoped(changes: Mapping[str, str], names: Collection[str], name: str) -> dict[str, str]:
    """Returns the changes that apply to one manifest.

    Args:
        changes: maps KEY (all manifests) or NAME:KEY (one manifest) to a value.
        names: the names of all manifests; "x:y" with another x is a key of its own.
        name: the manifest.

    Returns:
        Maps keys without a name to values. NAME:KEY precedes KEY.
    """
    general, own = {}, {}
    for key, value in changes.items():
        scope, bare = split_scope(key, names)
        if scope is None:
            general[bare] = value
        elif scope == name:
            own[bare] = value
    return general | own


def split_scope(key: str, names: Collection[str]) -> tuple[str | None, str]:
    """Splits NAME:KEY into its two parts; the first is None without the name of a manifest."""
    scope, colon, bare = key.partition(":")
    return (scope, bare) if colon and scope in names else (None, key)


def check_keys(option: str, keys: Iterable[str], known: Mapping[str, Collection[str]], what: str) -> None:
    """Checks that every key is known in the manifests that it applies to.

    Args:
        option: the option that the keys were given to, for the message.
        keys: KEY or NAME:KEY.
        known: each manifest's name and its known keys.
        what: what a key is, in the plural, such as "labels".

    Raises:
        ManifestError: a key is unknown; the message suggests the most similar ones.
    """
    everywhere = {key for own in known.values() for key in own}
    for key in keys:
        scope, bare = split_scope(key, known)
        if bare in (everywhere if scope is None else known[scope]):
            continue
        candidates = sorted(everywhere | {f"{name}:{each}" for name, own in known.items() for each in own})
        in_scope = candidates if scope is None else sorted(f"{scope}:{each}" for each in known[scope])
        raise ManifestError(
            f"{option} must name {what} of the manifests. Received: {key!r}. "
            f"{suggest(key, in_scope)}{what.capitalize()} of "
            f"{'; '.join(f'{name}: {shorten(sorted(own))}' for name, own in known.items())}."
        )


def suggest(word: str, candidates: Iterable[str]) -> str:
    """Returns "Did you mean ...? " with the most similar candidate, or "" if none is similar."""
    by_lower_case = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(word.lower(), by_lower_case, n=1, cutoff=0.5)
    return f"Did you mean {by_lower_case[close[0]]!r}? " if close else ""


def map_labels(labels: pd.Series, mapping: Mapping[str, str]) -> pd.Series:
    """Maps labels.

    Args:
        labels: labels of rows. "a|b" means one of the classes a and b.
        mapping: maps a label to the new one, or to "" for rows to drop. If a label with several classes is
            not a key itself, its classes are mapped one by one; it is dropped if one of them is.

    Returns:
        The new labels; "" for rows to drop. Labels that are not in `mapping` stay.
    """
    return labels.map({label: _map_label(label, mapping) for label in labels.unique()}).astype(labels.dtype)


def _map_label(label: str, mapping: Mapping[str, str]) -> str:
    if label in mapping:
        return mapping[label]
    classes = [mapping.get(part, part) for part in label.split(SEPARATOR)]
    if "" in classes:
        return ""
    # Two classes may be mapped to the same one, and one to several.
    return SEPARATOR.join(dict.fromkeys(SEPARATOR.join(classes).split(SEPARATOR)))


def known_labels(labels: pd.Series) -> set[str]:
    """Returns the labels of rows, and the classes of labels such as "a|b"."""
    values = set(labels) - {""}
    return values | {part for label in values for part in label.split(SEPARATOR)}


def check_targets(mapping: Mapping[str, str]) -> None:
    """Checks the new labels of a mapping.

    Raises:
        ManifestError: a new label has an empty, repeated or padded class.
    """
    for key, label in mapping.items():
        classes = label.split(SEPARATOR)
        invalid = len(set(classes)) < len(classes) or any(
            not part or part != part.strip() for part in classes
        )
        if label and invalid:
            raise ManifestError(
                f"A new label must be a class, or different classes separated by {SEPARATOR!r} without "
                f"white space. Received: {label!r} for {key!r}. Write, for example, "
                f"pneumonia=bacteria{SEPARATOR}virus."
            )


def check_classes(labels: pd.Series, classes: Collection[str]) -> None:
    """Checks that every label consists of given classes; an empty label is accepted.

    Raises:
        ManifestError: a label has another class.
    """
    parts = {part: label for label in sorted(set(labels) - {""}) for part in label.split(SEPARATOR)}
    for part in sorted(parts):
        if part not in classes:
            raise ManifestError(
                f"Every label must be one of the classes {', '.join(classes)}, or several of them separated "
                f"by {SEPARATOR!r}. Received: {parts[part]!r} in {int((labels == parts[part]).sum())} rows. "
                f"{suggest(part, classes)}Map it (--map), or drop its rows (--drop)."
            )
