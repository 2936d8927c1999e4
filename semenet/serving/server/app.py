"""The routes of the server: TF Serving's REST interface, DICOM, health and metrics."""

import asyncio
import concurrent.futures
import contextlib

import fastapi
import numpy as np
import orjson
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from semenet.data.images.formats.dicom import HEAD_BYTES, is_dicom
from semenet.data.images.reading import read_image
from semenet.errors import SemenetError
from semenet.serving.server.batching import Batcher
from semenet.serving.server.metrics import CONTENT_TYPE, ObservesRequests, ServerMetrics
from semenet.serving.server.request_body import BodyReader, ClosesUnreadBodies, uploaded_file
from semenet.serving.server.request_errors import RequestError, invalid, shown
from semenet.serving.server.rest_format import PredictRequest, read_request, write_response
from semenet.serving.server.served_model import PIXELS_SIGNATURE, shape_of_items

# JSON keeps Python's lock, so that more threads would not be faster; and each holds a request as objects.
_FORMAT_THREADS = 2
# What nginx writes for a client that went away: nobody sees it but the metrics.
_CLIENT_GONE = 499
# Of health: some load balancers ask without wanting to read.
_LOOKS = ["GET", "HEAD"]


class _Digits(StringConvertor):
    """Of an address the version, as text: Python makes no number of some thousand digits."""

    regex = "[0-9]+"


register_url_convertor("digits", _Digits())


class Service:
    """What the routes share.

    Args:
        model: `semenet.serving.server.served_model.ServedModel`.
        options: `semenet.serving.server.options.ServerOptions`.

    Attributes:
        ready: bool, whether clients should be sent here.
        accepts: bool, whether predictions are still begun.
        active: int, predictions that are under way.
        metrics: `ServerMetrics`.
    """

    def __init__(self, model, options):
        self.model, self.options = model, options
        self.ready = self.accepts = True
        self.active = 0
        self.metrics = ServerMetrics()
        self.bodies = BodyReader(options.max_request_bytes, options.read_timeout)
        self.batcher = Batcher(
            model.compute,
            max_batch=options.max_batch,
            delay=options.batch_timeout_ms / 1000,
            max_queue=options.max_queue,
            threads=options.batch_threads,
            observe=self.metrics.observe_batch,
        )
        self.metrics.watch(
            queue_length=lambda: self.batcher.waiting,
            computing=lambda: self.batcher.computing,
            active=lambda: self.active,
        )
        self._threads = concurrent.futures.ThreadPoolExecutor(_FORMAT_THREADS, thread_name_prefix="format")

    def check_address(self, name, version=None):
        """Raises a `RequestError`, 404, unless the model and its version, digits, are served."""
        another = version is not None and version.lstrip("0") != str(self.model.version).lstrip("0")
        if name != self.model.name or another:
            received = shown(name) + ("" if version is None else f", version {shown(version)}")
            raise RequestError(
                404,
                f"The model served is {self.model.name}, version {self.model.version}. "
                f"Received: {received}. Ask for that one.",
            )

    async def predict(self, request, name, version, read):
        """Answers a request for predictions.

        Args:
            request: `fastapi.Request`.
            name: str, the model's, from the address.
            version: str of digits or None, likewise.
            read: coroutine function of the request and its body, a bytearray, to a `PredictRequest`.

        Returns:
            `fastapi.Response`.

        Raises:
            RequestError: whatever keeps the request from its answer.
            ClientDisconnect: the client went away.
        """
        self.check_address(name, version)
        if not self.accepts:
            raise RequestError(
                503, "A server that is shutting down takes no requests. Received: one. Send it to another."
            )
        self.active += 1
        try:
            async with self.bodies.read(request) as body:
                async with asyncio.timeout(self.options.timeout):
                    content = await _unless_gone(request, self._answer(read(request, body)))
        except TimeoutError as error:
            raise RequestError(
                504,
                f"An answer must be ready within {self.options.timeout:g} s. Received: a request that took "
                "longer. Send fewer items a request, send later, or raise --timeout.",
            ) from error
        finally:
            self.active -= 1
        return fastapi.Response(content, media_type="application/json")

    async def _answer(self, reading):
        asked = await reading
        shape = shape_of_items(asked.inputs)
        outputs = await self.batcher.submit(asked.signature.name, shape, asked.inputs, asked.count)
        return await self._in_thread(write_response, outputs, asked.by_row)

    def _in_thread(self, function, *arguments):
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def read_json(self, request, body):
        """Reads TF Serving's JSON as a `PredictRequest`."""
        return await self._in_thread(read_request, body, self.model)

    async def read_dicom(self, request, body):
        """Reads a DICOM file, bare or in a form, as a `PredictRequest` of one item."""
        return await self._in_thread(self._decode_dicom, await uploaded_file(request, body))

    def _decode_dicom(self, contents):
        if not is_dicom(contents[:HEAD_BYTES]):
            raise invalid(
                "What is sent to :predict_dicom must be a DICOM file. "
                f"Received: {len(contents)} bytes that begin with {contents[:8]!r}. "
                "Send PNG and JPEG to :predict."
            )
        try:
            image = read_image(contents, name="the file sent")
        except SemenetError as error:
            raise invalid(str(error)) from error
        signature = self.model.signature(PIXELS_SIGNATURE)
        return PredictRequest(signature, {"pixels": image[np.newaxis]}, by_row=True)


def create_app(service):
    """Makes the ASGI application.

    Args:
        service: `Service`.

    Returns:
        `fastapi.FastAPI`.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app):
        batches = asyncio.create_task(service.batcher.run())
        yield
        batches.cancel()

    app = fastapi.FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.add_middleware(ClosesUnreadBodies)
    app.add_middleware(ObservesRequests, metrics=service.metrics)
    _add_errors(app)
    # Before NAME, which NAME:predict would match too: the method that a refusal names is that of the first.
    _add_predict_routes(app, service)
    _add_model_routes(app, service)

    @app.api_route("/healthz", methods=_LOOKS)
    @app.api_route("/healthz/ready", methods=_LOOKS)
    async def ready():
        told = {"status": "ready" if service.ready else "shutting down"}
        return _json(told, 200 if service.ready else 503)

    @app.api_route("/healthz/live", methods=_LOOKS)
    async def live():
        return _json({"status": "live"})

    @app.get("/metrics")
    async def metrics():
        return fastapi.Response(service.metrics.text(), media_type=CONTENT_TYPE)

    return app


def _add_model_routes(app, service):
    @app.get("/v1/models/{name}:predict")
    @app.get("/v1/models/{name}:predict_dicom")
    async def predict_by_get(name: str):
        # Else it would be taken for a model of that name.
        raise HTTPException(405, headers={"Allow": "POST"})

    @app.get("/v1/models/{name}")
    async def status(name: str):
        service.check_address(name)
        return _json(service.model.status())

    @app.get("/v1/models/{name}/versions/{version:digits}")
    async def status_of_version(name: str, version: str):
        service.check_address(name, version)
        return _json(service.model.status())

    @app.get("/v1/models/{name}/metadata")
    async def metadata(name: str):
        service.check_address(name)
        return _json(service.model.metadata)

    @app.get("/v1/models/{name}/versions/{version:digits}/metadata")
    async def metadata_of_version(name: str, version: str):
        service.check_address(name, version)
        return _json(service.model.metadata)


def _add_predict_routes(app, service):
    @app.post("/v1/models/{name}:predict")
    async def predict(request: fastapi.Request, name: str):
        return await service.predict(request, name, None, service.read_json)

    @app.post("/v1/models/{name}/versions/{version:digits}:predict")
    async def predict_by_version(request: fastapi.Request, name: str, version: str):
        return await service.predict(request, name, version, service.read_json)

    @app.post("/v1/models/{name}:predict_dicom")
    async def predict_dicom(request: fastapi.Request, name: str):
        return await service.predict(request, name, None, service.read_dicom)

    @app.post("/v1/models/{name}/versions/{version:digits}:predict_dicom")
    async def predict_dicom_by_version(request: fastapi.Request, name: str, version: str):
        return await service.predict(request, name, version, service.read_dicom)


def _add_errors(app):
    """Every error is {"error": "..."}, as TF Serving's."""

    @app.exception_handler(RequestError)
    async def refused(request, error):
        return _json({"error": str(error)}, error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def no_route(request, error):
        message = (
            "An address must be one of TF Serving's REST interface, by its method. Received: "
            f"{request.method} {shown(request.url.path)}. For predictions, POST /v1/models/NAME:predict."
        )
        return _json({"error": message}, error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request, error):
        return fastapi.Response(status_code=_CLIENT_GONE)

    @app.exception_handler(Exception)
    async def defect(request, error):
        # Starlette raises it again, and uvicorn writes its traceback.
        message = (
            f"The server has a defect. Received: a request that it raised {type(error).__name__} on. "
            "Report it with the server's log."
        )
        return _json({"error": message}, 500)


def _json(content, status=200, headers=None):
    return fastapi.Response(orjson.dumps(content), status, headers, "application/json")


async def _unless_gone(request, work):
    """Awaits `work`, but cancels it when the client's connection is cut."""
    working = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(request.receive())
    try:
        # After a body that was read whole, all that can be received is the end of the connection.
        await asyncio.wait({working, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        listening.cancel()
