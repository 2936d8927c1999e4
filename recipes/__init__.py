"""The committed recipes, one a file; installed as `semenet.recipes`."""
