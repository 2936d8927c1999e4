"""The two-stage cascade and its decision rule."""
