from .grpc_services import start_grpc as start_grpc
from .rest_format import read_request as read_request
from .rest_format import write_response as write_response

__all__ = ["read_request", "start_grpc", "write_response"]
