"""Predictions: from files, and from an exported SavedModel."""
