"""Profiles a training step by kind of operation, with Keras' batch normalisation and with ours.

Usage: python tools/bench/step_profile.py [RECIPE ...] [--size 224] [--batch-size 8] [--precision float32]
           [--steps 5] [--rounds 3] [--width 1.0] [--out FILE.csv]

For each recipe two networks with the same weights take turns on one constant batch: `before` with
`keras.layers.BatchNormalization`, `after` with `semenet.models.layers.BatchNormalization`. Timing and
profiling alternate, because profiling itself takes time. The results:

- images per second of both networks, the median over the rounds, and their ratio with its range over the
  rounds; and the same per second of processor time of this process, which other programs on the machine
  disturb less;
- for each kind of operation, the milliseconds per step that TensorFlow's operations of this kind take, from
  TensorFlow's profiler. Operations that run at the same time are all counted.
"""

import collections
import contextlib
import dataclasses
import os
import pathlib
import sys
import tempfile
import time
from typing import Literal

import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# From a kind of operation to parts of the names of TensorFlow's operations; the first that fits counts. On a
# CPU with oneDNN their names begin with _Mkl.
KINDS = {
    "convolution": ("Conv2D", "DepthwiseConv"),
    "batch normalisation, fused": ("BatchNorm",),
    "dense layers and biases": ("MatMul", "BiasAddGrad", "BiasAdd"),
    "pooling": ("MaxPool", "AvgPool"),
    "optimizer": ("Resource", "AssignVariable", "AssignSub", "AssignAdd"),
    "sums and means": ("Sum", "Mean", "SquaredDifference"),
    "precision casts": ("Cast",),
    "concatenation and padding": ("Concat", "Slice", "Pad", "Split", "Tile", "Transpose", "Pack"),
    "activation": ("Relu", "Sigmoid", "Softmax"),
    "elementwise arithmetic": (
        "Add",
        "Mul",
        "Sub",
        "Rsqrt",
        "Sqrt",
        "Div",
        "Neg",
        "Square",
        "Select",
        "Greater",
    ),
}


def main(
    recipes: tyro.conf.Positional[tuple[str, ...]] = ("seme_densenet169", "seme_resnet50"),
    size: int = 224,
    batch_size: int = 8,
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32",
    steps: int = 5,
    rounds: int = 3,
    width: float = 1.0,
    depth: float = 1.0,
    out: pathlib.Path | None = None,
) -> None:
    """Prints one table for each recipe.

    Args:
        recipes: Names of recipes.
        size: Height and width of the input in pixels.
        batch_size: Images per step.
        precision: Numeric policy of both networks.
        steps: Steps of each network per round, timed and then profiled.
        rounds: Number of rounds.
        width: Scales the networks' channels.
        depth: Scales the networks' layers.
        out: CSV to write, one line for each recipe and kind.
    """
    import keras
    import numpy as np
    import pandas as pd

    from semenet.training.loop.optimization import quick_start
    from semenet.training.recipe import find_recipe

    tables = []
    with quick_start():
        for name in recipes:
            recipe = dataclasses.replace(
                find_recipe(name),
                input_size=size,
                batch_size=batch_size,
                precision=precision,
                width=width,
                depth=depth,
            )
            speed, table = compare(recipe, steps, rounds)
            print(f"\n{name}, {size} pixels, batch {batch_size}, {precision}, {rounds} rounds of {steps}:")
            for at, clock in enumerate(("second", "processor second")):
                before, after = (np.array(speed[kind])[:, at] for kind in ("before", "after"))
                ratios = after / before
                print(
                    f"{np.median(before):.2f} images per {clock} before, {np.median(after):.2f} after, ratio "
                    f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                )
            print(table.to_string(index=False, float_format="{:.1f}".format), flush=True)
            tables.append(table.assign(recipe=name, size=size, batch=batch_size, precision=precision))
            keras.backend.clear_session()
    if out is not None:
        pd.concat(tables).to_csv(out, index=False)


@contextlib.contextmanager
def keras_normalisation():
    """Builds networks with Keras' own batch normalisation as long as the block lasts."""
    import keras

    from semenet.models.layers import convolutions

    ours = convolutions.BatchNormalization
    convolutions.BatchNormalization = keras.layers.BatchNormalization
    try:
        yield
    finally:
        convolutions.BatchNormalization = ours


def compare(recipe, steps, rounds):
    """Times and profiles alternating steps of the two networks.

    Args:
        recipe: `Recipe`, with its size, batch size and precision.
        steps: int, steps per round.
        rounds: int.

    Returns:
        (dict from "before" and "after" to images per second and per processor second of each round; DataFrame
        of milliseconds per step by kind).
    """
    import numpy as np
    import pandas as pd
    from training import compiled

    generator = np.random.default_rng(0)
    shape = (recipe.batch_size, recipe.input_size, recipe.input_size, recipe.channels)
    images = generator.integers(0, 256, shape, dtype=np.uint8)
    one_hot = np.eye(len(recipe.classes), dtype="float32")[
        generator.integers(len(recipe.classes), size=shape[0])
    ]
    with keras_normalisation():
        models = {"before": compiled(recipe)}
    models["after"] = compiled(recipe)
    for model in models.values():
        model.train_on_batch(images, one_hot)
    speed = {name: [] for name in models}
    spent = {name: collections.Counter() for name in models}
    for turn in range(rounds):
        print(f"{recipe.entry}: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
        for name, model in models.items():
            began = time.perf_counter(), time.process_time()
            for _ in range(steps):
                model.train_on_batch(images, one_hot)
            spent_s = time.perf_counter() - began[0], time.process_time() - began[1]
            speed[name].append([steps * recipe.batch_size / seconds for seconds in spent_s])
        for name, model in models.items():
            with tempfile.TemporaryDirectory() as folder:
                with profiled(folder):
                    for _ in range(steps):
                        model.train_on_batch(images, one_hot)
                spent[name] += operations(folder)
    table = pd.DataFrame({name: by_kind(counter, steps * rounds) for name, counter in spent.items()})
    table = table.fillna(0).sort_values("before", ascending=False)
    table.loc["all"] = table.sum()
    return speed, table.rename_axis("milliseconds per step").reset_index()


@contextlib.contextmanager
def profiled(folder):
    """Writes TensorFlow's profile of the block into a folder."""
    import tensorflow as tf

    tf.profiler.experimental.start(str(folder))
    try:
        yield
    finally:
        tf.profiler.experimental.stop()


def operations(folder):
    """Reads a profile.

    Args:
        folder: folder of `profiled`.

    Returns:
        Counter from TensorFlow's type of operation to picoseconds.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    found = collections.Counter()
    for path in pathlib.Path(folder).rglob("*.xplane.pb"):
        space = xplane_pb2.XSpace()
        space.ParseFromString(path.read_bytes())
        for plane in space.planes:
            if plane.name != "/host:CPU":
                continue
            names = {key: metadata.name for key, metadata in plane.event_metadata.items()}
            for line in plane.lines:
                for event in line.events:
                    # An operation's event is called "<name in the graph>:<type>".
                    name, _, kind = names[event.metadata_id].rpartition(":")
                    if name and not name.endswith(":") and kind.replace("_", "").isalnum():
                        found[kind] += event.duration_ps
    return found


def by_kind(spent, steps):
    """Adds up operations of one kind.

    Args:
        spent: Counter from type of operation to picoseconds.
        steps: int, number of profiled steps.

    Returns:
        dict from a kind in `KINDS`, or "other", to milliseconds per step.
    """
    sums = collections.Counter()
    for operation, picoseconds in spent.items():
        kind = next(
            (kind for kind, parts in KINDS.items() if any(part in operation for part in parts)), "other"
        )
        sums[kind] += picoseconds
    return {kind: value / 1e9 / steps for kind, value in sums.items()}


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
