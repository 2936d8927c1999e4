"""The server's process: its socket, its signals, and its end."""

import asyncio
import functools
import gc
import signal

import uvicorn

from semenet.serving.server.address import open_to_clients
from semenet.serving.server.app import Service, create_app
from semenet.serving.server.http_connection import HttpConnection

# Longer than the minute for which load balancers keep a connection: the side that closes first must not be
# the one that requests are sent to.
_KEEP_ALIVE_SECONDS = 75
_LOOK_SECONDS = 0.02


class ServerProcess(uvicorn.Server):
    """uvicorn, which finishes what it began when it is told to stop, and then ends with status 0.

    Args:
        config: `uvicorn.Config`.
        service: `semenet.serving.server.app.Service`.
        started: function without arguments, called when clients can connect.
    """

    def __init__(self, config, service, started):
        super().__init__(config)
        self._service, self._tell = service, started
        self._stopping = None

    async def startup(self, sockets=None):
        """Begins to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._tell()

    def handle_exit(self, sig, frame):
        """Called with a signal: ends the server when its requests are done, with a second SIGINT at once."""
        if self._stopping is not None:
            self.should_exit = True
            self.force_exit = sig == signal.SIGINT
            return
        self._service.ready = False
        self._stopping = asyncio.run_coroutine_threadsafe(self._finish(), self._loop)

    async def _finish(self):
        await asyncio.sleep(self._service.options.drain)
        self._service.accepts = False
        while self._service.active:
            await asyncio.sleep(_LOOK_SECONDS)
        self.should_exit = True


def run(model, options, listener, started):
    """Serves until the process is told to stop.

    Args:
        model: `semenet.serving.server.served_model.ServedModel`.
        options: `semenet.serving.server.options.ServerOptions`.
        listener: `socket.socket`, what `semenet.serving.server.address.take` gave.
        started: function of the address, str, called when clients can connect.

    Raises:
        ValueError: it cannot listen at the address.
    """
    service = Service(model, options)
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{host}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        create_app(service),
        http=functools.partial(HttpConnection, read_timeout=options.read_timeout),
        ws="none",
        loop="asyncio",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        # Answers that clients do not take must not hold up the end.
        timeout_graceful_shutdown=options.read_timeout,
    )
    # TensorFlow's objects and the model's live as long as the process: no request waits for the collector to
    # look through them.
    gc.freeze()
    open_to_clients(listener)
    ServerProcess(config, service, lambda: started(address)).run(sockets=[listener])
