"""Manifests: the table of images, its CSV file, its checks and its splits."""
