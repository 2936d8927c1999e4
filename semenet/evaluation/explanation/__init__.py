"""Heat maps of files and splits, and checks of them."""
