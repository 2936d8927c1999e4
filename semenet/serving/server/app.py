"""The server's routes: TF Serving's REST interface, DICOM files, health checks and metrics."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import fastapi
import numpy as np
import orjson
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from semenet.data.images.decoded_image import MAX_PIXELS
from semenet.data.images.formats.dicom import HEAD_BYTES, is_dicom
from semenet.data.images.reading import read_image
from semenet.errors import SemenetError
from semenet.serving.server.batching import Batcher
from semenet.serving.server.connections.departed_clients import cancel_if_client_goes
from semenet.serving.server.interfaces import rest_addresses
from semenet.serving.server.interfaces.rest_format import PredictRequest, read_request, write_response
from semenet.serving.server.metrics import CONTENT_TYPE, RequestMetricsMiddleware, ServerMetrics
from semenet.serving.server.options import ServerOptions
from semenet.serving.server.page.routes import page_routes
from semenet.serving.server.request_checks.access import AccessMiddleware
from semenet.serving.server.request_checks.image_files import sized_inputs
from semenet.serving.server.request_checks.request_body import BodyReader, UnreadBodyMiddleware, uploaded_file
from semenet.serving.server.request_errors import RequestError, invalid, shortened
from semenet.serving.server.running_calls import RunningCalls
from semenet.serving.server.served_model import PIXELS_SIGNATURE, ServedModel, item_shapes

# JSON is read and written under Python's global lock: more threads would be no faster, and each holds a whole
# request as Python objects.
_FORMAT_THREADS = 2
# nginx's status for a client that went away. Only the metrics show it.
_CLIENT_GONE = 499
_HEALTH_METHODS = ["GET", "HEAD"]  # Some load balancers check health by HEAD.
_Result = TypeVar("_Result")


class Service:
    """The state that the routes share.

    Args:
        model: the model.
        options: the limits.
        token: what clients must send; None for nothing.

    Attributes:
        stopping: bool, whether the server is shutting down.
        accepts: bool, whether new predictions are accepted.
        active: int, the number of running predictions.
        metrics: `ServerMetrics`.
    """

    def __init__(self, model: ServedModel, options: ServerOptions, token: str | None = None) -> None:
        self.model, self.options, self.token = model, options, token
        self.stopping, self.accepts = False, True
        self.active = 0
        self.metrics = ServerMetrics()
        self._bodies = BodyReader(options.max_request_bytes, options.read_timeout)
        calls = self._calls = RunningCalls()
        batcher = self.batcher = Batcher(
            calls.timed(model.compute),
            max_batch=options.max_batch,
            max_size=MAX_PIXELS,
            delay=options.batch_timeout_ms / 1000,
            max_queue=options.max_queue,
            threads=options.batch_threads,
            observe=self.metrics.observe_batch,
        )
        add_gauge = self.metrics.add_gauge
        add_gauge("semenet_queue_length", "Items that wait for their batch.", lambda: batcher.waiting)
        add_gauge("semenet_computing_items", "Items that are being computed.", lambda: batcher.computing)
        add_gauge(
            "semenet_active_predictions",
            "Running predictions, from a request's headers to its answer.",
            lambda: self.active,
        )
        add_gauge("semenet_longest_call_seconds", "Seconds that the oldest call has run.", calls.longest)
        self._threads = concurrent.futures.ThreadPoolExecutor(_FORMAT_THREADS, thread_name_prefix="format")

    def readiness(self) -> str:
        """Returns "ready" if clients should send requests here, or else the reason why not."""
        if self.stopping:
            return "shutting down"
        return "overdue" if self._calls.longest() > self.options.timeout else "ready"

    async def check_address(self, request: fastapi.Request) -> None:
        """Raises a `RequestError`, 404, if the address names another model or version."""
        name, version = request.path_params["name"], request.path_params.get("version")
        served = str(self.model.version)
        if name != self.model.name or (version is not None and version.lstrip("0") != served.lstrip("0")):
            received = shortened(name) + ("" if version is None else f", version {shortened(version)}")
            raise RequestError(
                404,
                f"The model served is {self.model.name}, version {served}. "
                f"Received: {received}. Ask for the one that is served.",
            )

    async def predict(
        self,
        request: fastapi.Request,
        read: Callable[[Headers, bytearray], Awaitable[PredictRequest]],
    ) -> fastapi.Response:
        """Answers a request for predictions.

        Args:
            request: the request.
            read: reads a request's headers and body.

        Raises:
            RequestError, ClientDisconnect: see `respond`.
        """
        return await self.respond(request, lambda headers, body: self._answer(read(headers, body)))

    async def respond(
        self, request: fastapi.Request, answer: Callable[[Headers, bytearray], Awaitable[bytes]]
    ) -> fastapi.Response:
        """Answers a request whose body is read within the limits, in time, and only if its client waits.

        Args:
            request: the request.
            answer: from a request's headers and body to JSON.

        Raises:
            RequestError: the request cannot be answered with predictions.
            ClientDisconnect: the client went away.
        """
        if not self.accepts:
            raise RequestError(
                503, "A server that is shutting down takes no requests. Received: one. Send it to another."
            )
        self.active += 1
        try:
            async with self._bodies.read(request) as body, asyncio.timeout(self.options.timeout):
                content = await cancel_if_client_goes(request, answer(request.headers, body))
        except TimeoutError as error:
            raise RequestError(
                504,
                f"An answer must be ready within {self.options.timeout:g} s. Received: a request that took "
                "longer. Send fewer items per request, send later, or raise --timeout.",
            ) from error
        finally:
            self.active -= 1
        return fastapi.Response(content, media_type="application/json")

    async def _answer(self, reading: Awaitable[PredictRequest]) -> bytes:
        asked = await reading
        return await self.in_thread(write_response, await self.compute(asked), asked.by_row)

    async def compute(self, asked: PredictRequest) -> dict[str, np.ndarray]:
        """Computes a request in a batch with others; returns its outputs, arrays `(N, ...)`.

        Raises:
            RequestError: the request cannot be answered with predictions.
        """
        inputs, sizes = await self.in_thread(sized_inputs, asked.inputs, asked.count)
        shapes = item_shapes(inputs)
        return await self.batcher.submit(asked.signature.name, shapes, inputs, asked.count, sizes)

    def in_thread(self, function: Callable[..., _Result], *args: Any) -> Awaitable[_Result]:
        """Calls a function in one of the threads that read requests and write answers."""
        timed = self._calls.timed(function)
        return asyncio.get_running_loop().run_in_executor(self._threads, timed, *args)

    async def read_json(self, headers: Headers, body: bytearray) -> PredictRequest:
        """Reads TF Serving's JSON."""
        return await self.in_thread(read_request, body, self.model)

    async def read_dicom(self, headers: Headers, body: bytearray) -> PredictRequest:
        """Reads a DICOM file, alone or in a form, as a request of one item."""
        return await self.in_thread(self._decode_dicom, await uploaded_file(headers, body))

    def _decode_dicom(self, contents: bytes) -> PredictRequest:
        if not is_dicom(contents[:HEAD_BYTES]):
            raise invalid(
                "A file sent to :predict_dicom must be a DICOM file. "
                f"Received: {len(contents)} bytes that begin with {contents[:8]!r}. "
                "Send PNG and JPEG to :predict."
            )
        try:
            image = read_image(contents, name="the file sent")
        except SemenetError as error:
            raise invalid(str(error)) from error
        signature = self.model.signature(PIXELS_SIGNATURE)
        return PredictRequest(signature, {"pixels": image[np.newaxis]}, by_row=True)


def create_app(service: Service) -> fastapi.FastAPI:
    """Returns the ASGI application of a service."""

    @contextlib.asynccontextmanager
    async def compute_batches(app: fastapi.FastAPI) -> AsyncIterator[None]:
        batches = asyncio.create_task(service.batcher.run())
        yield
        batches.cancel()

    app = fastapi.FastAPI(lifespan=compute_batches, openapi_url=None, redirect_slashes=False)
    # The last one sees a request first.
    if service.options.allow_origin:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=service.options.allow_origin,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(AccessMiddleware, options=service.options, token=service.token)
    app.add_middleware(UnreadBodyMiddleware)
    app.add_middleware(RequestMetricsMiddleware, metrics=service.metrics)
    _add_error_handlers(app)
    for prefix in (rest_addresses.MODEL, rest_addresses.VERSION):
        app.include_router(_model_routes(service, prefix))
    if service.options.page:
        app.include_router(page_routes(service))

    @app.api_route("/healthz", methods=_HEALTH_METHODS)
    @app.api_route("/healthz/ready", methods=_HEALTH_METHODS)
    async def ready() -> fastapi.Response:
        status = service.readiness()
        return _json({"status": status}, 200 if status == "ready" else 503)

    @app.api_route("/healthz/live", methods=_HEALTH_METHODS)
    async def live() -> fastapi.Response:
        return _json({"status": "live"})

    @app.get("/metrics")
    async def metrics() -> fastapi.Response:
        return fastapi.Response(service.metrics.text(), media_type=CONTENT_TYPE)

    return app


def _model_routes(service: Service, prefix: str) -> fastapi.APIRouter:
    """Returns the routes of the model, or of its version, all of which check the address first."""
    router = fastapi.APIRouter(prefix=prefix, dependencies=[fastapi.Depends(service.check_address)])

    @router.get("")
    async def status() -> fastapi.Response:
        return _json(service.model.status())

    @router.get("/metadata")
    async def metadata() -> fastapi.Response:
        return _json(service.model.metadata)

    @router.post(":predict")
    async def predict(request: fastapi.Request) -> fastapi.Response:
        return await service.predict(request, service.read_json)

    @router.post(":predict_dicom")
    async def predict_dicom(request: fastapi.Request) -> fastapi.Response:
        return await service.predict(request, service.read_dicom)

    return router


def _add_error_handlers(app: fastapi.FastAPI) -> None:
    """Makes every error {"error": "..."}, as in TF Serving."""

    @app.exception_handler(RequestError)
    async def refused(request: fastapi.Request, error: RequestError) -> fastapi.Response:
        return _json({"error": str(error)}, error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def no_route(request: fastapi.Request, error: HTTPException) -> fastapi.Response:
        message = (
            "An address must be one of TF Serving's REST interface, with its method. Received: "
            f"{request.method} {shortened(request.url.path)}. For predictions, POST /v1/models/NAME:predict."
        )
        return _json({"error": message}, error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: fastapi.Request, error: ClientDisconnect) -> fastapi.Response:
        return fastapi.Response(status_code=_CLIENT_GONE)

    @app.exception_handler(Exception)
    async def defect(request: fastapi.Request, error: Exception) -> fastapi.Response:
        # Starlette raises the error again, and uvicorn logs its traceback.
        message = (
            f"The server has a defect. Received: a request that raised {type(error).__name__}. "
            "Report it with the server's log."
        )
        return _json({"error": message}, 500)


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> fastapi.Response:
    return fastapi.Response(orjson.dumps(content), status, headers, "application/json")
