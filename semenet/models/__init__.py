"""The networks: blocks, backbones, heads, and the catalogue that composes them by name."""
