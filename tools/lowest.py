"""Prints pip constraints with the lowest version of each dependency that setup.cfg allows.

Usage: python3 tools/lowest.py > constraints.txt
"""

import configparser
import pathlib
import re


def main():
    """Prints one `name==version` per line."""
    config = configparser.ConfigParser()
    config.read(pathlib.Path(__file__).parents[1] / "setup.cfg")
    extras = config["options.extras_require"]
    lines = config["options"]["install_requires"].split() + extras["test"].split() + extras["jax"].split()
    for line in lines:
        name, version = re.fullmatch(r"([\w-]+)>=([\w.]+)", line).groups()
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
