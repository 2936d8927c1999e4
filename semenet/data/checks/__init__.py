"""Checks of a data set: unreadable files, duplicates, leaks between splits, shortcuts."""
