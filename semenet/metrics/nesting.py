"""Nested figures under dotted names."""


def flat(figures):
    """Adds a dotted key for every nested figure, such as `per_class.normal.f1`.

    Args:
        figures: dict, whose values may be dicts.

    Returns:
        dict with the keys of `figures`, unchanged, and the dotted ones after them.
    """
    return figures | {
        f"{name}.{key}": value
        for name, nested in figures.items()
        if isinstance(nested, dict)
        for key, value in flat(nested).items()
        if not isinstance(value, dict)
    }
