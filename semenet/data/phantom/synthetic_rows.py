"""Counts phantoms in a manifest, so that a result on them is never taken for one on patients."""

import pandas as pd

# In the column source of a manifest of phantoms.
SOURCE = "synthetic phantom"


def count_phantoms(rows: pd.DataFrame) -> int:
    """Returns the number of rows that are phantoms, according to the column source.

    Example:
        >>> from semenet.data.phantom import count_phantoms
        >>> count_phantoms(semenet.read_manifest("manifest.csv").rows)
        45
    """
    return int((rows["source"] == SOURCE).sum()) if "source" in rows else 0


def synthetic_sentence(phantoms: int, count: int) -> str | None:
    """Returns what the results on a number of images, some of them phantoms, show; None without phantoms.

    Example:
        >>> from semenet.data.phantom import synthetic_sentence
        >>> synthetic_sentence(2, 10)
        '2 of the 10 images are synthetic: results on them show that the software works, and say nothing ...'
    """
    if not phantoms:
        return None
    which = f"All {count} images are" if phantoms == count else f"{phantoms} of the {count} images are"
    return f"{which} synthetic: results on them show that the software works, and say nothing about patients."
