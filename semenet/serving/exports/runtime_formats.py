"""Exports a network for ONNX Runtime, OpenVINO or LiteRT."""

import json
import pathlib
from collections.abc import Callable
from typing import Literal

import cv2
import keras
import numpy as np

from semenet.errors import SemenetError
from semenet.inference.scoring import temper_graph
from semenet.models.folded_inference import computes_in_float32, inference_network
from semenet.progress import step
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.cascade.saved_cascade import is_cascade
from semenet.serving.exports.calibration_images import calibration_images
from semenet.serving.exports.converters import FORMATS
from semenet.serving.exports.runtimes import INPUT, OUTPUT, open_exported
from semenet.serving.exports.servables import USE, describe_run
from semenet.storage.atomic import check_new_folder, new_folder
from semenet.training.run_folder.run import Run

DESCRIPTION = "semenet.json"
LARGEST_DIFFERENCE = 1e-4


class ExportError(SemenetError):
    """An exported network that does not compute what the original does."""


def export_format(
    path: pathlib.Path | str,
    out: pathlib.Path | str,
    format: Literal["onnx", "openvino", "litert"],
    *,
    int8: bool = False,
    calibration: pathlib.Path | str | None = None,
    progress: Callable[[str, int, int | None], None] = lambda step, done, total: None,
) -> pathlib.Path:
    """Writes a network for another runtime, compares it with Keras there, and describes it.

    The file takes prepared images: `images`, uint8 `(N, H, W, C)`, values in [0, 255], any N, resized by
    `semenet.data.transforms.host.resize`, after CLAHE if the network was trained with it, and black outside
    the lungs if the network takes lungs alone. For a network with a lung view they are prepared by
    `semenet.data.prepare_view`. They are uint8 because prepared radiographs are: a quarter of
    the bytes of float32, and values in [0, 1] cannot be passed by mistake. The output is `probabilities`,
    float32 `(N, K)`, calibrated if the run is, or `(N, H, W, K)` of a segmentation network. The file includes
    the scaling and the temperature.

    Args:
        path: run folder, `.keras` file, or `ENTRY:NAME` of published weights.
        out: new or empty folder for `model.onnx`, `model.xml` with `model.bin`, or `model.tflite`, for
            `model_int8` too with `int8`, and for `semenet.json`.
        format: "onnx", "openvino" or "litert".
        int8: whether to write an int8 network too, by quantization after training.
        calibration: for int8, images that determine the ranges of values: a manifest's CSV, whose split train
            is used, or a folder.
        progress: called with a step's name, the number done and the total.

    Returns:
        The folder.

    Raises:
        OutputError: `out` is not empty, or cannot be written.
        ExportError: the exported network differs from Keras by more than 1e-4, or the runtime refuses the
            int8 network.
        WeightsError: the run cannot be loaded.
        RunFolderError: its calibration is broken, or belongs to another network.
        SemenetError: a cascade; another format; a package that is not installed; int8 without images.

    Example:
        >>> from semenet.serving import export_format
        >>> export_format("run", "exported", "onnx", int8=True)
        Traceback (most recent call last):
        ...
        semenet.errors.SemenetError: An int8 network needs images to calibrate on, ... Received: int8=True...
    """
    if format not in FORMATS:
        raise SemenetError(
            f"`format` must be one of {', '.join(FORMATS)}. Received: {format!r}. "
            "A SavedModel is written by semenet.serving.exports.saved_model.export."
        )
    if int8 != (calibration is not None):
        raise SemenetError(
            "An int8 network needs images to calibrate on, a float32 one does not. "
            f"Received: int8={int8}, calibration={calibration}. Give both --int8 and --calibration, a "
            "manifest's CSV or a folder of images like those it will see, or neither."
        )
    if is_cascade(path):
        networks = ", ".join(f"{run.path}" for run in Cascade.open(path).runs.values())
        raise SemenetError(
            "A cascade can be exported as a SavedModel only; the other formats hold one network. "
            f"Received: {path} as {format}. Leave the format out, or export its networks one by one: "
            f"{networks}."
        )
    converter = FORMATS[format]
    versions = converter.versions(format, int8)
    out = check_new_folder(out)
    with step(progress, "loading"):
        run = Run.open(path)
        description = describe_run(run) | {"lungs_alone": run.lungs_alone, "use": USE}
        # Before the conversion, which takes longer, so that an error is reported early.
        images = calibration_images(calibration, run) if int8 else None
        network = inference_network(run.model, run.input_size)
    # A network in half precision is compared in float32, as it is exported.
    reference = run.model if computes_in_float32(run.model) else network
    with new_folder(out) as folder:
        file = folder / f"model{converter.suffix}"
        with step(progress, "converting"):
            converter.write(network, run, file)
        with step(progress, "comparing with Keras"):
            probes = probe_images(run.input_size, run.channels)
            difference = _differences(file, run, reference, probes).max()
        # Refuses NaN too.
        if not difference <= LARGEST_DIFFERENCE:
            raise ExportError(
                f"An exported network must equal Keras' probabilities to {LARGEST_DIFFERENCE}. Received: "
                f"{path} as {format}, a difference of {difference:.2g}. Export a SavedModel, and report this "
                f"with the versions {versions}."
            )
        description |= {
            "format": format,
            "file": file.name,
            "input": {
                "name": INPUT,
                "dtype": "uint8",
                "shape": [None, *run.input_size, run.channels],
                "range": [0, 255],
                "prepared": _preparation(run),
            },
            "output": {"name": OUTPUT, "dtype": "float32", "shape": [None, *network.output_shape[1:]]},
            "largest_difference_from_keras": float(difference),
            "converters": versions,
        }
        if int8:
            int8_file = folder / f"model_int8{converter.suffix}"
            with step(progress, "quantizing"):
                converter.write_int8(network, run, int8_file, images)
            try:
                difference = _differences(int8_file, run, reference, images[:8]).mean()
            except (RuntimeError, ValueError) as error:
                # A quantizer may write scales of two layers for which its own runtime has no kernel.
                raise ExportError(
                    f"An int8 network must load in its runtime. Received: {path} as {format}, which fails "
                    f"({str(error).splitlines()[0]}). Leave --int8 out, or use another format."
                ) from error
            description["int8"] = {
                "file": int8_file.name,
                "calibration_images": len(images),
                "mean_difference_from_keras": float(difference),
            }
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
    return out


def probe_images(size: tuple[int, int], channels: int) -> np.ndarray:
    """Returns test images on which runtimes are compared: noise, clouds, a ramp and black.

    Args:
        size: `(H, W)`.
        channels: 1 or 3.

    Returns:
        uint8 `(4, H, W, channels)`.
    """
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, size, dtype=np.uint8)
    clouds = cv2.resize(generator.integers(0, 256, (8, 8), dtype=np.uint8), size[::-1])
    ramp = np.tile(np.linspace(0, 255, size[1]).astype("uint8"), (size[0], 1))
    images = np.stack([noise, clouds, ramp, np.zeros(size, np.uint8)])
    return np.repeat(images[..., np.newaxis], channels, axis=-1)


def _differences(file: pathlib.Path, run: Run, reference: keras.Model, images: np.ndarray) -> np.ndarray:
    """Returns the absolute differences of a file's probabilities from Keras'."""
    outputs = reference(images.astype("float32"), training=False)
    expected = temper_graph(outputs, run.temperature, run.activation).numpy()
    return np.abs(open_exported(file)(images) - expected)


def _preparation(run: Run) -> str:
    """Describes how a client prepares an image."""
    height, width = run.input_size
    steps = ["8-bit grey", f"stretched to {height} x {width} as semenet.data.transforms.host.resize does"]
    if not run.segments and run.lung_view.needs_mask:
        view = f"{run.lung_view.describe()}, as semenet.data.prepare_view does"
        steps = ["8-bit grey", f"stretched to {height} x {width}", view]
    steps += ["CLAHE, clip limit 2, 8 x 8 tiles"] if run.inference_clahe else []
    steps += ["all but the lungs black"] if run.lungs_alone else []
    return ", ".join(steps)
