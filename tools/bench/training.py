"""Times every recipe's training step with the real pipeline feeding it, and beside timm's on PyTorch.

Usage: python tools/bench/training.py [PATTERN] [--manifest CSV] [--size 512] [--width 1.0] [--batch-size 16]
           [--steps 20] [--rounds 3] [--cache none memory] [--out FILE.csv] [--no-timm]

A recipe trains with its own network, optimizer, augmentation and precision. Two kinds of blocks of steps
alternate: steps on batches that the pipeline makes, and steps on one batch that stays in memory. From these:

- images_s: of the steps that the pipeline feeds, the median over the rounds;
- waiting: the share of their wall time that passes in `next(iterator)`, as `fit` spends it between two steps;
- slowdown: how much longer they take than those on the constant batch, as a share. On a CPU the pipeline's
  threads take processors from the step, which waiting does not show and this does.

The first steps of a block, which find the batches ready that were made during the other block, are not timed.
"none" reads and resizes every file in every epoch. With a cache the first epoch, which fills it, passes
through the pipeline alone; what is timed begins with the second. Validation is not timed.

timm takes part where it and torch are installed: the same network, SGD with momentum, batch, size, float32
and as many threads as processors (on a GPU bfloat16 autocast on theirs, the recipe's precision on ours),
steps on a constant batch, alternated; the ratio is the median over the pairs, above 1 where ours is slower.
timm has no SE-DenseNet, no MoEx, no VGG19 with GAP, and no flatten heads of ResNet50 and DenseNet169; its
vgg19 has the same dense layers as ours at --size 224 alone. The parameters of both are printed; ours count
batch normalization's means and variances, and the biases of convolutions before it, which timm leaves out.
"""

import contextlib
import dataclasses
import fnmatch
import importlib.util
import itertools
import multiprocessing
import os
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Literal

import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Entry of the catalogue to the same network in timm, heads and squeeze-and-excitation included.
TIMM = {
    "vgg19": "vgg19",
    "resnet50_gap": "resnet50",
    "se_resnet50": "seresnet50",
    "densenet169_gap": "densenet169",
}


def main(
    pattern: tyro.conf.Positional[str] = "*",
    manifest: pathlib.Path | None = None,
    size: int | None = None,
    width: float = 1.0,
    depth: float = 1.0,
    batch_size: int | None = None,
    steps: int = 20,
    rounds: int = 3,
    cache: tuple[Literal["none", "memory", "disk"], ...] = ("none", "memory"),
    timm: bool = True,
    out: pathlib.Path | None = None,
) -> None:
    """Prints a line a recipe and cache, and one a pair with timm.

    Args:
        pattern: Shell pattern of recipes.
        manifest: CSV of the images to feed, with masks for unet and the recipes of dataset 2. None: 96
            phantoms of the input's size, which are drawn first.
        size: Height and width of the input in pixels; None for the recipe's own.
        width: Scales the networks' channels.
        depth: Scales the networks' layers.
        batch_size: Images a step; None for the recipe's own.
        steps: Timed steps a block.
        rounds: Alternated pairs of blocks.
        cache: Caches to try, a line each.
        timm: Whether to compare with timm, which needs width and depth 1.
        out: CSV to write as well.
    """
    import pandas as pd

    from semenet.training.loop.optimization import quick_start
    from semenet.training.recipe import find_recipe, list_recipes

    changes = {"width": width, "depth": depth}
    changes |= {} if size is None else {"input_size": size}
    changes |= {} if batch_size is None else {"batch_size": batch_size}
    names = fnmatch.filter(list_recipes(), pattern)
    if not names:
        sys.exit(f"PATTERN must fit a recipe. Received: {pattern!r}. There are {', '.join(list_recipes())}.")
    absent = [package for package in ("torch", "timm") if importlib.util.find_spec(package) is None]
    compares = timm and width == depth == 1 and not absent
    if timm and not compares:
        reason = f"{', '.join(absent)} not installed" if absent else "its networks have width and depth 1"
        print(f"timm is left out: {reason}.")
    share_gpu()
    lines = []
    # As a run has it; moving averages and class weights, which cost next to nothing, are left out.
    with quick_start(), tempfile.TemporaryDirectory() as folder:
        for name in names:
            recipe = dataclasses.replace(find_recipe(name), **changes)
            path = manifest or phantoms(pathlib.Path(folder), recipe.input_size)
            for kind in cache:
                print(f"{name}, cache {kind} ...", file=sys.stderr, flush=True)
                kept = pathlib.Path(folder) / f"cache_{name}" if kind == "disk" else None
                lines.append({"recipe": name} | measure_pipeline(recipe, path, kind, kept, steps, rounds))
                print(pd.DataFrame(lines[-1:]).to_string(index=False), flush=True)
            if compares and name in TIMM:
                print(f"{name} and timm's {TIMM[name]} ...", file=sys.stderr, flush=True)
                lines.append({"recipe": name} | compare_with_timm(recipe, TIMM[name], steps * rounds))
                print(pd.DataFrame(lines[-1:]).to_string(index=False), flush=True)
    table = pd.DataFrame(lines)
    print(f"\n{os.cpu_count()} processors, {rounds} rounds of {steps} steps")
    print(table.to_string(index=False))
    if out is not None:
        table.to_csv(out, index=False)


def share_gpu():
    """Keeps TensorFlow from taking the whole GPU's memory, of which PyTorch's process needs a part."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def phantoms(folder, size):
    """Draws 96 phantoms with masks, once a size; returns their manifest."""
    from semenet.data.phantom.dataset import write_phantoms

    # A phantom has 64 pixels or more; the pipeline makes them smaller, as it does with any image.
    size = max(size, 64)
    target = folder / f"phantoms_{size}"
    manifest = target / "manifest.csv"
    return manifest if manifest.exists() else write_phantoms(target, count=96, size=size, seed=0)


def compiled(recipe):
    """The recipe's network as a run compiles it, under its numeric policy."""
    import keras
    import tensorflow as tf

    from semenet.training.loop.fit import build_network
    from semenet.training.loop.optimization import compile_network, precision_policy

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision_policy(recipe.precision))
    try:
        model = build_network(recipe)
        jit_compile = "auto" if tf.config.list_physical_devices("GPU") else False
        compile_network(model, recipe, steps_per_epoch=1000, jit_compile=jit_compile)
    finally:
        keras.config.set_dtype_policy("float32")
    return model


def measure_pipeline(recipe, manifest, cache, cache_folder, steps, rounds):
    """Times steps that the pipeline feeds against steps on a constant batch.

    Args:
        recipe: `Recipe`.
        manifest: CSV; its split `train` is read.
        cache: "none", "memory" or "disk".
        cache_folder: folder of a cache on disk, or None.
        steps: int, timed steps a block.
        rounds: int, pairs of blocks.

    Returns:
        dict of figures, a line of the table.
    """
    import keras

    from semenet.data.manifest.table import read_manifest
    from semenet.data.pipeline.datasets import training_dataset

    rows = read_manifest(manifest, required=("mask",) if recipe.segments else ("label",)).split("train")
    if not recipe.segments:
        # Spread over as many outputs as the recipe has: their number sets the cost, not their names.
        places = {label: at % len(recipe.classes) for at, label in enumerate(sorted(set(rows["label"])))}
        rows["label"] = rows["label"].map(lambda label: recipe.classes[places[label]])
    dataset, steps_an_epoch = training_dataset(
        rows,
        class_names=None if recipe.segments else recipe.classes,
        input_size=(recipe.input_size, recipe.input_size),
        channels=recipe.channels,
        batch_size=recipe.batch_size,
        epochs=10**6,
        seed=0,
        augmentation=recipe.augmentation,
        masks=recipe.segments,
        cache=None if cache == "none" else cache,
        cache_folder=cache_folder,
    )
    batches = iter(dataset)
    constant = next(batches)
    if cache != "none":
        for _ in itertools.repeat(None, steps_an_epoch - 1):
            next(batches)
    model = compiled(recipe)
    model.train_on_batch(*constant)
    # Two are ready and one a processor is being made when a block begins.
    ahead = 2 + os.cpu_count()
    fed, still, waits = [], [], []
    for _ in range(rounds):
        seconds, waited, images = block(model, batches, ahead, steps)
        fed.append(seconds / images)
        waits.append(waited / seconds)
        seconds, _, images = block(model, itertools.repeat(constant), ahead, steps)
        still.append(seconds / images)
    keras.backend.clear_session()
    slowdown = statistics.median(a / b for a, b in zip(fed, still, strict=True)) - 1
    return {
        "beside": f"cache {cache}",
        "size": recipe.input_size,
        "batch": recipe.batch_size,
        "images_s": round(1 / statistics.median(fed), 2),
        "constant_images_s": round(1 / statistics.median(still), 2),
        "waiting": round(statistics.median(waits), 4),
        "slowdown": round(slowdown, 4),
    }


def block(model, batches, ahead, steps):
    """Trains on batches, and times all but the first.

    Args:
        model: compiled `keras.Model`.
        batches: iterator of pairs (images, targets).
        ahead: int, batches that are trained on before the clock starts.
        steps: int, batches that are timed.

    Returns:
        (seconds of the timed steps, seconds of these in `next`, images).
    """
    for _ in range(ahead):
        model.train_on_batch(*next(batches))
    began, waited, images = time.perf_counter(), 0.0, 0
    for _ in range(steps):
        before = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - before
        # Gives the loss as a number, so that a GPU's step has ended, as in a run, which checks each loss.
        model.train_on_batch(*batch)
        images += len(batch[0])
    return time.perf_counter() - began, waited, images


def compare_with_timm(recipe, name, pairs):
    """Alternates steps with the same network of timm on PyTorch, both on a constant batch.

    PyTorch runs in a process of its own, since its LLVM and TensorFlow's may collide in one. It waits while
    ours steps.

    Args:
        recipe: `Recipe`, of which network, size, batch, learning rate and momentum hold for both.
        name: str, timm's name.
        pairs: int, alternated pairs of steps.

    Returns:
        dict of figures, a line of the table.
    """
    import keras
    import numpy as np

    model = compiled(recipe)
    generator = np.random.default_rng(0)
    shape = (recipe.batch_size, recipe.input_size, recipe.input_size, recipe.channels)
    images = generator.integers(0, 256, shape, dtype=np.uint8)
    classes = generator.integers(len(recipe.classes), size=recipe.batch_size)
    one_hot = np.eye(len(recipe.classes), dtype="float32")[classes]
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    peer = context.Process(target=timm_steps, args=(there, name, images, classes, recipe), daemon=True)
    peer.start()
    # With our end of theirs closed, a peer that dies ends the wait for it with an EOFError.
    there.close()
    parameters = here.recv()
    mine, theirs = [], []
    for turn in range(pairs + 2):
        began = time.perf_counter()
        model.train_on_batch(images, one_hot)
        seconds = time.perf_counter() - began
        here.send("step")
        their_seconds = here.recv()
        # The first two trace, allocate and choose algorithms.
        if turn >= 2:
            mine.append(seconds)
            theirs.append(their_seconds)
    here.close()
    peer.join()
    keras.backend.clear_session()
    return {
        "beside": f"timm {name}",
        "size": recipe.input_size,
        "batch": recipe.batch_size,
        "images_s": round(recipe.batch_size / statistics.median(mine), 2),
        "timm_images_s": round(recipe.batch_size / statistics.median(theirs), 2),
        "ratio": round(statistics.median(a / b for a, b in zip(mine, theirs, strict=True)), 3),
        "parameters": model.count_params(),
        "timm_parameters": parameters,
    }


def timm_steps(connection, name, images, classes, recipe):
    """Takes a training step for each message, and answers with its seconds; sends the parameters first.

    Args:
        connection: end of a pipe.
        name: str, timm's name.
        images: uint8 `(N, H, W, C)`.
        classes: int `(N,)`.
        recipe: `Recipe`.
    """
    import timm
    import torch

    torch.set_num_threads(os.cpu_count())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = timm.create_model(name, num_classes=len(recipe.classes), in_chans=recipe.channels)
    model.to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), recipe.learning_rate, momentum=recipe.momentum)
    # PyTorch's layout, scaled and on the device beforehand: ours does both in every step, and pays for it.
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).astype("float32") / 255).to(device)
    y = torch.from_numpy(classes).to(device)
    connection.send(sum(value.numel() for value in model.parameters()))
    with contextlib.suppress(EOFError):
        while connection.recv():
            began = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            # A number, so that a GPU's step has ended.
            loss.item()
            connection.send(time.perf_counter() - began)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
