"""The columns of a table that hold embeddings: e0, e1 and so on. It loads no TensorFlow."""

import re

_NAME = re.compile(r"e\d+")


def embedding_columns(count: int) -> list[str]:
    """Returns the names of the columns of embeddings with this number of features."""
    return [f"e{number}" for number in range(count)]


def is_embedding_column(name: str) -> bool:
    """Returns whether a column of a table holds a feature of the embeddings."""
    return _NAME.fullmatch(name) is not None
