"""Opens exported networks in the runtimes they are for."""

import os
import pathlib

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

    # By default it computes in bfloat16 where the processor can, which costs three digits.
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(file, "CPU", settings)
    return lambda images: compiled(images)[OUTPUT]


def _open_litert(file, threads):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(file), num_threads=threads).get_signature_runner()
    return lambda images: runner(**{INPUT: images})[OUTPUT]
