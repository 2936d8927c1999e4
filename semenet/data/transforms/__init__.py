"""Resizing, contrast and geometric transforms, on the host and inside a TensorFlow graph."""
