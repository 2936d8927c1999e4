"""Times the training step of every recipe, fed by the real pipeline, and timm's network on PyTorch.

Usage: python tools/bench/training.py [PATTERN] [--manifest CSV] [--size 512] [--width 1.0] [--batch-size 16]
           [--steps 20] [--rounds 3] [--cache none memory] [--precision float32 mixed_bfloat16]
           [--out FILE.csv] [--no-timm] [--torch-compile] [--backbone]

A recipe trains with its own network, optimizer, augmentation and precision. Two kinds of blocks alternate:
steps on batches from the pipeline, and steps on one constant batch in memory. The results:

- images_s: images per second with the pipeline, the median over the rounds;
- waiting: the share of the wall time spent in `next(iterator)`, as in `fit` between two steps;
- slowdown: the relative extra time compared with the constant batch. On a CPU the pipeline's threads compete
  with the step for processors, which `waiting` does not show.

The first steps of a block use batches that were prepared during the other block, so they are not timed.
"none" reads and resizes every file in every epoch. With a cache, the first epoch fills it without training,
and timing begins with the second epoch. Validation is not timed.

timm is included if it and torch are installed (pip install torch timm): the same network, SGD with momentum,
batch size, input size, precision (PyTorch's autocast for mixed precision) and number of threads, alternating
steps on a constant batch, in a process of its own. With --torch-compile, PyTorch's step is also measured as
compiled by torch.compile. The ratio is the median over the pairs; above 1, ours is slower. timm has no
SE-DenseNet, no MoEx, and no flatten heads of ResNet50 and DenseNet169: seme_resnet50 is compared with its
SE-ResNet50. vgg19_gap is compared with the convolutions of its vgg19, pooled. Its vgg19 has the same dense
layers as ours only at --size 224. The parameters of both are printed; ours include the means and variances
of batch normalization and the biases of convolutions before it, which timm does not have.

With --backbone, steps of a network with SE or MoEx alternate with steps of its backbone with GAP. MoEx
exchanges moments in every such step (by default: in half of them), and the ratio is the overhead.
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

# From an entry to the same network in timm, including its head and squeeze-and-excitation.
TIMM = {
    "vgg19": "vgg19",
    "vgg19_gap": "vgg19",
    "resnet50_gap": "resnet50",
    "se_resnet50": "seresnet50",
    "seme_resnet50": "seresnet50",
    "densenet169_gap": "densenet169",
}


def main(
    pattern: tyro.conf.Positional[str] = "*",
    manifest: pathlib.Path | None = None,
    size: int | None = None,
    width: float = 1.0,
    depth: float = 1.0,
    batch_size: int | None = None,
    acquisition: float = 0.0,
    steps: int = 20,
    rounds: int = 3,
    cache: tuple[Literal["none", "memory", "disk"], ...] = ("none", "memory"),
    precision: tuple[Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"], ...] = ("auto",),
    timm: bool = True,
    torch_compile: bool = False,
    backbone: bool = False,
    out: pathlib.Path | None = None,
) -> None:
    """Prints one line for each recipe and cache, and one for each comparison with timm.

    Args:
        pattern: Shell pattern of recipes.
        manifest: CSV of the images, with masks for unet and the recipes of dataset 2. None: 96 phantoms of
            the input size, which are generated first.
        size: Height and width of the input in pixels; None for the recipe's value.
        width: Scales the networks' channels.
        depth: Scales the networks' layers.
        batch_size: Images per step; None for the recipe's value.
        acquisition: Probability of each change of acquisition.
        steps: Timed steps per block.
        rounds: Number of alternating pairs of blocks.
        cache: Kinds of cache, one line for each.
        precision: Numeric policies, each measured by itself.
        timm: Whether to compare with timm, which needs width and depth 1.
        torch_compile: Whether to compare with timm under torch.compile too.
        backbone: Whether to compare networks with SE or MoEx with their backbone.
        out: CSV to write.
    """
    import pandas as pd

    from semenet.training.loop.optimization import quick_start
    from semenet.training.recipe import find_recipe, list_recipes

    changes = {"width": width, "depth": depth, "acquisition": acquisition}
    changes |= {} if size is None else {"input_size": size}
    changes |= {} if batch_size is None else {"batch_size": batch_size}
    names = fnmatch.filter(list_recipes(), pattern)
    if not names:
        sys.exit(
            f"PATTERN must match a recipe. Received: {pattern!r}. The recipes: {', '.join(list_recipes())}."
        )
    missing = [package for package in ("torch", "timm") if importlib.util.find_spec(package) is None]
    compares = timm and width == depth == 1 and not missing
    if timm and not compares:
        reason = "its networks have width and depth 1"
        if missing:
            reason = f"{', '.join(missing)} not installed (pip install {' '.join(missing)})"
        print(f"timm is skipped: {reason}.")
    share_gpu()
    lines = []
    # As in a run, but without moving averages and class weights, whose cost is negligible.
    with quick_start(), tempfile.TemporaryDirectory() as folder:
        for name in names:
            for policy in precision:
                recipe = dataclasses.replace(find_recipe(name), **changes, precision=policy)

                def add(line, name=name, recipe=recipe):
                    lines.append({"recipe": name, "precision": policy_of(recipe)} | line)
                    print(pd.DataFrame(lines[-1:]).to_string(index=False), flush=True)

                if cache:
                    path = manifest or phantoms(pathlib.Path(folder), recipe.input_size)
                for kind in cache:
                    print(f"{name}, cache {kind} ...", file=sys.stderr, flush=True)
                    kept = pathlib.Path(folder) / f"cache_{name}" if kind == "disk" else None
                    add(measure_pipeline(recipe, path, kind, kept, steps, rounds))
                for compiles in (False, True) if torch_compile else (False,):
                    if compares and name in TIMM:
                        print(f"{name} and {TIMM[name]} of timm ...", file=sys.stderr, flush=True)
                        add(compare_with_timm(recipe, TIMM[name], steps * rounds, compiles))
                if backbone and name.startswith(("se_", "moex_", "seme_")) and not name.endswith("_dataset2"):
                    print(f"{name} and its backbone ...", file=sys.stderr, flush=True)
                    add(compare_with_backbone(recipe, steps * rounds))
    table = pd.DataFrame(lines)
    print(f"\n{os.cpu_count()} processors, {rounds} rounds of {steps} steps")
    print(table.to_string(index=False))
    if out is not None:
        table.to_csv(out, index=False)


def share_gpu():
    """Keeps TensorFlow from reserving all GPU memory, because the PyTorch process needs some of it."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def phantoms(folder, size):
    """Generates 96 phantoms with masks, once for each size, and returns their manifest."""
    from semenet.data.phantom.dataset import write_phantoms

    # Phantoms have at least 64 pixels; the pipeline resizes them.
    size = max(size, 64)
    target = folder / f"phantoms_{size}"
    manifest = target / "manifest.csv"
    return manifest if manifest.exists() else write_phantoms(target, count=96, size=size, seed=0)


def compiled(recipe):
    """Returns the recipe's network, compiled as in a run with the recipe's precision."""
    import keras
    import tensorflow as tf

    from semenet.training.loop.fit import build_network
    from semenet.training.loop.optimization import compile_network
    from semenet.training.precision import choose_precision, dtype_policy

    keras.utils.set_random_seed(0)
    with dtype_policy(choose_precision(recipe.precision, recipe.entry).policy):
        model = build_network(recipe)
        jit_compile = "auto" if tf.config.list_physical_devices("GPU") else False
        compile_network(model, recipe, steps_per_epoch=1000, jit_compile=jit_compile)
    return model


def policy_of(recipe):
    """Returns the numeric policy that a recipe trains with on this machine."""
    from semenet.training.precision import choose_precision

    return choose_precision(recipe.precision, recipe.entry).policy


def measure_pipeline(recipe, manifest, cache, cache_folder, steps, rounds):
    """Times steps on batches of the pipeline and steps on a constant batch.

    Args:
        recipe: `Recipe`.
        manifest: CSV; its split `train` is read.
        cache: "none", "memory" or "disk".
        cache_folder: folder of a cache on disk, or None.
        steps: int, timed steps per block.
        rounds: int, pairs of blocks.

    Returns:
        dict of results, one line of the table.
    """
    import keras

    from semenet.data.manifest.table import read_manifest
    from semenet.data.pipeline.datasets import training_dataset

    rows = read_manifest(manifest, required=("mask",) if recipe.segments else ("label",)).split("train")
    if not recipe.segments:
        # Map the labels to the recipe's classes: the cost depends on their number, not on their names.
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
    # When a block begins, two batches are ready and one per processor is in progress.
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
    """Trains on batches and times all but the first ones.

    Args:
        model: compiled `keras.Model`.
        batches: iterator of pairs (images, targets).
        ahead: int, number of batches before timing starts.
        steps: int, number of timed batches.

    Returns:
        (seconds of the timed steps, seconds of those in `next`, number of images).
    """
    for _ in range(ahead):
        model.train_on_batch(*next(batches))
    began, waited, images = time.perf_counter(), 0.0, 0
    for _ in range(steps):
        before = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - before
        # Returns the loss as a number, so a GPU has finished the step, as in a run, which checks each loss.
        model.train_on_batch(*batch)
        images += len(batch[0])
    return time.perf_counter() - began, waited, images


def constant_batch(recipe):
    """Returns random images, uint8 `(N, H, W, C)`, their classes, int `(N,)`, and these one-hot."""
    import numpy as np

    generator = np.random.default_rng(0)
    shape = (recipe.batch_size, recipe.input_size, recipe.input_size, recipe.channels)
    images = generator.integers(0, 256, shape, dtype=np.uint8)
    classes = generator.integers(len(recipe.classes), size=recipe.batch_size)
    return images, classes, np.eye(len(recipe.classes), dtype="float32")[classes]


def compare_with_backbone(recipe, pairs):
    """Times alternating steps of a network with SE or MoEx and of its backbone, on a constant batch.

    Args:
        recipe: `Recipe` of an entry with SE or MoEx.
        pairs: int, alternating pairs of steps.

    Returns:
        dict of results, one line of the table.
    """
    import keras

    from semenet.models import find_entry

    entry = find_entry(recipe.entry)
    plain = dataclasses.replace(
        recipe, entry=f"{entry.backbone}_gap", se_ratio=None, moex_p=None, moex_lam=None
    )
    always = {"moex_p": 1.0} if entry.moment_exchange else {}
    images, _, one_hot = constant_batch(recipe)
    models = [compiled(dataclasses.replace(recipe, **always)), compiled(plain)]
    seconds = [[], []]
    for turn in range(pairs + 2):
        for model, spent in zip(models, seconds, strict=True):
            began = time.perf_counter()
            model.train_on_batch(images, one_hot)
            # The first two steps trace, allocate memory and choose algorithms.
            if turn >= 2:
                spent.append(time.perf_counter() - began)
    keras.backend.clear_session()
    return {
        "beside": plain.entry,
        "size": recipe.input_size,
        "batch": recipe.batch_size,
        "images_s": round(recipe.batch_size / statistics.median(seconds[0]), 2),
        "backbone_images_s": round(recipe.batch_size / statistics.median(seconds[1]), 2),
        "ratio": round(statistics.median(a / b for a, b in zip(*seconds, strict=True)), 3),
    }


def compare_with_timm(recipe, name, pairs, compiles=False):
    """Times alternating steps of our network and the same network of timm on PyTorch, on a constant batch.

    PyTorch runs in a process of its own, because its LLVM and TensorFlow's can conflict. It waits while our
    step runs.

    Args:
        recipe: `Recipe`; its network, size, batch size, learning rate and momentum apply to both.
        name: str, timm's name.
        pairs: int, alternating pairs of steps.
        compiles: whether torch.compile compiles PyTorch's network.

    Returns:
        dict of results, one line of the table.
    """
    import keras

    beside = f"timm {name}" + (", torch.compile" if compiles else "")
    model = compiled(recipe)
    images, classes, one_hot = constant_batch(recipe)
    here, peer = start_timm(name, images, classes, recipe, policy_of(recipe), compiles)
    parameters = here.recv()
    mine, theirs = [], []
    for turn in range(pairs + 2):
        began = time.perf_counter()
        model.train_on_batch(images, one_hot)
        seconds = time.perf_counter() - began
        here.send("step")
        their_seconds = here.recv()
        if isinstance(their_seconds, str):
            print(f"{beside} failed: {their_seconds}", file=sys.stderr)
            return {"beside": beside, "size": recipe.input_size, "batch": recipe.batch_size}
        # The first two steps trace, allocate memory and choose algorithms.
        if turn >= 2:
            mine.append(seconds)
            theirs.append(their_seconds)
    here.close()
    peer.join()
    keras.backend.clear_session()
    return {
        "beside": beside,
        "size": recipe.input_size,
        "batch": recipe.batch_size,
        "images_s": round(recipe.batch_size / statistics.median(mine), 2),
        "timm_images_s": round(recipe.batch_size / statistics.median(theirs), 2),
        "ratio": round(statistics.median(a / b for a, b in zip(mine, theirs, strict=True)), 3),
        "parameters": model.count_params(),
        "timm_parameters": parameters,
    }


def start_timm(name, images, classes, recipe, policy, compiles):
    """Starts `timm_steps` in a process of its own; returns this end of the pipe, and the process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    arguments = (there, name, images, classes, recipe, policy, compiles)
    peer = context.Process(target=timm_steps, args=arguments, daemon=True)
    peer.start()
    # With the peer's end closed here, waiting for a peer that died raises EOFError.
    there.close()
    return here, peer


def timm_network(name, recipe):
    """Returns timm's network; for vgg19_gap with global average pooling in place of its dense layers."""
    import timm
    import torch

    model = timm.create_model(name, num_classes=len(recipe.classes), in_chans=recipe.channels)
    if recipe.entry != "vgg19_gap":
        return model
    pooled = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(512, len(recipe.classes))]
    return torch.nn.Sequential(model.features, *pooled)


def timm_steps(connection, name, images, classes, recipe, policy="float32", compiles=False):
    """Sends the number of parameters, then runs a training step for each message and sends its seconds.

    A step that fails sends the error's text, and ends.

    Args:
        connection: end of a pipe.
        name: str, timm's name.
        images: uint8 `(N, H, W, C)`.
        classes: int `(N,)`.
        recipe: `Recipe`.
        policy: Keras' numeric policy, for PyTorch's autocast.
        compiles: whether torch.compile compiles the network.
    """
    import torch

    torch.set_num_threads(os.cpu_count())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = timm_network(name, recipe)
    model.to(device).train()
    forward = torch.compile(model) if compiles else model
    dtype = torch.float16 if policy == "mixed_float16" else torch.bfloat16
    optimizer = torch.optim.SGD(model.parameters(), recipe.learning_rate, momentum=recipe.momentum)
    # Scaled, in PyTorch's layout and on the device beforehand. Ours does this in every timed step.
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).astype("float32") / 255).to(device)
    y = torch.from_numpy(classes).to(device)
    connection.send(sum(value.numel() for value in model.parameters()))
    with contextlib.suppress(EOFError):
        while connection.recv():
            began = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            try:
                with torch.autocast(device.type, dtype, enabled=policy != "float32"):
                    loss = torch.nn.functional.cross_entropy(forward(x), y)
                loss.backward()
                optimizer.step()
            # torch.compile fails in many ways, for example without a C++ compiler.
            except Exception as error:
                connection.send(f"{type(error).__name__}: {error}".splitlines()[0])
                return
            # Waits until a GPU has finished the step.
            loss.item()
            connection.send(time.perf_counter() - began)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
