"""The operations of a SavedModel that a plain TensorFlow server does not have."""

import pathlib

from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

# These call Python, which is not there.
PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def foreign_operations(folder: pathlib.Path) -> set[str]:
    """Returns the operations that call Python, or that TensorFlow itself does not register."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    used = set()
    for graph in saved.meta_graphs:
        library = graph.graph_def.library.function
        functions = {function.signature.name for function in library}
        for nodes in (graph.graph_def.node, *(function.node_def for function in library)):
            used |= {node.op for node in nodes}
        used -= functions
    return {name for name in used if name in PYTHON or op_def_registry.get(name) is None}
