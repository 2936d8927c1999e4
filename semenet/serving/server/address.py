"""The address that the server listens at: taken before the model is loaded, open to clients after."""

import os
import socket

from semenet.errors import SemenetError


def take(host, port):
    """Takes an address, at which clients are refused until `open_to_clients`.

    Args:
        host: str, a name or an address.
        port: int; 0 for one that is free.

    Returns:
        `socket.socket`.

    Raises:
        ValueError: there is no such address, or somebody listens there.
    """
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        if os.name == "posix":
            # The connections of a server that has just ended must not keep the next one from its port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Whoever gives an IPv6 address means no IPv4.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise _unusable(host, port, error) from error
    return listener


def open_to_clients(listener):
    """Lets clients connect.

    Args:
        listener: what `take` gave.

    Raises:
        ValueError: another server took the address at the same time, and was ready first.
    """
    try:
        listener.listen()
    except OSError as error:
        raise _unusable(*listener.getsockname()[:2], error) from error


def _unusable(host, port, error):
    return SemenetError(
        "A server must be able to listen at its address. "
        f"Received: {host}, port {port} ({error.strerror}). Give another --host or --port."
    )
