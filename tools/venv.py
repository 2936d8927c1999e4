"""Creates a virtual environment, also on a Debian without the package `python3-venv`.

Usage: python3 tools/venv.py FOLDER

Debian's python3 cannot create one before `python3-venv` is installed, so this script installs it if it has
the permission. It runs before anything is installed and uses only the standard library.
"""

import importlib.util
import os
import shutil
import subprocess
import sys

MINIMUM = (3, 11)


def main():
    """Checks Python's version, installs `python3-venv` if it is missing, and creates the environment."""
    folder = sys.argv[1]
    if sys.version_info < MINIMUM:
        sys.exit(
            f"semenet needs Python {'.'.join(map(str, MINIMUM))} or later. Received: {sys.executable}, "
            f"Python {sys.version.split()[0]}. Use another one: make PYTHON=python3.12 demo"
        )
    if importlib.util.find_spec("ensurepip") is None:
        install_venv_package()
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)


def install_venv_package():
    """Installs Debian's `python3-venv`, as root or with sudo."""
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    if shutil.which("apt-get") is None or (prefix and shutil.which("sudo") is None):
        sys.exit(
            f"A virtual environment needs the module ensurepip. Received: {sys.executable} without it. "
            "Install it as root: apt-get install python3-venv"
        )
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    print(f"Installing {package} with apt-get", flush=True)
    subprocess.run([*prefix, "apt-get", "update", "-qq"], check=True)
    subprocess.run([*prefix, "apt-get", "install", "-y", "-qq", package], check=True)


if __name__ == "__main__":
    main()
