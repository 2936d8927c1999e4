"""Opens exported networks in the runtimes they are for."""

import functools
import os
import pathlib

import numpy as np

# What the input and the output of every exported network are called.
INPUT, OUTPUT = "images", "probabilities"


def open_exported(file, threads=None):
    """Opens a network that `semenet export` wrote for ONNX Runtime, OpenVINO or LiteRT.

    Args:
        file: `.onnx`, `.xml` or `.tflite` file.
        threads: int, threads of the runtime; None for one a processor.

    Returns:
        A function of images, uint8 array `(N, H, W, C)` in [0, 255], to probabilities, float32 array
        `(N, K)` or `(N, H, W, K)`. It computes in float32, or in int8 what the file has in int8.

    Raises:
        ImportError: the runtime is not installed.
        KeyError: another suffix.
    """
    openers = {".onnx": _open_onnx, ".xml": _open_openvino, ".tflite": _open_litert}
    file = pathlib.Path(file)
    return openers[file.suffix](file, threads or os.cpu_count())


def _open_onnx(file, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run([OUTPUT], {INPUT: images})[0]


def _open_openvino(file, threads):
    import openvino

    core = openvino.Core()
    # By default it computes in bfloat16 where the processor can, which costs three digits.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    single = core.compile_model(file, "CPU", settings | {"PERFORMANCE_HINT": "LATENCY"})

    @functools.cache
    def streams():
        hint = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": threads}
        compiled = core.compile_model(file, "CPU", settings | hint)
        return [compiled.create_infer_request() for _ in range(threads)]

    def run(images):
        if len(images) < 2 or threads == 1:
            return single(images)[OUTPUT]
        # A thread that keeps to its own images need not wait for the others at every layer.
        parts = np.array_split(images, min(len(images), threads))
        working = list(zip(streams(), parts, strict=False))
        for request, part in working:
            request.start_async({INPUT: part})
        for request, _ in working:
            request.wait()
        return np.concatenate([request.get_tensor(OUTPUT).data for request, _ in working])

    return run


def _open_litert(file, threads):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(file), num_threads=threads).get_signature_runner()
    return lambda images: runner(**{INPUT: images})[OUTPUT]
