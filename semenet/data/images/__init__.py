"""Image files of every supported format, read as 8-bit grey images."""
