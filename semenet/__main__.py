"""`python -m semenet` is the command `semenet`."""

from semenet.cli import main

main()
