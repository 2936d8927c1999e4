"""Measures inference times in every runtime that a network can be exported to, and of timm on PyTorch.

Usage: python tools/bench/serving.py [--entries seme_resnet50 seme_densenet169] [--size 512] [--batches 1 16]
           [--rounds 5] [--runtimes openvino onnx ...] [--no-int8] [--no-timm] [--width 1.0] [--depth 1.0]
           [--out FILE.csv]

Each runtime has its own process, because their libraries conflict in one, and as many threads as there are
processors. All processes stay in memory and take turns: in each round each answers one request while the
others wait. The ratio to PyTorch is the median over the rounds, above 1 if the runtime is faster than PyTorch
in that round. Weights are random. Everything but int8 computes in float32, including OpenVINO, whose default
is bfloat16 on some processors. All runtimes take prepared images; decoding and resizing are not measured.

- keras: `predict` of the trained network;
- savedmodel_unfolded, savedmodel: its SavedModel, and that of
  `semenet.models.folded_inference.inference_network`, which `semenet export` writes; prints the number of
  operations of both graphs;
- onnx, openvino, litert: the files of `semenet export --format`, in float32 and in int8, calibrated on noise,
  with which int8 is as fast as with radiographs;
- timm: the same network without MoEx in timm on PyTorch, eager, in inference_mode, in the faster of its two
  memory formats, which is chosen for each batch size before the measurement. timm has no SE-DenseNet:
  seme_densenet169 is compared with densenet169, which computes less. Its scaling is not measured.
"""

import contextlib
import importlib.util
import multiprocessing
import os
import pathlib
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import TYPE_CHECKING, Literal

import tyro

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    import torch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# The most similar network of timm for each entry.
TIMM = {
    "vgg19": "vgg19",
    "resnet50_gap": "resnet50",
    "se_resnet50": "seresnet50",
    "moex_resnet50": "resnet50",
    "seme_resnet50": "seresnet50",
    "densenet169_gap": "densenet169",
    "se_densenet169": "densenet169",
    "moex_densenet169": "densenet169",
    "seme_densenet169": "densenet169",
}
Runtime = Literal["keras", "savedmodel_unfolded", "savedmodel", "onnx", "openvino", "litert"]
RUNTIMES = ("keras", "savedmodel_unfolded", "savedmodel", "onnx", "openvino", "litert")
WARM_UP = 2
Network = Callable[["np.ndarray"], "np.ndarray"]
Worker = tuple[SpawnProcess, Connection]


def main(
    entries: tuple[str, ...] = ("seme_resnet50", "seme_densenet169"),
    size: int = 512,
    batches: tuple[int, ...] = (1, 16),
    rounds: int = 5,
    runtimes: tuple[Runtime, ...] = RUNTIMES,
    int8: bool = True,
    timm: bool = True,
    width: float = 1.0,
    depth: float = 1.0,
    out: pathlib.Path | None = None,
) -> None:
    """Prints a line for each runtime, batch size and entry.

    Args:
        entries: Names in the catalogue.
        size: Height and width in pixels.
        batches: Images per request.
        rounds: Alternating rounds.
        runtimes: Runtimes to measure.
        int8: Measure int8 too.
        timm: Compare with timm, which needs width and depth 1.
        width: Factor of the number of channels.
        depth: Factor of the number of layers.
        out: CSV to write too.
    """
    import pandas as pd

    missing = [package for package in ("torch", "timm") if importlib.util.find_spec(package) is None]
    compares = timm and width == depth == 1 and not missing
    if timm and not compares:
        reason = f"{', '.join(missing)} not installed" if missing else "its networks have width and depth 1"
        print(f"timm is left out: {reason}.", file=sys.stderr)
    lines = []
    context = multiprocessing.get_context("spawn")
    for entry in entries:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{entry}: exporting ...", file=sys.stderr, flush=True)
            for runtime in dict.fromkeys(("keras", *runtimes)):
                arguments = (
                    runtime,
                    entry,
                    pathlib.Path(folder),
                    size,
                    int8,
                    {"width": width, "depth": depth},
                )
                writer = context.Process(target=write_network, args=arguments)
                writer.start()
                writer.join()
                if writer.exitcode:
                    sys.exit(f"{entry} was not exported for {runtime}: see above.")
            written = [path for path in sorted(pathlib.Path(folder).iterdir()) if path.suffix != ".bin"]
            files = {path.stem: path for path in written if path.stem != "keras" or "keras" in runtimes}
            if compares and entry in TIMM:
                files["timm"] = TIMM[entry]
            lines += measure(context, entry, files, size, batches, rounds)
            print(pd.DataFrame(lines).to_string(index=False), flush=True)
    if out is not None:
        pd.DataFrame(lines).to_csv(out, index=False)


def write_network(
    runtime: str, entry: str, folder: pathlib.Path, size: int, int8: bool, architecture: dict[str, float]
) -> None:
    """Writes a network with random weights for a runtime; `keras` first, from which the others are exported.

    Args:
        runtime: name of the runtime.
        entry: name of the entry.
        folder: folder to write to.
        size: height and width in pixels.
        int8: whether to write int8 too.
        architecture: width and depth.
    """
    import keras
    import numpy as np

    import semenet
    from semenet.models.folded_inference import inference_network
    from semenet.serving.exports.converters import FORMATS
    from semenet.training.run_folder.run import Run

    file = folder / "keras.keras"
    if runtime == "keras":
        keras.utils.set_random_seed(0)
        semenet.build(entry, input_shape=(size, size, 1), **architecture).save(file)
        return
    run = Run.open(file)
    network = inference_network(run.model)
    if runtime in FORMATS:
        converter = FORMATS[runtime]
        converter.write(network, run, folder / f"{runtime}{converter.suffix}")
        if int8:
            noise = np.random.default_rng(0).integers(0, 256, (4, size, size, 1), dtype=np.uint8)
            converter.write_int8(network, run, folder / f"{runtime}_int8{converter.suffix}", noise)
    else:
        model = run.model if runtime == "savedmodel_unfolded" else network
        print(f"{entry}, {runtime}: {write_saved_model(model, folder / runtime)} operations", flush=True)


def write_saved_model(model: "keras.Model", folder: pathlib.Path) -> int:
    """Writes a SavedModel that takes prepared images; returns the number of operations of its graph."""
    import keras
    import tensorflow as tf

    spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="images")

    @tf.function(input_signature=[spec])
    def serve(images: "tf.Tensor") -> dict[str, "tf.Tensor"]:
        return {"probabilities": model(tf.cast(images, tf.float32), training=False)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve)
    archive.write_out(folder, verbose=False)
    # Reading a variable is not a computation.
    return sum(
        operation.type != "ReadVariableOp"
        for operation in serve.get_concrete_function().graph.get_operations()
    )


def measure(
    context: SpawnContext,
    entry: str,
    files: dict[str, pathlib.Path | str],
    size: int,
    batches: tuple[int, ...],
    rounds: int,
) -> list[dict]:
    """Measures the runtimes of an entry in turns.

    Args:
        context: context of multiprocessing.
        entry: name of the entry.
        files: dict of a runtime's name to the file that it opens, or to timm's name of the network.
        size: height and width in pixels.
        batches: images per request.
        rounds: alternating rounds.

    Returns:
        The lines of the table.
    """
    workers = {name: start(context, name, file, size) for name, file in files.items()}
    lines = []
    for batch in batches:
        print(f"{entry}, batch {batch} ...", file=sys.stderr, flush=True)
        # The time of one request with few images would be noisy.
        calls = max(1, 8 // batch)
        seconds = {name: [] for name in workers}
        for name in workers:
            ask(workers, name, (batch, WARM_UP))
        for turn in range(rounds):
            # The order changes in each round, so that it favours no runtime.
            names = list(workers)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                seconds[name].append(ask(workers, name, (batch, calls))[0])
        for name in workers:
            ratios = [
                timm_seconds / own_seconds
                for timm_seconds, own_seconds in zip(seconds.get("timm", []), seconds[name], strict=False)
            ]
            lines.append(
                {
                    "entry": entry,
                    "batch": batch,
                    "runtime": name,
                    "milliseconds": round(1000 * statistics.median(seconds[name]), 1),
                    "images_s": round(batch / statistics.median(seconds[name]), 2),
                    "over_timm": round(statistics.median(ratios), 3) if ratios else None,
                    "peak_mebibytes": ask(workers, name, (batch, 0))[1],
                }
            )
    for process, connection in workers.values():
        connection.close()
        process.join()
    return lines


def start(context: SpawnContext, name: str, file: pathlib.Path | str, size: int) -> Worker:
    """Starts a process that answers requests; returns it and this side's end of the pipe to it."""
    here, there = context.Pipe()
    process = context.Process(target=answer, args=(there, name, file, size), daemon=True)
    process.start()
    # With the other end closed here, waiting for a process that dies ends with an EOFError.
    there.close()
    return process, here


def ask(workers: dict[str, Worker], name: str, request: tuple[int, int]) -> tuple[float, int]:
    """Returns a worker's answer to a request, see `answer`."""
    process, connection = workers[name]
    try:
        connection.send(request)
        return connection.recv()
    except (EOFError, BrokenPipeError):
        process.join()
        sys.exit(f"The process of {name} ended with exit status {process.exitcode}: see above.")


def answer(connection: Connection, name: str, file: pathlib.Path | str, size: int) -> None:
    """Answers requests (images, calls) with (seconds per call, peak memory of this process in MiB).

    Args:
        connection: end of a pipe.
        name: name of the runtime.
        file: the file that it opens, or timm's name of the network.
        size: height and width of the images.
    """
    import numpy as np

    generator = np.random.default_rng(0)
    run = OPENERS.get(name, open_exported_file)(file)
    batches = {}
    with contextlib.suppress(EOFError):
        while True:
            batch, calls = connection.recv()
            if batch not in batches:
                batches[batch] = generator.integers(0, 256, (batch, size, size, 1), dtype=np.uint8)
            start = time.perf_counter()
            for _ in range(calls):
                run(batches[batch])
            seconds = (time.perf_counter() - start) / max(calls, 1)
            connection.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


def open_exported_file(file: pathlib.Path) -> Network:
    """Opens an exported file as a function of images."""
    from semenet.serving.exports.runtimes import open_exported

    return open_exported(file)


def open_keras(file: pathlib.Path) -> Network:
    """Opens Keras' predict as a function of images."""
    import semenet

    model = semenet.load_model(file)
    return lambda images: model.predict(images, batch_size=len(images), verbose=0)


def open_saved_model(folder: pathlib.Path) -> Network:
    """Opens a SavedModel as a function of images."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    # The signature works only as long as its model exists.
    return lambda images: loaded.signatures["serving_default"](images=tf.constant(images))[
        "probabilities"
    ].numpy()


def open_timm(name: str) -> Network:
    """Opens timm's network as a function of images, in the faster memory format for each batch size."""
    import timm
    import torch

    torch.set_num_threads(os.cpu_count())
    model = timm.create_model(name, num_classes=3, in_chans=1).eval()
    prepared = {}

    def seconds_of(memory_format: "torch.memory_format", x: "torch.Tensor") -> float:
        model.to(memory_format=memory_format)
        x = x.contiguous(memory_format=memory_format)
        model(x)
        start = time.perf_counter()
        model(x)
        return time.perf_counter() - start

    def run(images: "np.ndarray") -> "np.ndarray":
        with torch.inference_mode():
            if len(images) not in prepared:
                x = torch.from_numpy(images.transpose(0, 3, 1, 2).astype("float32") / 255)
                formats = (torch.contiguous_format, torch.channels_last)
                seconds = [seconds_of(each, x) for each in formats * 3]
                best = min(range(6), key=seconds.__getitem__) % 2
                model.to(memory_format=formats[best])
                prepared[len(images)] = x.contiguous(memory_format=formats[best])
                print(f"timm {name}, batch {len(images)}: {formats[best]}", file=sys.stderr, flush=True)
            return model(prepared[len(images)]).softmax(dim=1).numpy()

    return run


OPENERS = {
    "keras": open_keras,
    "savedmodel": open_saved_model,
    "savedmodel_unfolded": open_saved_model,
    "timm": open_timm,
}


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
