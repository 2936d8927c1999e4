"""Files that are written whole or not at all, their names and their hashes."""
