"""Predictions for files on disk."""
