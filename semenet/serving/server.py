"""The server of a SavedModel, for clients of TF Serving's REST interface."""

import importlib.util

from semenet.errors import SemenetError

_PACKAGES = ("fastapi", "orjson", "prometheus_client", "python_multipart", "uvicorn")


def serve(folder, options, name=None, started=print):
    """Serves a SavedModel until the process is told to stop by SIGTERM or SIGINT.

    Args:
        folder: as for `semenet.serving.served_model.ServedModel`.
        options: `semenet.serving.server_options.ServerOptions`.
        name: str, what clients call the model; None for the folder's name.
        started: function of a line, str, called when clients can connect.

    Raises:
        ValueError: a package of the extra `serve` is missing, there is no model to serve, or the address
            cannot be listened at.
    """
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise SemenetError(
            f"`semenet serve` needs the extra serve. Received: an installation without {', '.join(missing)}. "
            "Run pip install 'semenet[serve]'."
        )
    from semenet.serving.served_model import ServedModel
    from semenet.serving.server_process import run

    model = ServedModel(folder, name)

    def tell(address):
        started(f"{model.name}, version {model.version}: {address}/v1/models/{model.name}")

    run(model, options, tell)
