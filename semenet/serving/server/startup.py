"""The server of a SavedModel, for clients of TF Serving's REST interface."""

import importlib.util

from semenet.errors import SemenetError
from semenet.serving.server.address import take

_PACKAGES = ("fastapi", "orjson", "prometheus_client", "python_multipart", "uvicorn")


def serve(folder, options, name=None, started=print, progress=lambda step, done, total: None):
    """Serves a SavedModel until the process is told to stop by SIGTERM or SIGINT.

    Args:
        folder: as for `semenet.serving.server.served_model.ServedModel`.
        options: `semenet.serving.server.options.ServerOptions`.
        name: str, what clients call the model; None for the folder's name.
        started: function of a line, str, called when clients can connect, and the model is warm.
        progress: function of a step's name, the number done and of all, called until then.

    Raises:
        ValueError: a package of the extra `serve` is missing, there is no model to serve, it fails on its
            own warm-up requests, or the address cannot be listened at.
    """
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise SemenetError(
            f"`semenet serve` needs the extra serve. Received: an installation without {', '.join(missing)}. "
            "Run pip install 'semenet[serve]'."
        )
    # Nobody waits for a model to be told that the port is in use.
    with take(options.host, options.port) as listener:
        progress("loading", 0, 1)
        from semenet.serving.server.process import run
        from semenet.serving.server.served_model import ServedModel

        model = ServedModel(folder, name)
        progress("loading", 1, 1)
        model.warm_up(progress)

        def tell(address):
            started(f"{model.name}, version {model.version}: {address}/v1/models/{model.name}")

        run(model, options, listener, tell)
