"""Figures of a trained network, what it looked at, and the report of both."""
