"""Plots, panels and page templates."""
