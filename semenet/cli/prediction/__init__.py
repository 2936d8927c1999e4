"""Commands that score images, and those that write masks."""
