"""`python -m semenet` is the command `semenet`."""

from semenet.cli.main import main

main()
