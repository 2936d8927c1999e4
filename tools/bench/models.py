"""Times every entry against the plain backbone of keras.applications, in one run.

Usage: python tools/bench/models.py [PATTERN] [--size 224] [--batch-size 16] [--pairs 5] [--out FILE.csv]

The steps of the two networks alternate, because machines are noisy; the ratio is the median over the pairs.
The plain network is the backbone of keras.applications with average pooling and a dense classifier, on the
same input. MoEx runs with p=1, so that every step includes an exchange (at the default of 0.5, half of them
do).
"""

import dataclasses
import os
import pathlib
import statistics
import sys
import time

import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@dataclasses.dataclass
class Timings:
    """Timings of one network in seconds."""

    build: float
    first_step: float
    train: list[float] = dataclasses.field(default_factory=list)
    predict: list[float] = dataclasses.field(default_factory=list)


def main(
    pattern: tyro.conf.Positional[str] = "*",
    size: int = 224,
    batch_size: int = 16,
    pairs: int = 5,
    out: pathlib.Path | None = None,
) -> None:
    """Prints one line for each entry.

    Args:
        pattern: Shell pattern of entries.
        size: Height and width in pixels.
        batch_size: Images per step.
        pairs: Number of alternating pairs of steps.
        out: CSV to write.
    """
    import pandas as pd

    from semenet.models.entries import list_models

    rows = []
    for name in list_models(pattern):
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows.append(measure(name, size, batch_size, pairs))
        print(pd.DataFrame(rows[-1:]).to_string(index=False), flush=True)
    table = pd.DataFrame(rows)
    print(f"\n{size} x {size}, batch {batch_size}, median of {pairs} alternating pairs")
    print(table.to_string(index=False))
    if out is not None:
        table.to_csv(out, index=False)


def measure(name, size, batch_size, pairs):
    """Measures an entry and, if there is one, its plain backbone."""
    import keras
    import numpy as np

    import semenet
    from semenet.models.entries import CATALOG
    from semenet.models.weights.sources import APPLICATIONS

    entry = CATALOG[name]
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (batch_size, size, size, 1)).astype("float32")
    classes = len(entry.class_names)
    if entry.segments:
        y = rng.integers(0, 2, (batch_size, size, size, 1)).astype("float32")
    else:
        y = np.eye(classes, dtype="float32")[rng.integers(0, classes, batch_size)]
    arguments = {"moex_p": 1.0} if entry.moment_exchange else {}

    def ours():
        return semenet.build(name, input_shape=(size, size, 1), **arguments)

    def plain():
        application = getattr(keras.applications, APPLICATIONS[entry.backbone])
        base = application(include_top=False, weights=None, input_shape=(size, size, 1), pooling="avg")
        return keras.Model(base.input, keras.layers.Dense(classes, activation="softmax")(base.output))

    makers = [ours] if entry.segments else [ours, plain]
    networks = [start(maker, x, y, entry.segments) for maker in makers]
    for _ in range(pairs):
        for model, timings in networks:
            timings.train.append(seconds(model.train_on_batch, x, y))
    for _ in range(pairs):
        for model, timings in networks:
            timings.predict.append(seconds(model.predict_on_batch, x))
    model, mine = networks[0]
    row = {
        "entry": name,
        "parameters": model.count_params(),
        "build_s": round(mine.build, 2),
        "first_step_s": round(mine.first_step, 1),
        "train_images_s": round(batch_size / statistics.median(mine.train), 2),
        "predict_images_s": round(batch_size / statistics.median(mine.predict), 2),
        "train_ratio": None,
        "predict_ratio": None,
    }
    if not entry.segments:
        theirs = networks[1][1]
        row["train_ratio"] = median_ratio(mine.train, theirs.train)
        row["predict_ratio"] = median_ratio(mine.predict, theirs.predict)
    keras.backend.clear_session()
    return row


def start(make, x, y, segments):
    """Builds and compiles a network and runs its first steps, which trace it."""
    import keras

    began = time.perf_counter()
    model = make()
    timings = Timings(time.perf_counter() - began, 0.0)
    loss = "binary_crossentropy" if segments else "categorical_crossentropy"
    model.compile(keras.optimizers.SGD(1e-4, momentum=0.9), loss, jit_compile=False)
    timings.first_step = seconds(model.train_on_batch, x, y)
    model.predict_on_batch(x)
    return model, timings


def seconds(function, *arguments):
    """Returns the wall-clock seconds of one call."""
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def median_ratio(mine, theirs):
    """Returns the median ratio of the pairs' times. Above 1, ours is slower."""
    return round(statistics.median(a / b for a, b in zip(mine, theirs, strict=True)), 3)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
