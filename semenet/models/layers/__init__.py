"""Layers and blocks that the networks are built of."""
