"""Nested metrics under dotted keys."""

from typing import Any


def add_dotted_keys(metrics: dict[str, Any]) -> dict[str, Any]:
    """Adds a dotted key for every nested metric, such as `per_class.normal.f1`.

    Args:
        metrics: dict, whose values may be dicts.

    Returns:
        dict with the keys of `metrics`, unchanged, followed by the dotted keys.

    Example:
        >>> semenet.metrics.add_dotted_keys({"accuracy": 0.9, "per_class": {"normal": {"f1": 0.8}}})
        {'accuracy': 0.9, 'per_class': {'normal': {'f1': 0.8}}, 'per_class.normal.f1': 0.8}
    """
    return metrics | {
        f"{name}.{key}": value
        for name, nested in metrics.items()
        if isinstance(nested, dict)
        for key, value in add_dotted_keys(nested).items()
        if not isinstance(value, dict)
    }
