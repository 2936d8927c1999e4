"""The server's process: signals, shutdown and uvicorn's settings.

uvicorn's own shutdown closes the address on the first signal, and ends the process by that signal. Here the
health checks still answer while running requests finish, and the process ends with status 0; or with status 1
if a computation does not end in time.
"""

import asyncio
import concurrent.futures
import functools
import gc
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from semenet.serving.server.app import Service, create_app
from semenet.serving.server.connections.address import listen
from semenet.serving.server.connections.http_connection import HttpConnection
from semenet.serving.server.options import ServerOptions
from semenet.serving.server.process_end import end_process_after
from semenet.serving.server.served_model import ServedModel

if TYPE_CHECKING:
    import grpc

# Longer than the minute for which load balancers keep a connection: if the server closed it first, a request
# that is on its way would be lost.
_KEEP_ALIVE_SECONDS = 75
_POLL_SECONDS = 0.02


class ServerProcess(uvicorn.Server):
    """uvicorn's server, which finishes running requests when it is stopped, and then ends with status 0.

    Args:
        config: uvicorn's settings.
        service: the service that is stopped.
        started: called with the port of the gRPC interface, or None, when clients can connect.
    """

    def __init__(
        self, config: uvicorn.Config, service: Service, started: Callable[[int | None], None]
    ) -> None:
        super().__init__(config)
        self._service, self._started = service, started
        self._grpc: grpc.aio.Server | None = None
        self._stopping: concurrent.futures.Future[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        options, port = self._service.options, None
        if options.grpc_port is not None:
            from semenet.serving.server.interfaces.grpc_services import start_grpc

            self._grpc, port = await start_grpc(self._service, options.host, options.grpc_port)
        self._started(port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends all connections."""
        if self._grpc is not None:
            await self._grpc.stop(grace=self._service.options.read_timeout)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stops the server when its requests are done; a second SIGINT stops it at once."""
        if self._stopping is not None:
            self.should_exit = True
            self.force_exit = sig == signal.SIGINT
            return
        self._service.stopping = True
        options = self._service.options
        end_process_after(options.drain + options.grace)
        self._stopping = asyncio.run_coroutine_threadsafe(self._finish_requests(), self._loop)

    async def _finish_requests(self) -> None:
        await asyncio.sleep(self._service.options.drain)
        self._service.accepts = False
        while self._service.active:
            await asyncio.sleep(_POLL_SECONDS)
        self.should_exit = True


def run(
    model: ServedModel,
    options: ServerOptions,
    listener: socket.socket,
    started: Callable[[str, int | None], None],
    token: str | None = None,
) -> None:
    """Serves a model until the process receives SIGTERM or SIGINT.

    Args:
        model: the model.
        options: address and limits.
        listener: socket of `semenet.serving.server.connections.address.bind_address`.
        started: called with the server's address and the port of its gRPC interface, or None, when clients
            can connect.
        token: what clients must send; None for nothing.

    Raises:
        SemenetError: the server cannot listen at the address.
    """
    service = Service(model, options, token)
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{host}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        create_app(service),
        http=functools.partial(HttpConnection, read_timeout=options.read_timeout),
        ws="none",
        loop="asyncio",
        # Below errors, uvicorn warns of requests that are not HTTP or ask for WebSocket: any client could
        # fill the log.
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        # A client that does not read its answer must not delay the shutdown.
        timeout_graceful_shutdown=options.read_timeout,
    )
    # TensorFlow and the model live as long as the process: the garbage collector need not visit them during
    # a request.
    gc.freeze()
    listen(listener)
    ServerProcess(config, service, functools.partial(started, address)).run(sockets=[listener])
