"""Times training steps with and without oneDNN, which TensorFlow uses by default on some CPUs only.

Usage: python tools/bench/onednn.py [ENTRY ...] [--size 128] [--batch-size 32] [--width 0.5] [--steps 6]
           [--rounds 3]

TensorFlow reads TF_ENABLE_ONEDNN_OPTS once, when it is imported. Each measurement therefore is a process of
its own; those without and with oneDNN take turns. Images per second and per second of processor time, the
median over the rounds, and the ratio of both with its range over the rounds.
"""

import json
import os
import statistics
import subprocess
import sys

import tyro

WORKER = """
import json, sys, time
import numpy as np
import semenet

entry, size, batch_size, width, steps = json.loads(sys.argv[1])
model = semenet.build(entry, input_shape=(size, size, 1), width=width)
model.compile(optimizer="adamw", loss="sparse_categorical_crossentropy")
random = np.random.default_rng(0)
images = random.integers(0, 256, (batch_size, size, size, 1)).astype("uint8")
labels = random.integers(0, 3, batch_size)
for _ in range(2):
    model.train_on_batch(images, labels)
start, used = time.perf_counter(), time.process_time()
for _ in range(steps):
    model.train_on_batch(images, labels)
count = steps * batch_size
print(json.dumps([count / (time.perf_counter() - start), count / (time.process_time() - used)]))
"""


def measure(onednn: bool, *case: str | int | float) -> list[float]:
    """Returns images per second and per second of processor time, measured in a new process."""
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": str(int(onednn)), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-c", WORKER, json.dumps(case)]
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def summary(name: str, without: list[float], with_it: list[float]) -> str:
    """Returns a line of both medians and their ratio, from one value for each round."""
    ratios = [after / before for before, after in zip(without, with_it, strict=True)]
    return (
        f"{name}: {statistics.median(without):.3g} without oneDNN, {statistics.median(with_it):.3g} with it, "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def main(
    entries: tyro.conf.Positional[tuple[str, ...]] = ("seme_resnet50",),
    size: int = 128,
    batch_size: int = 32,
    width: float = 0.5,
    steps: int = 6,
    rounds: int = 3,
) -> None:
    """Measures the networks, one after another."""
    for entry in entries:
        case = (entry, size, batch_size, width, steps)
        print(f"{entry}, {size} pixels, batches of {batch_size}, width {width}", flush=True)
        values = []
        for number in range(rounds):
            values.append([measure(onednn, *case) for onednn in (False, True)])
            print(f"  round {number + 1} of {rounds} measured", file=sys.stderr, flush=True)
        for place, name in enumerate(["images/s", "images per second of processor time"]):
            print("  " + summary(name, *([pair[side][place] for pair in values] for side in (0, 1))))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
