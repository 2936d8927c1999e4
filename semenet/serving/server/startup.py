"""Starts the server of a SavedModel, for clients of TF Serving's REST interface."""

import importlib.util
import pathlib
import sys
from collections.abc import Callable

from semenet.errors import SemenetError
from semenet.serving.server.connections.address import bind_address
from semenet.serving.server.options import ServerOptions

_PACKAGES = ("fastapi", "orjson", "prometheus_client", "python_multipart", "uvicorn")


def serve(
    folder: pathlib.Path | str,
    options: ServerOptions,
    name: str | None = None,
    started: Callable[[str], None] = print,
    progress: Callable[[str, int, int | None], None] = lambda step, done, total: None,
) -> None:
    """Serves a SavedModel until the process receives SIGTERM or SIGINT.

    Args:
        folder: a SavedModel's folder, or a folder of versions, see `ServedModel`.
        options: address and limits.
        name: the model's name in addresses; None for the folder's name.
        started: called with a line of text when the model is warm and clients can connect.
        progress: called until then with a step's name, the number done and the total.

    Raises:
        SemenetError: a package of the extra `serve` is not installed, there is no model, the model fails on
            its own warm-up requests, or the address cannot be used.

    Example:
        >>> from semenet.serving import ServerOptions, serve
        >>> serve("no_such_folder", ServerOptions(port=0))
        Traceback (most recent call last):
        ...
        semenet.errors.SemenetError: What is served must be ... Received: ...no_such_folder...
    """
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise SemenetError(
            "`semenet serve` needs the extra serve. Received: an environment without "
            f"{', '.join(missing)}. Run pip install 'semenet[serve]'."
        )
    from semenet.serving.server.request_checks.access import TOKEN_VARIABLE, is_loopback, read_token

    token = read_token(options)
    # Before the model, whose loading takes longer: a port in use is reported at once.
    with bind_address(options.host, options.port) as listener:
        if token is None and not is_loopback(listener.getsockname()[0]):
            print(
                "warning: other machines can reach the server, and it asks for no token. "
                f"Set {TOKEN_VARIABLE} or give --token-file, or put a proxy with users in front of it.",
                file=sys.stderr,
            )
        if options.grpc_port:
            bind_address(options.host, options.grpc_port).close()
        progress("loading", 0, 1)
        from semenet.serving.server.process import run
        from semenet.serving.server.served_model import ServedModel

        model = ServedModel(folder, name)
        progress("loading", 1, 1)
        model.warm_up(progress)

        def report(address: str, grpc_port: int | None) -> None:
            grpc = "" if grpc_port is None else f", gRPC at port {grpc_port}"
            started(f"{model.name}, version {model.version}: {address}/v1/models/{model.name}{grpc}")

        run(model, options, listener, report, token)
