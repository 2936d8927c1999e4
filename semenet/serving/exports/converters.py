"""Writes a network for ONNX Runtime, OpenVINO and LiteRT, in float32 and in int8."""

import contextlib
import dataclasses
import importlib.metadata
import re
import tempfile
import warnings
from collections.abc import Callable

import tensorflow as tf

from semenet.errors import SemenetError
from semenet.inference.scoring import temper_graph
from semenet.serving.exports.runtimes import INPUT, OUTPUT

# ONNX operators are as they are since this version, and every runtime of today reads it.
OPSET = 17
# Computed in float32 also in an int8 network: the first scaling, and the few products that end in
# probabilities, which 256 levels would make coarse. Operations are named after their layers.
_FLOAT_LAYERS = r"(.*/)?(rescaling|head)[^/]*/.*"
# LiteRT's quantizer is told by operations alone: those of the same layers, and of the gates between.
_FLOAT_OPERATIONS = ("FULLY_CONNECTED", "LOGISTIC", "MUL", "SOFTMAX")


@dataclasses.dataclass(frozen=True)
class Format:
    """A format of networks that take prepared images.

    Attributes:
        suffix: str, of its file, "." included.
        packages: tuple of str, the distributions that write it and check what was written.
        int8_packages: tuple of str, those that int8 needs besides.
        write: function of a network of `semenet.models.folded_inference.inference_network`, its
            `semenet.training.run_folder.run.Run` and the file to write.
        write_int8: the same, with images, uint8 `(n, H, W, C)`, to find the ranges of values by.
    """

    suffix: str
    packages: tuple[str, ...]
    int8_packages: tuple[str, ...]
    write: Callable
    write_int8: Callable

    def versions(self, name, int8):
        """dict of each distribution to its version.

        Args:
            name: str, of the format and of semenet's extra for it.
            int8: bool, whether int8 is written too.

        Raises:
            SemenetError: one is not installed.
        """
        found = {}
        for package in self.packages + (self.int8_packages if int8 else ()):
            try:
                found[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError as error:
                raise SemenetError(
                    f"The format {name} is written with the package {package}. Received: an environment "
                    f"without it. Run: pip install 'semenet[{name}]'"
                ) from error
        return found


def _write_onnx(network, run, file):
    file.write_bytes(_onnx_model(network, run).SerializeToString())


def _write_onnx_int8(network, run, file, images):
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.batches = iter(_one_by_one(images))

        def get_next(self):
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    model = _onnx_model(network, run)
    constants = {constant.name for constant in model.graph.initializer}
    # A scale and shift a channel loses most by a step that is one for all channels.
    in_float = [
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
        nodes_to_exclude=in_float,
    )


def _write_openvino(network, run, file):
    import openvino

    openvino.save_model(_openvino_model(network, run), file, compress_to_fp16=False)


def _write_openvino_int8(network, run, file, images):
    import nncf
    import openvino

    quantized = nncf.quantize(
        _openvino_model(network, run),
        nncf.Dataset(_one_by_one(images)),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(patterns=[_FLOAT_LAYERS]),
    )
    openvino.save_model(quantized, file, compress_to_fp16=False)


def _write_litert(network, run, file):
    with _saved(network, run) as folder:
        file.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def _write_litert_int8(network, run, file, images):
    with _saved(network, run) as folder, warnings.catch_warnings():
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in _one_by_one(images))
        options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=list(_FLOAT_OPERATIONS))
        # It opens what it wrote by the interpreter that TensorFlow is about to leave to LiteRT.
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
        quantizer = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=converter.representative_dataset, debug_options=options
        )
        file.write_bytes(quantizer.get_nondebug_quantized_model())


def _onnx_model(network, run):
    """`onnx.ModelProto` of a network with its calibration."""
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(
        _computed(network, run), input_signature=[_images(network)], opset=OPSET
    )
    return model


def _openvino_model(network, run):
    """`openvino.Model` of a network with its calibration."""
    import openvino

    with _saved(network, run) as folder:
        model = openvino.convert_model(folder)
    model.inputs[0].get_tensor().set_names({INPUT})
    model.outputs[0].get_tensor().set_names({OUTPUT})
    return model


def _computed(network, run):
    """`tf.function` of prepared images to calibrated probabilities."""
    temperature, activation = run.temperature, run.activation

    @tf.function(input_signature=[_images(network)])
    def compute(images):
        outputs = network(tf.cast(images, tf.float32), training=False)
        return {OUTPUT: temper_graph(outputs, temperature, activation)}

    return compute


@contextlib.contextmanager
def _saved(network, run):
    """Folder of a SavedModel of the same with constants in place of variables, as converters want it."""
    # What freezes a function has no public name; the converters themselves would keep variables.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(_computed(network, run).get_concrete_function())

    @tf.function(input_signature=[_images(network)])
    def serve(images):
        return {OUTPUT: frozen(images)[0]}

    module = tf.Module()
    module.serve = serve
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=serve)
        yield folder


def _images(network):
    return tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8, name=INPUT)


def _one_by_one(images):
    return [images[place : place + 1] for place in range(len(images))]


FORMATS = {
    "onnx": Format(".onnx", ("tf2onnx", "onnxruntime"), (), _write_onnx, _write_onnx_int8),
    "openvino": Format(".xml", ("openvino",), ("nncf",), _write_openvino, _write_openvino_int8),
    "litert": Format(".tflite", ("ai-edge-litert",), (), _write_litert, _write_litert_int8),
}
