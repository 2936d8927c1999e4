"""Pages of `--help`, suggestions for misspelt words, and completion in a shell."""
