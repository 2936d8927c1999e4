"""Times a training run from the command to its first step.

Usage: python tools/bench/startup.py [RECIPE] [--size 224] [--repeats 3] [--against CHECKOUT]

Starts the recipe's command on phantoms, stops it after its first step, and prints the median number of
seconds from the command to the first step, and of the seconds within `fit`, including tracing. With --against
another checkout of semenet is timed as well, alternating.
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import tyro

ROOT = pathlib.Path(__file__).parents[2]
FIRST_STEP = re.compile(r"first step after ([\d.]+) s")


def main(
    recipe: tyro.conf.Positional[str] = "seme_densenet169",
    size: int = 224,
    batch_size: int = 16,
    repeats: int = 3,
    against: pathlib.Path | None = None,
) -> None:
    """Prints one line for each checkout.

    Args:
        recipe: Name of a recipe of a classifier on dataset 1.
        size: Height and width in pixels.
        batch_size: Images per step.
        repeats: Number of starts of each checkout.
        against: Another checkout, which must also print its first step.
    """
    from semenet.data.phantom.dataset import write_phantoms

    checkouts = [ROOT, *([against.resolve()] if against else [])]
    seconds = {checkout: [] for checkout in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        manifest = write_phantoms(folder / "phantoms", count=96, size=size, seed=0)
        for repeat in range(repeats):
            for number, checkout in enumerate(checkouts):
                options = [f"--input-size={size}", f"--batch-size={batch_size}", f"--manifest={manifest}"]
                out = f"--out={folder / f'run{repeat}_{number}'}"
                command = [sys.executable, str(checkout / "recipes" / f"{recipe}.py"), *options, out]
                seconds[checkout].append(start(command, checkout))
                print(f"{checkout}: {seconds[checkout][-1]}", file=sys.stderr, flush=True)
    for checkout, found in seconds.items():
        whole, fit = (statistics.median(part) for part in zip(*found, strict=True))
        print(f"{checkout}: first step {whole:.1f} s after the command, {fit:.1f} s of which in fit")


def start(command, checkout):
    """Runs a command until its first step is done; returns the total seconds and those within `fit`."""
    began = time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if match := FIRST_STEP.search(line):
                seconds = time.monotonic() - began
                process.kill()
                return round(seconds, 1), float(match[1])
    raise SystemExit(f"{' '.join(command)} ended before its first step:\n{''.join(lines)}")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
