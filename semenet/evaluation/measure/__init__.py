"""Metrics of a split with their intervals: overall, by subgroup, calibrated, compared."""
