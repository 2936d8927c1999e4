"""A SavedModel that is served: its signatures as functions of arrays, and its description for clients."""

import dataclasses
import pathlib
from collections.abc import Callable

import google.protobuf.json_format
import google.protobuf.message
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from semenet.errors import SemenetError
from semenet.serving.exports.warm_up import read_warm_up
from semenet.serving.server.request_errors import RequestError, invalid, shortened

SAVED_MODEL = "saved_model.pb"
DEFAULT_SIGNATURE = "serving_default"
PIXELS_SIGNATURE = "predict_pixels"


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature of a SavedModel.

    Attributes:
        name: its name.
        inputs: dict of input names, sorted, to their types and shapes; the first axis is the items.
        function: TensorFlow's function.
    """

    name: str
    inputs: dict[str, tf.TensorSpec]
    function: Callable[..., dict[str, tf.Tensor]]


class ServedModel:
    """One version of a model.

    Args:
        folder: a SavedModel's folder, which becomes version 1; or a folder of versions as for TF Serving,
            such as `1/saved_model.pb`, of which the highest is served.
        name: the model's name in addresses; None for the folder's name.

    Attributes:
        name: str.
        version: int.
        path: the folder of the SavedModel.
        signatures: dict of str to `Signature`.
        metadata: dict, the answer to TF Serving's `/metadata`.

    Raises:
        SemenetError: there is no SavedModel, it cannot be loaded, a signature does not have the items as
            first axis, or the name cannot be part of an address.
    """

    def __init__(self, folder: pathlib.Path | str, name: str | None = None) -> None:
        self.version, path = find_version(folder)
        self.path = path
        self.name = pathlib.Path(folder).resolve().name if name is None else name
        if not self.name or set("/:?#%") & set(self.name):
            raise SemenetError(
                "A model's name is part of its address: it must have one or more characters, none of them "
                f"/ : ? # %. Received: {self.name!r}. Give --name."
            )
        try:
            # Kept, because a signature works only as long as its model exists.
            self._loaded = tf.saved_model.load(str(path))
            definitions = _signature_definitions(path)
        except (
            OSError,
            ValueError,
            # TensorFlow raises it for truncated variables.
            IndexError,
            tf.errors.OpError,
            google.protobuf.message.DecodeError,
        ) as error:
            raise SemenetError(
                "A model that is served must be a complete SavedModel. "
                f"Received: {path}: {shortened(str(error), 300)}. Export it again."
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
            "metadata": {"signature_def": {"signature_def": definitions}},
        }

    def status(self) -> dict:
        """Returns the answer to TF Serving's model status."""
        status = {"error_code": "OK", "error_message": ""}
        return {
            "model_version_status": [{"version": str(self.version), "state": "AVAILABLE", "status": status}]
        }

    def signature(self, name: str) -> Signature:
        """Returns the signature of a name, "" for the default.

        Raises:
            RequestError: 400, there is no signature of that name.
        """
        name = name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise invalid(
                f"A signature must be one of the model's. Received: {shortened(name)}. "
                f"There are: {', '.join(sorted(self.signatures))}."
            )
        return self.signatures[name]

    def warm_up(self, progress: Callable[[str, int, int | None], None]) -> None:
        """Answers the SavedModel's warm-up requests, so that the first client does not wait longer.

        Args:
            progress: called with a step's name, the number done and the total.

        Raises:
            SemenetError: the requests are broken, or the model fails on one.
        """
        requests = read_warm_up(self.path)
        for done, (name, inputs) in enumerate(requests):
            progress("warming up", done, len(requests))
            try:
                self.compute(self.signature(name).name, inputs)
            except RequestError as error:
                raise SemenetError(
                    "A model must be able to answer its own warm-up requests. "
                    f"Received: {self.path}, request {done + 1} of {len(requests)}: {error} Export it again."
                ) from error
        progress("warming up", len(requests), len(requests))

    def compute(self, signature_name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Calls a signature.

        Args:
            signature_name: name of the signature.
            inputs: dict of input names to arrays `(N, ...)` of the signature's types; strings as objects.

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
            raise RequestError(
                400 if isinstance(error, tf.errors.InvalidArgumentError) else 500,
                f"The model must be able to compute its inputs. Received: inputs that {signature_name} "
                f"failed on ({type(error).__name__}: {shortened(error.message, 200)}). Send others.",
            ) from error
        count = len(next(iter(inputs.values())))
        for name, values in outputs.items():
            if values.shape[:1] != (count,):
                raise RequestError(
                    500,
                    "Every output must have one entry per item. Received: "
                    f"{name} of shape {values.shape} for {count} items. Export the model again.",
                )
        return outputs


def find_version(folder: pathlib.Path | str) -> tuple[int, pathlib.Path]:
    """Finds the SavedModel to serve.

    Args:
        folder: as for `ServedModel`.

    Returns:
        The version and the SavedModel's folder.

    Raises:
        SemenetError: there is none.
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
            f"What is served must be a SavedModel, or a folder of versions, such as 1/{SAVED_MODEL}. "
            f"Received: {folder}, which is neither. Export a run or a cascade to a new folder: "
            f"`semenet export RUN {folder}_savedmodel`."
        )
    return max(versions.items())


def _signature(name: str, function: Callable[..., dict[str, tf.Tensor]], path: pathlib.Path) -> Signature:
    inputs, outputs = function.structured_input_signature[1], function.structured_outputs
    for kind, specs in (("input", inputs), ("output", outputs)):
        for key, spec in specs.items():
            # The shape of an output may be unknown until it is computed.
            wrong = spec.shape.rank == 0 if spec.shape.rank is not None else kind == "input"
            if wrong or (spec.shape.rank and spec.shape[0] is not None):
                raise SemenetError(
                    "Every input and output of a signature must have the items as first axis, of any number. "
                    f"Received: {path}, {name}, the {kind} {key} of shape {spec.shape}. Export it again."
                )
    return Signature(name, dict(sorted(inputs.items())), function)


def _signature_definitions(path: pathlib.Path) -> dict[str, dict]:
    """Returns the signatures as TF Serving does: its protocol buffers as JSON, with all fields."""
    saved = saved_model_pb2.SavedModel.FromString((path / SAVED_MODEL).read_bytes())
    (graph,) = (graph for graph in saved.meta_graphs if "serve" in graph.meta_info_def.tags)
    return {
        name: google.protobuf.json_format.MessageToDict(
            definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for name, definition in sorted(graph.signature_def.items())
    }


def item_shapes(inputs: dict[str, np.ndarray]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Returns what items of one batch must have in common: each input's name and shape without first axis."""
    return tuple((name, values.shape[1:]) for name, values in sorted(inputs.items()))
