"""TF Serving's gRPC interface: Predict, GetModelMetadata and GetModelStatus.

Messages and services are those of tensorflow-serving-api, so that TF Serving's clients need no change.
Classify, Regress and MultiInference, which take `tf.Example`, are not there.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import TypeVar

import google.protobuf.json_format
import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.apis.model_pb2 import ModelSpec

from semenet.errors import SemenetError
from semenet.serving.server.app import Service
from semenet.serving.server.interfaces.grpc_tensors import read_message, write_message
from semenet.serving.server.request_errors import RequestError, shortened

# The gRPC status of each HTTP status with which a request is refused.
_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_METADATA = "signature_def"
_AVAILABLE = get_model_status_pb2.ModelVersionStatus.State.AVAILABLE
_Answer = TypeVar("_Answer")


class GrpcServices(
    prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer
):
    """The calls that are answered.

    Args:
        service: the service whose model, limits, batches and token are used.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def Predict(  # noqa: N802, the name is that of the service
        self, request: predict_pb2.PredictRequest, context: grpc.aio.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Computes predictions."""
        return await self._answer(context, request.model_spec, lambda: self._predict(request))

    async def GetModelMetadata(  # noqa: N802
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.aio.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Returns the signatures."""
        return await self._answer(context, request.model_spec, lambda: self._metadata(request))

    async def GetModelStatus(  # noqa: N802
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.aio.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Returns the state of the version that is served."""
        return await self._answer(context, request.model_spec, self._status)

    async def _answer(
        self,
        context: grpc.aio.ServicerContext,
        asked: ModelSpec,
        compute: Callable[[], Awaitable[_Answer]],
    ) -> _Answer:
        """Answers a call within the limits; an error ends it with the status of its kind."""
        service = self._service
        service.active += 1
        try:
            self._check_token(context)
            self._check_model(asked)
            async with asyncio.timeout(service.options.timeout):
                return await compute()
        except TimeoutError:
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"An answer must be ready within {service.options.timeout:g} s. Received: a request that "
                "took longer. Send fewer items per request, send later, or raise --timeout.",
            )
        except RequestError as error:
            await context.abort(_STATUS.get(error.status, grpc.StatusCode.INTERNAL), str(error))
        finally:
            service.active -= 1

    def _check_token(self, context: grpc.aio.ServicerContext) -> None:
        token = self._service.token
        if token is None:
            return
        sent = dict(context.invocation_metadata() or ()).get("authorization", "")
        kind, _, value = str(sent).partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(value.strip().encode(), token.encode()):
            raise RequestError(
                401,
                f"A call must have the server's token. Received: {'another' if sent else 'none'}. Send the "
                "metadata authorization: Bearer TOKEN.",
            )

    def _check_model(self, asked: ModelSpec) -> None:
        model = self._service.model
        version = asked.version.value if asked.HasField("version") else model.version
        if asked.name != model.name or version != model.version or asked.version_label:
            received = f"{shortened(asked.name)}, version {asked.version_label or version}"
            raise RequestError(
                404,
                f"The model served is {model.name}, version {model.version}. Received: {received}. Ask for "
                "the one that is served.",
            )

    async def _predict(self, message: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        service = self._service
        if not service.accepts:
            raise RequestError(
                503, "A server that is shutting down takes no requests. Received: one. Send it to another."
            )
        limit = service.options.max_request_bytes
        asked = await service.in_thread(read_message, message, service.model, limit)
        outputs = await service.compute(asked)
        wanted = list(message.output_filter)
        return await service.in_thread(write_message, outputs, service.model, asked.signature.name, wanted)

    async def _metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if list(request.metadata_field) != [_METADATA]:
            raise RequestError(
                400,
                f"metadata_field must be {_METADATA}. Received: {shortened(list(request.metadata_field))}. "
                "Ask for it alone.",
            )
        model = self._service.model
        found = get_model_metadata_pb2.SignatureDefMap()
        definitions = model.metadata["metadata"]["signature_def"]["signature_def"]
        for name, definition in definitions.items():
            google.protobuf.json_format.ParseDict(
                definition, found.signature_def[name], ignore_unknown_fields=False
            )
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name, response.model_spec.version.value = model.name, model.version
        response.metadata[_METADATA].Pack(found)
        return response

    async def _status(self) -> get_model_status_pb2.GetModelStatusResponse:
        response = get_model_status_pb2.GetModelStatusResponse()
        response.model_version_status.add(version=self._service.model.version, state=_AVAILABLE)
        return response


async def start_grpc(service: Service, host: str, port: int) -> tuple[grpc.aio.Server, int]:
    """Starts the interface in the running event loop.

    Args:
        service: the service.
        host: name or address to listen at.
        port: port; 0 for a free one.

    Returns:
        The server, and its port.

    Raises:
        SemenetError: the address does not exist or is in use.
    """
    limit = service.options.max_request_bytes
    server = grpc.aio.server(
        maximum_concurrent_rpcs=service.options.max_queue,
        options=[
            ("grpc.max_receive_message_length", limit),
            ("grpc.max_send_message_length", -1),
            # Two servers at one port would share its clients in silence.
            ("grpc.so_reuseport", 0),
        ],
    )
    services = GrpcServices(service)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(services, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(services, server)
    name = f"[{host}]" if ":" in host else host
    try:
        bound = server.add_insecure_port(f"{name}:{port}")
    except RuntimeError as error:
        raise SemenetError(
            "The server must be able to listen at its gRPC address. "
            f"Received: {host}, port {port}. Give another --grpc-port."
        ) from error
    await server.start()
    return server, bound
