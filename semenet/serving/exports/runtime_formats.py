"""Exports one network for a runtime that takes prepared images: ONNX Runtime, OpenVINO or LiteRT."""

import json

import cv2
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
    """What was written is not the network that it was made of."""


def export_format(
    path, out, format, *, int8=False, calibration=None, progress=lambda step, done, total: None
):
    """Writes a network for another runtime, checks it against Keras there, and describes it.

    The file takes prepared images: `images`, uint8 `(N, H, W, C)`, values in [0, 255], N open, resized by
    `semenet.data.transforms.host.resize`, after CLAHE where the network was trained so and with all
    but the lungs
    black where it is fed lungs alone. uint8, since that is what a prepared radiograph is: a quarter of
    float32's bytes, and nobody can feed it values in [0, 1] by mistake. It gives `probabilities`, float32
    `(N, K)`, calibrated where the run is, or `(N, H, W, K)` of a segmentation network. The scaling and the
    temperature are inside.

    Args:
        path: run folder, `.keras` file, or `ENTRY:NAME` of published weights.
        out: folder to write: new or empty. It gets `model.onnx`, `model.xml` with `model.bin`, or
            `model.tflite`, the same as `model_int8` with `int8`, and `semenet.json`.
        format: "onnx", "openvino" or "litert".
        int8: whether to write an int8 network too, by quantization after training.
        calibration: for int8, images to find the ranges of values by: a manifest's CSV, of which the split
            train is taken, or a folder.
        progress: function of a step's name, the number done and of all.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        OutputError: `out` holds something, or cannot be written.
        ExportError: what was written differs from Keras by more than 1e-4, or the runtime refuses the int8
            network.
        WeightsError: the run cannot be loaded.
        RunFolderError: its calibration is broken, or of another network than the one there now.
        SemenetError: a cascade; another format; a package that is not installed; int8 without images.
    """
    if format not in FORMATS:
        raise SemenetError(
            f"`format` must be one of {', '.join(FORMATS)}. Received: {format!r}. "
            "A SavedModel is written by semenet.serving.exports.saved_model.export."
        )
    if int8 != (calibration is not None):
        raise SemenetError(
            "An int8 network is calibrated on images, a float32 one is not. "
            f"Received: int8={int8}, calibration={calibration}. Give both --int8 and --calibration, a "
            "manifest's CSV or a folder of images like those it will see, or neither."
        )
    if is_cascade(path):
        networks = ", ".join(f"{run.path}" for run in Cascade.open(path).runs.values())
        raise SemenetError(
            "A cascade decides, and finds lungs, in a SavedModel's graph; other formats hold one network. "
            f"Received: {path} for {format}. Leave the format out, or export its networks one by one: "
            f"{networks}."
        )
    written = FORMATS[format]
    versions = written.versions(format, int8)
    out = check_new_folder(out)
    with step(progress, "loading"):
        run = Run.open(path)
        told = describe_run(run) | {"lungs_alone": run.lungs_alone, "use": USE}
        # Before the conversion, which takes longer.
        images = calibration_images(calibration, run) if int8 else None
        network = inference_network(run.model, run.input_size)
    # In half precision the run's own network rounds as no exported one does.
    reference = run.model if computes_in_float32(run.model) else network
    with new_folder(out) as folder:
        file = folder / f"model{written.suffix}"
        with step(progress, "converting"):
            written.write(network, run, file)
        with step(progress, "comparing with Keras"):
            probes = probe_images(run.input_size, run.channels)
            difference = _differences(file, run, reference, probes).max()
        # NaN is no agreement either.
        if not difference <= LARGEST_DIFFERENCE:
            raise ExportError(
                f"An exported network gives Keras' probabilities to {LARGEST_DIFFERENCE}. Received: "
                f"{path} as {format}, off by {difference:.2g}. Export a SavedModel, and report this with "
                f"the versions {versions}."
            )
        told |= {
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
            small = folder / f"model_int8{written.suffix}"
            with step(progress, "quantizing"):
                written.write_int8(network, run, small, images)
            try:
                lost = _differences(small, run, reference, images[:8]).mean()
            except (RuntimeError, ValueError) as error:
                # A quantizer may write scales between two layers that its own runtime has no kernel for.
                raise ExportError(
                    f"An int8 network must start in its runtime. Received: {path} as {format}, which refuses "
                    f"it ({str(error).splitlines()[0]}). Leave --int8 out, or take another format."
                ) from error
            told["int8"] = {
                "file": small.name,
                "calibration_images": len(images),
                "mean_difference_from_keras": float(lost),
            }
        (folder / DESCRIPTION).write_text(json.dumps(told, indent=2) + "\n")
    return out


def probe_images(size, channels):
    """Images of unlike kinds to compare runtimes on: noise, clouds, a ramp and black.

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


def _differences(file, run, reference, images):
    """How far a file's probabilities are from Keras', each of them: float32 array."""
    outputs = reference(images.astype("float32"), training=False)
    expected = temper_graph(outputs, run.temperature, run.activation).numpy()
    return np.abs(open_exported(file)(images) - expected)


def _preparation(run):
    """str, what a client does with an image before the network."""
    height, width = run.input_size
    steps = ["8-bit grey", f"stretched to {height} x {width} as semenet.data.transforms.host.resize does"]
    steps += ["CLAHE, clip limit 2, 8 x 8 tiles"] if run.inference_clahe else []
    steps += ["all but the lungs black"] if run.lungs_alone else []
    return ", ".join(steps)
