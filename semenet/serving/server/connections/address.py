"""The server's address: reserved before the model is loaded, opened to clients when the model is ready.

`uvicorn.Config.bind_socket` ends the process instead of raising an error, and serves IPv4 too at an IPv6
address. `socket.create_server` accepts connections at once.
"""

import os
import socket

from semenet.errors import SemenetError


def bind_address(host: str, port: int) -> socket.socket:
    """Reserves an address. Connections are refused until `listen` is called.

    Args:
        host: name or address.
        port: port; 0 for a free one.

    Returns:
        The bound socket.

    Raises:
        SemenetError: the address does not exist or is in use.
    """
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        if os.name == "posix":
            # Closed connections of an earlier server must not block the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise _address_error(host, port, error) from error
    return listener


def listen(listener: socket.socket) -> None:
    """Lets clients connect to a socket of `bind_address`.

    Raises:
        SemenetError: another server bound the same address and was ready first.
    """
    try:
        listener.listen()
    except OSError as error:
        raise _address_error(*listener.getsockname()[:2], error) from error


def _address_error(host: str, port: int, error: OSError) -> SemenetError:
    return SemenetError(
        "The server must be able to listen at its address. "
        f"Received: {host}, port {port} ({error.strerror}). Give another --host or --port."
    )
