"""`semenet serve`. The command parses and calls; heavy imports wait until then."""

import contextlib
import pathlib
from typing import Annotated

import tyro

from semenet.cli_progress import progress_bars
from semenet.serving.server_options import ServerOptions


def serve(
    folder: Annotated[pathlib.Path, tyro.conf.arg(metavar="DIR"), tyro.conf.Positional],
    name: str | None = None,
    options: Annotated[ServerOptions, tyro.conf.arg(name="")] = ServerOptions(),
) -> None:
    """Serves a SavedModel by TF Serving's REST interface, until SIGTERM or an interrupt.

    Args:
        folder: Folder that `semenet export` wrote; or of versions, such as DIR/1: the highest is served.
        name: What clients call the model. None: the folder's name.
        options: Where the server listens, and its bounds.
    """
    from semenet.serving.server import serve as run

    with contextlib.ExitStack() as stack:

        def started(line):
            stack.close()
            # Whoever starts the server waits for this line.
            print(line, flush=True)

        run(folder, options, name, started, stack.enter_context(progress_bars()))
