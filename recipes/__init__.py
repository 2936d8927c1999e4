"""The committed recipes, one per file. A wheel installs them as `semenet.recipes`."""
