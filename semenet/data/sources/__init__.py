"""Readers of public data sets: each turns a downloaded folder into the rows of a manifest."""
