"""Converters to ONNX, OpenVINO and LiteRT, in float32 and in int8."""

import contextlib
import dataclasses
import importlib.metadata
import pathlib
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from semenet.errors import SemenetError
from semenet.inference.scoring import temper_graph
from semenet.serving.exports.runtimes import INPUT, OUTPUT
from semenet.training.run_folder.run import Run

if TYPE_CHECKING:
    import onnx
    import openvino

# Every current runtime reads this version of the ONNX operators.
OPSET = 17
# These layers compute in float32 in an int8 network too: the first scaling, and the few products from which
# probabilities are computed, for which 256 levels are too coarse. Operations are named after their layers.
_FLOAT_LAYERS = r"(.*/)?(rescaling|head)[^/]*/.*"
# LiteRT's quantizer excludes kinds of operations only: those of these layers and of the gates of SE blocks.
_FLOAT_OPERATIONS = ("FULLY_CONNECTED", "LOGISTIC", "MUL", "SOFTMAX")


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format of networks that take prepared images.

    Attributes:
        suffix: file name suffix, with ".".
        packages: distributions that write the format and check the result.
        int8_packages: further distributions that int8 needs.
        write: writes a network of `semenet.models.folded_inference.inference_network`, with the calibration
            of its run, to a file.
        write_int8: the same in int8, with calibration images, uint8 `(n, H, W, C)`.
    """

    suffix: str
    packages: tuple[str, ...]
    int8_packages: tuple[str, ...]
    write: Callable[[keras.Model, Run, pathlib.Path], None]
    write_int8: Callable[[keras.Model, Run, pathlib.Path, np.ndarray], None]

    def versions(self, name: str, int8: bool) -> dict[str, str]:
        """Returns the versions of the distributions that write the format.

        Args:
            name: name of the format and of semenet's extra for it.
            int8: whether int8 is written too.

        Raises:
            SemenetError: a distribution is not installed.
        """
        found = {}
        for package in self.packages + (self.int8_packages if int8 else ()):
            try:
                found[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError as error:
                raise SemenetError(
                    f"The format {name} needs the package {package}. Received: an environment "
                    f"without it. Run: pip install 'semenet[{name}]'"
                ) from error
        return found


def _write_onnx(network: keras.Model, run: Run, file: pathlib.Path) -> None:
    file.write_bytes(_onnx_model(network, run).SerializeToString())


def _write_onnx_int8(network: keras.Model, run: Run, file: pathlib.Path, images: np.ndarray) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(_single_images(images))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    model = _onnx_model(network, run)
    constants = {constant.name for constant in model.graph.initializer}
    # One quantization step for all channels is too coarse for scales and shifts per channel.
    float_nodes = [
        node.name
        for node in model.graph.node
        if re.fullmatch(_FLOAT_LAYERS, node.name)
        or (node.op_type in ("Add", "Mul") and constants & set(node.input))
    ]
    quantize_static(
        model,
        file,
        Reader(),
        per_channel=True,
        op_types_to_quantize=["Add", "AveragePool", "Concat", "Conv", "ConvTranspose", "MaxPool"],
        nodes_to_exclude=float_nodes,
    )


def _write_openvino(network: keras.Model, run: Run, file: pathlib.Path) -> None:
    import openvino

    openvino.save_model(_openvino_model(network, run), file, compress_to_fp16=False)


def _write_openvino_int8(network: keras.Model, run: Run, file: pathlib.Path, images: np.ndarray) -> None:
    import nncf
    import openvino

    quantized = nncf.quantize(
        _openvino_model(network, run),
        nncf.Dataset(_single_images(images)),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(patterns=[_FLOAT_LAYERS]),
    )
    openvino.save_model(quantized, file, compress_to_fp16=False)


def _write_litert(network: keras.Model, run: Run, file: pathlib.Path) -> None:
    with _frozen_saved_model(network, run) as folder:
        file.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def _write_litert_int8(network: keras.Model, run: Run, file: pathlib.Path, images: np.ndarray) -> None:
    with _frozen_saved_model(network, run) as folder, warnings.catch_warnings():
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in _single_images(images))
        options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=list(_FLOAT_OPERATIONS))
        # The debugger opens its result with the interpreter that TensorFlow is moving to LiteRT.
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
        quantizer = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=converter.representative_dataset, debug_options=options
        )
        file.write_bytes(quantizer.get_nondebug_quantized_model())


def _onnx_model(network: keras.Model, run: Run) -> "onnx.ModelProto":
    """Converts a network with its calibration."""
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(
        _probabilities_function(network, run), input_signature=[_images_spec(network)], opset=OPSET
    )
    return model


def _openvino_model(network: keras.Model, run: Run) -> "openvino.Model":
    """Converts a network with its calibration."""
    import openvino

    with _frozen_saved_model(network, run) as folder:
        model = openvino.convert_model(folder)
    model.inputs[0].get_tensor().set_names({INPUT})
    model.outputs[0].get_tensor().set_names({OUTPUT})
    return model


def _probabilities_function(network: keras.Model, run: Run) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns a `tf.function` of prepared images to calibrated probabilities."""
    temperature, activation = run.temperature, run.activation

    @tf.function(input_signature=[_images_spec(network)], autograph=False)
    def compute(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = network(tf.cast(images, tf.float32), training=False)
        return {OUTPUT: temper_graph(outputs, temperature, activation)}

    return compute


@contextlib.contextmanager
def _frozen_saved_model(network: keras.Model, run: Run) -> Iterator[str]:
    """Writes a temporary SavedModel with constants instead of variables, as the converters need it."""
    # This function is not public in TensorFlow. The converters alone would keep the variables.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(_probabilities_function(network, run).get_concrete_function())

    @tf.function(input_signature=[_images_spec(network)], autograph=False)
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {OUTPUT: frozen(images)[0]}

    module = tf.Module()
    module.serve = serve
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=serve)
        yield folder


def _images_spec(network: keras.Model) -> tf.TensorSpec:
    return tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8, name=INPUT)


def _single_images(images: np.ndarray) -> list[np.ndarray]:
    return [images[number : number + 1] for number in range(len(images))]


FORMATS = {
    "onnx": Format(".onnx", ("tf2onnx", "onnxruntime"), (), _write_onnx, _write_onnx_int8),
    "openvino": Format(".xml", ("openvino",), ("nncf",), _write_openvino, _write_openvino_int8),
    "litert": Format(".tflite", ("ai-edge-litert",), (), _write_litert, _write_litert_int8),
}
