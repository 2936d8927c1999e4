"""A SavedModel that is served: its signatures as functions of arrays, and what TF Serving tells of it."""

import dataclasses
import pathlib

import google.protobuf.json_format
import google.protobuf.message
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from semenet.errors import SemenetError
from semenet.serving.exports.warm_up import read_warm_up
from semenet.serving.server.request_errors import RequestError, invalid, shown

SAVED_MODEL = "saved_model.pb"
DEFAULT_SIGNATURE = "serving_default"
PIXELS_SIGNATURE = "predict_pixels"


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature of a SavedModel.

    Attributes:
        name: str.
        inputs: dict of input names, in the order of the alphabet, to `tf.TensorSpec`; the first axis of
            each is the items.
        outputs: tuple of the outputs' names, in the order of the alphabet.
        function: what TensorFlow calls.
    """

    name: str
    inputs: dict[str, tf.TensorSpec]
    outputs: tuple[str, ...]
    function: object


class ServedModel:
    """One version of a model.

    Args:
        folder: a SavedModel's folder, which is version 1; or a folder of versions as TF Serving takes them,
            `1/saved_model.pb` and so on, of which the highest is served.
        name: str, what clients call it; None for the folder's name.

    Attributes:
        name: str.
        version: int.
        signatures: dict of str to `Signature`.
        metadata: dict, the answer of TF Serving's `/metadata`.

    Raises:
        ValueError: there is no SavedModel, it cannot be loaded, a signature does not have the items as
            first axis, or the name cannot stand in an address.
    """

    def __init__(self, folder, name=None):
        self.version, path = find_version(folder)
        self._path = path
        self.name = pathlib.Path(folder).resolve().name if name is None else name
        if not self.name or set("/:?#%") & set(self.name):
            raise SemenetError(
                "A model's name stands in its address: one character or more, none of them of / : ? # %. "
                f"Received: {self.name!r}. Give --name."
            )
        try:
            # Kept, since a signature lives as long as its model.
            self._loaded = tf.saved_model.load(str(path))
            signatures = _signature_definitions(path)
        except (
            OSError,
            ValueError,
            # TensorFlow's, of variables that were cut short.
            IndexError,
            tf.errors.OpError,
            google.protobuf.message.DecodeError,
        ) as error:
            raise SemenetError(
                "A model that is served must be a whole SavedModel. "
                f"Received: {path}: {shown(str(error), 300)}. Export it again."
            ) from error
        self.signatures = {
            name: _signature(name, function, path) for name, function in self._loaded.signatures.items()
        }
        if not self.signatures:
            raise SemenetError(
                f"A model that is served must have a signature. Received: {path}, which has none. "
                "Write it with `semenet export`."
            )
        self.metadata = {
            "model_spec": {"name": self.name, "signature_name": "", "version": str(self.version)},
            "metadata": {"signature_def": {"signature_def": signatures}},
        }

    def status(self):
        """dict, the answer of TF Serving's model status."""
        status = {"error_code": "OK", "error_message": ""}
        version = {"version": str(self.version), "state": "AVAILABLE", "status": status}
        return {"model_version_status": [version]}

    def signature(self, name):
        """The signature of a name.

        Args:
            name: str; "" for the default.

        Raises:
            RequestError: 400, there is none of that name.
        """
        name = name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise invalid(
                f"A signature must be one of the model's. Received: {shown(name)}. "
                f"There are: {', '.join(sorted(self.signatures))}."
            )
        return self.signatures[name]

    def warm_up(self, progress):
        """Answers the SavedModel's warm-up requests: the first client need not wait for what is put off.

        Args:
            progress: function of a step's name, the number done and of all.

        Raises:
            ValueError: they are broken, or the model fails on one.
        """
        requests = read_warm_up(self._path)
        for done, (name, inputs) in enumerate(requests):
            progress("warming up", done, len(requests))
            try:
                self.compute(self.signature(name).name, inputs)
            except RequestError as error:
                raise SemenetError(
                    "A model must be able to answer its own warm-up requests. "
                    f"Received: {self._path}, request {done + 1} of {len(requests)}: {error} Export it again."
                ) from error
        progress("warming up", len(requests), len(requests))

    def compute(self, signature_name, inputs):
        """Calls a signature.

        Args:
            signature_name: str.
            inputs: dict of input names to arrays `(N, ...)` of the signature's types, strings as objects.

        Returns:
            dict of output names to arrays `(N, ...)`; strings as objects, which are bytes.

        Raises:
            RequestError: 400 for values that the model refuses, 500 for any other failure of it.
        """
        signature = self.signatures[signature_name]
        tensors = {name: tf.constant(values, signature.inputs[name].dtype) for name, values in inputs.items()}
        try:
            outputs = {name: value.numpy() for name, value in signature.function(**tensors).items()}
        except tf.errors.OpError as error:
            status = 400 if isinstance(error, tf.errors.InvalidArgumentError) else 500
            raise RequestError(
                status,
                f"The model must be able to compute what it is sent. Received: inputs that {signature_name} "
                f"failed on ({type(error).__name__}: {shown(error.message, 200)}). Send others.",
            ) from error
        count = len(next(iter(inputs.values())))
        for name, values in outputs.items():
            if values.shape[:1] != (count,):
                raise RequestError(
                    500,
                    "Every output must have one entry an item. Received: "
                    f"{name} of shape {values.shape} for {count} items. Export the model so.",
                )
        return outputs


def find_version(folder):
    """Finds the SavedModel to serve.

    Args:
        folder: as for `ServedModel`.

    Returns:
        The version, an int, and the `pathlib.Path` of the SavedModel.

    Raises:
        ValueError: there is none.
    """
    folder = pathlib.Path(folder).resolve()
    if (folder / SAVED_MODEL).is_file():
        return 1, folder
    versions = {
        int(path.parent.name): path.parent
        for path in folder.glob(f"*/{SAVED_MODEL}")
        if path.parent.name.isascii() and path.parent.name.isdigit()
    }
    if not versions:
        raise SemenetError(
            f"A model that is served is a SavedModel's folder, or has versions, such as 1/{SAVED_MODEL}. "
            f"Received: {folder}, which has neither. Write one to a folder of its own, from a run's or a "
            f"cascade's: `semenet export RUN {folder}_savedmodel`."
        )
    highest = max(versions)
    return highest, versions[highest]


def _signature(name, function, path):
    inputs, outputs = function.structured_input_signature[1], function.structured_outputs
    for kind, specs in (("input", inputs), ("output", outputs)):
        for key, spec in specs.items():
            # An output's shape may be unknown until it is computed.
            wrong = spec.shape.rank == 0 if spec.shape.rank is not None else kind == "input"
            if wrong or (spec.shape.rank and spec.shape[0] is not None):
                raise SemenetError(
                    "Every input and output of a signature must have the items as first axis, of any number. "
                    f"Received: {path}, {name}, the {kind} {key} of shape {spec.shape}. Export it so."
                )
    return Signature(name, dict(sorted(inputs.items())), tuple(sorted(outputs)), function)


def _signature_definitions(path):
    """The signatures as TF Serving writes them: its protocol buffers as JSON, whole."""
    saved = saved_model_pb2.SavedModel.FromString((path / SAVED_MODEL).read_bytes())
    (graph,) = (graph for graph in saved.meta_graphs if "serve" in graph.meta_info_def.tags)
    return {
        name: google.protobuf.json_format.MessageToDict(
            definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for name, definition in sorted(graph.signature_def.items())
    }


def shape_of_items(inputs):
    """What must be equal of inputs that are joined in one batch.

    Args:
        inputs: dict of names to arrays `(N, ...)`.

    Returns:
        tuple of each input's name and shape without its first axis.
    """
    return tuple((name, np.shape(values)[1:]) for name, values in sorted(inputs.items()))
