"""The commands `semenet data ...`."""
