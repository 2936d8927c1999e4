"""Opens exported networks in ONNX Runtime, OpenVINO and LiteRT."""

import functools
import os
import pathlib
from collections.abc import Callable

import numpy as np

from semenet.errors import MissingFileError, SemenetError

# Names of the input and the output of every exported network.
INPUT, OUTPUT = "images", "probabilities"


def open_exported(file: pathlib.Path | str, threads: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """Opens a network that `export_format` wrote for ONNX Runtime, OpenVINO or LiteRT.

    Args:
        file: `.onnx`, `.xml` or `.tflite` file.
        threads: threads of the runtime; None for one per processor.

    Returns:
        A function of images, uint8 array `(N, H, W, C)` in [0, 255], to probabilities, float32 array
        `(N, K)` or `(N, H, W, K)`. It computes in float32, or in int8 where the file does.

    Raises:
        ImportError: the runtime is not installed.
        SemenetError: a file of another format, or one that does not exist.

    Example:
        >>> from semenet.serving import open_exported
        >>> open_exported("model.h5")
        Traceback (most recent call last):
        ...
        semenet.errors.SemenetError: An exported network must be one of .onnx, .xml, .tflite. ...
    """
    openers = {".onnx": _open_onnx, ".xml": _open_openvino, ".tflite": _open_litert}
    file = pathlib.Path(file)
    if file.suffix not in openers:
        raise SemenetError(
            f"An exported network must be one of {', '.join(openers)}. "
            f"Received: {file}. Write one with `semenet export --format`."
        )
    if not file.is_file():
        raise MissingFileError(
            f"An exported network must be an existing file. Received: {file}, which does not exist. "
            "Write it with `semenet export --format`."
        )
    return openers[file.suffix](file, threads or os.cpu_count())


def _open_onnx(file: pathlib.Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run([OUTPUT], {INPUT: images})[0]


def _open_openvino(file: pathlib.Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    import openvino

    core = openvino.Core()
    # By default OpenVINO computes in bfloat16 if the processor can, and loses three digits.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    single = core.compile_model(file, "CPU", settings | {"PERFORMANCE_HINT": "LATENCY"})

    @functools.cache
    def streams() -> list["openvino.InferRequest"]:
        hint = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": threads}
        compiled = core.compile_model(file, "CPU", settings | hint)
        return [compiled.create_infer_request() for _ in range(threads)]

    def run(images: np.ndarray) -> np.ndarray:
        if len(images) < 2 or threads == 1:
            return single(images)[OUTPUT]
        # A thread with its own images does not wait for the others at every layer.
        parts = np.array_split(images, min(len(images), threads))
        pairs = list(zip(streams(), parts, strict=False))
        for request, part in pairs:
            request.start_async({INPUT: part})
        for request, _ in pairs:
            request.wait()
        return np.concatenate([request.get_tensor(OUTPUT).data for request, _ in pairs])

    return run


def _open_litert(file: pathlib.Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(file), num_threads=threads).get_signature_runner()
    return lambda images: runner(**{INPUT: images})[OUTPUT]
