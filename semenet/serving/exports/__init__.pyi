from .runtime_formats import ExportError as ExportError
from .runtime_formats import export_format as export_format
from .runtimes import open_exported as open_exported
from .saved_model import export as export
from .tf_serving import export_for_tf_serving as export_for_tf_serving
from .warm_up import read_warm_up as read_warm_up

__all__ = [
    "ExportError",
    "export",
    "export_for_tf_serving",
    "export_format",
    "open_exported",
    "read_warm_up",
]
