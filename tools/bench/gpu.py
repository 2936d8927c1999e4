"""Times training steps of every recipe on a GPU, with and without XLA, beside timm with torch.compile.

Usage: python tools/bench/gpu.py [PATTERN] [--size 512] [--batch-size 16] [--steps 20] [--out gpu.md]

Every measurement runs in a process of its own, so that each has the whole GPU memory. TensorFlow computes
where it finds a GPU; else JAX, if that finds one; else TensorFlow on the CPU, which is for a rehearsal. JAX
always compiles with XLA. Recipes of dataset 2 have the networks of dataset 1 and are left out. A constant
batch is used, so that images are neither read nor changed. PyTorch computes under autocast and
torch.compile; --no-timm leaves it out. It needs `pip install torch timm`.

Prints, and writes with --out, a Markdown table of images/s: the median of the steps after two that trace,
allocate memory and choose algorithms. A measurement that fails has its error below the table.
"""

import dataclasses
import fnmatch
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Literal

import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

WARM_UP = 2
COLUMNS = {"plain": "without XLA", "xla": "with XLA", "timm": "timm", "compiled": "timm, torch.compile"}


def main(
    pattern: tyro.conf.Positional[str] = "*",
    size: int = 512,
    batch_size: int = 16,
    precision: Literal["mixed_bfloat16", "mixed_float16", "float32"] = "mixed_bfloat16",
    steps: int = 20,
    width: float = 1.0,
    depth: float = 1.0,
    timm: bool = True,
    measure: str | None = None,
    out: pathlib.Path | None = None,
) -> None:
    """Prints the table.

    Args:
        pattern: Shell pattern of recipes.
        size: Height and width of the input in pixels; a flatten head keeps its recipe's size.
        batch_size: Images per step.
        precision: Numeric policy, and PyTorch's autocast.
        steps: Timed steps.
        width: Scales the networks' channels; with another value than 1 timm is left out.
        depth: Scales the networks' layers; as width.
        timm: Whether to measure timm where it has the network.
        measure: Used by the tool itself, for one measurement in a process of its own.
        out: Markdown file to write.
    """
    from training import TIMM

    from semenet.models import find_entry
    from semenet.training.recipe import find_recipe, list_recipes

    names = [name for name in fnmatch.filter(list_recipes(), pattern) if not name.endswith("_dataset2")]
    if not names:
        sys.exit(f"PATTERN must match a recipe. Received: {pattern!r}. One of: {', '.join(list_recipes())}.")
    recipes = {}
    for name in names:
        recipe = find_recipe(name)
        own = recipe.input_size if find_entry(recipe.entry).head == "flatten" else size
        recipes[name] = dataclasses.replace(
            recipe, input_size=own, batch_size=batch_size, precision=precision, width=width, depth=depth
        )
    if measure is not None:
        print(json.dumps(measured(recipes[names[0]], measure, steps)))
        return
    backend, device = available()
    print(f"{device}, {backend}", file=sys.stderr)
    missing = [package for package in ("torch", "timm") if importlib.util.find_spec(package) is None]
    if timm and missing:
        print(
            f"timm is left out: {', '.join(missing)} not installed (pip install torch timm).", file=sys.stderr
        )
    kinds = ["xla"] if backend == "jax" else ["plain", "xla"]
    if timm and not missing and width == depth == 1:
        kinds += ["timm", "compiled"]
    rows, errors = [], []
    for name, recipe in recipes.items():
        row = {"recipe": name, "size": recipe.input_size}
        for kind in kinds:
            if kind in ("timm", "compiled") and recipe.entry not in TIMM:
                row[kind] = None
                continue
            print(f"{name}: {COLUMNS[kind]} ...", file=sys.stderr, flush=True)
            row[kind], error = in_process(name, kind, backend, recipe, steps)
            errors += [f"{name}, {COLUMNS[kind]}: {error}"] if error else []
        rows.append(row)
    text = page(rows, kinds, errors, f"{device}, {backend}, {precision}, batches of {batch_size}")
    print(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")


def available():
    """Returns the Keras backend that finds a GPU, and the GPU's name; TensorFlow and "CPU" without one."""
    tensorflow = (
        "import tensorflow as tf; gpus = tf.config.list_physical_devices('GPU');"
        "print(tf.config.experimental.get_device_details(gpus[0]).get('device_name', 'GPU') if gpus else '')"
    )
    jax = "import jax; print(next((d.device_kind for d in jax.devices() if d.platform == 'gpu'), ''))"
    for backend, program in (("tensorflow", tensorflow), ("jax", jax)):
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        if result.returncode == 0 and result.stdout.strip():
            return backend, result.stdout.strip()
    return "tensorflow", f"CPU, {os.cpu_count()} cores, a rehearsal"


def in_process(name, kind, backend, recipe, steps):
    """Measures in a new process.

    Args:
        name: name of the recipe.
        kind: key of `COLUMNS`.
        backend: Keras backend.
        recipe: `Recipe` with the changed values.
        steps: int.

    Returns:
        (images/s or None, the last line of the error or None).
    """
    options = [f"--size={recipe.input_size}", f"--batch-size={recipe.batch_size}", f"--steps={steps}"]
    options += [f"--precision={recipe.precision}", f"--width={recipe.width}", f"--depth={recipe.depth}"]
    command = [sys.executable, __file__, name, *options, f"--measure={kind}"]
    environment = os.environ | {"KERAS_BACKEND": backend}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        # The last line of words: a box may be drawn around an error.
        lines = [line.strip("│ ") for line in result.stderr.splitlines() if any(map(str.isalpha, line))]
        return None, lines[-1] if lines else f"exit status {result.returncode}"
    return json.loads(result.stdout.splitlines()[-1]), None


def measured(recipe, kind, steps):
    """Returns the images/s of a kind of step, a key of `COLUMNS`."""
    from training import constant_batch

    images, classes, one_hot = constant_batch(recipe)
    if kind in ("timm", "compiled"):
        seconds = timm_seconds(recipe, images, classes, kind == "compiled", steps)
    else:
        seconds = our_seconds(recipe, images, one_hot, kind == "xla", steps)
    return round(recipe.batch_size / statistics.median(seconds), 2)


def our_seconds(recipe, images, one_hot, jit_compile, steps):
    """Returns the seconds of each step of our network after the warm-up."""
    import keras
    import numpy as np

    from semenet.training.loop.fit import build_network
    from semenet.training.loop.optimization import compile_network
    from semenet.training.precision import dtype_policy

    keras.utils.set_random_seed(0)
    with dtype_policy(recipe.precision):
        model = build_network(recipe)
        compile_network(model, recipe, steps_per_epoch=1000, jit_compile=jit_compile)
    targets = one_hot
    if recipe.segments:
        targets = np.zeros((*images.shape[:3], 1), "float32")
    seconds = []
    for _ in range(WARM_UP + steps):
        began = time.perf_counter()
        # Returns the loss as a number, so the GPU has finished the step.
        model.train_on_batch(images, targets)
        seconds.append(time.perf_counter() - began)
    return seconds[WARM_UP:]


def timm_seconds(recipe, images, classes, compiles, steps):
    """Returns the seconds of each step of timm's network after the warm-up."""
    from training import TIMM, start_timm

    connection, _ = start_timm(TIMM[recipe.entry], images, classes, recipe, recipe.precision, compiles)
    connection.recv()
    seconds = []
    for _ in range(WARM_UP + steps):
        connection.send("step")
        answer = connection.recv()
        if isinstance(answer, str):
            sys.exit(answer)
        seconds.append(answer)
    connection.close()
    return seconds[WARM_UP:]


def page(rows, kinds, errors, heading):
    """Returns the Markdown table of images/s, with the errors below it.

    Args:
        rows: list of dict with `recipe`, `size` and images/s or None by kind.
        kinds: keys of `COLUMNS` that were measured.
        errors: list of str.
        heading: str, the machine and the settings.
    """
    lines = [["recipe", "pixels", *(COLUMNS[kind] for kind in kinds)]]
    lines.append(["---"] * len(lines[0]))
    for row in rows:
        values = ["-" if row[kind] is None else f"{row[kind]:.1f}" for kind in kinds]
        lines.append([f"`{row['recipe']}`", str(row["size"]), *values])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{heading}, training, images/s:\n\n{table}" + "".join(f"\n- {error}" for error in errors) + "\n"


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
