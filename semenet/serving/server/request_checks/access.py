"""Who may use the server: the hosts and origins of browsers, and a bearer token.

A page of another site can send requests to a server on the user's own machine. By DNS rebinding it can read
the answers too: its own name then leads to 127.0.0.1. Both are visible in the headers of a browser, `Host`
and `Origin`. Starlette's `TrustedHostMiddleware` takes no addresses such as [::1], and has no origins.

Reference:
    https://datatracker.ietf.org/doc/html/rfc6750, the header of a bearer token.
"""

import hmac
import ipaddress
import os
import pathlib
import urllib.parse
from collections.abc import Mapping

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from semenet.errors import SemenetError
from semenet.serving.server.options import ServerOptions
from semenet.serving.server.request_errors import RequestError, shortened

TOKEN_VARIABLE = "SEMENET_SERVE_TOKEN"
_SHORTEST_TOKEN = 16
_HEALTH = "/healthz"
# The address of the page for a person.
PAGE = "/"
_BEARER = "bearer "


def read_token(options: ServerOptions, environment: Mapping[str, str] = os.environ) -> str | None:
    """Returns the token that clients must send, from the file of `options` or the environment.

    Args:
        options: the server's options.
        environment: environment variables.

    Returns:
        The token; None if there is none.

    Raises:
        SemenetError: two tokens, a file that cannot be read, or a token that is too short.
    """
    token = environment.get(TOKEN_VARIABLE)
    source = f"${TOKEN_VARIABLE}"
    if options.token_file is not None:
        if token is not None:
            raise SemenetError(
                f"The token must come from one place. Received: --token-file and ${TOKEN_VARIABLE}. "
                "Leave one out."
            )
        source = str(options.token_file)
        token = _read(options.token_file)
    if token is None:
        return None
    token = token.strip()
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise SemenetError(
            f"A token must have {_SHORTEST_TOKEN} or more printable ASCII characters without spaces. "
            f"Received: {source}, which has another content. Create one with `openssl rand -hex 32`."
        )
    return token


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not ASCII"
        raise SemenetError(
            f"--token-file must be a text file. Received: {path} ({reason}). Check the path."
        ) from error


def is_loopback(address: str) -> bool:
    """Returns whether only this machine can reach an address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


class AccessMiddleware:
    """ASGI middleware that refuses requests of other sites' pages, and requests without the token.

    Args:
        app: ASGI application.
        options: the server's options.
        token: what clients must send; None for nothing.
    """

    def __init__(self, app: ASGIApp, options: ServerOptions, token: str | None) -> None:
        self.app = app
        self._hosts = {"localhost", options.host.lower(), *(host.lower() for host in options.allow_host)}
        self._origins = {origin.lower() for origin in options.allow_origin}
        self._token = None if token is None else token.encode()
        self._has_page = options.page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] == "http":
            try:
                self._check(scope["method"], scope["path"], Headers(scope=scope))
            except RequestError as error:
                content = orjson.dumps({"error": str(error)})
                headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
                await Response(content, error.status, headers, "application/json")(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) > 1 or (hosts and not self._is_own_host(hosts[0])):
            raise RequestError(
                403,
                "A request's Host must be an address, localhost, the name given as --host, or one of "
                f"--allow-host. Received: {shortened(', '.join(hosts))}. "
                "Use one of these, or start the server with --allow-host NAME.",
            )
        origins = headers.getlist("origin")
        if any(not self._is_own_origin(origin, hosts) for origin in origins):
            raise _wrong_site(f"Origin: {shortened(', '.join(origins))}")
        # A link to the page may stand anywhere: the page itself is the same for everybody and holds nothing.
        is_page = self._has_page and method in ("GET", "HEAD") and path == PAGE
        is_link = is_page and headers.get("sec-fetch-dest") == "document"
        # A browser sends no Origin when a page only shows an image, for example.
        if not origins and not is_link and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise _wrong_site(f"Sec-Fetch-Site: {headers['sec-fetch-site']}")
        is_preflight = method == "OPTIONS" and origins and "access-control-request-method" in headers
        # A load balancer that checks health has no token, and a browser sends none before its request.
        # The page asks its user for it.
        if self._token is None or path.startswith(_HEALTH) or is_preflight or is_page:
            return
        sent = headers.get("authorization", "")
        token = sent[len(_BEARER) :].strip() if sent[: len(_BEARER)].lower() == _BEARER else ""
        # The duration does not show how many characters are right.
        if not hmac.compare_digest(token.encode(), self._token):
            raise RequestError(
                401,
                "A request must have the server's token. Received: "
                f"{'another' if token else 'none'}. Send the header Authorization: Bearer TOKEN.",
            )

    def _is_own_host(self, host: str) -> bool:
        name = _host_name(host)
        if name is None:
            return False
        # DNS rebinding needs a name: an address in Host was typed as an address.
        return name in self._hosts or _is_address(name)

    def _is_own_origin(self, origin: str, hosts: list[str]) -> bool:
        is_same = bool(hosts) and origin.lower().partition("://")[2] == hosts[0].lower()
        return is_same or origin.lower() in self._origins


def _wrong_site(received: str) -> RequestError:
    return RequestError(
        403,
        "A page of another site may use the server only if its origin is given as --allow-origin. "
        f"Received: {received}. Start the server with --allow-origin ORIGIN.",
    )


def _host_name(host: str) -> str | None:
    """Returns the name or address in a Host header without the port, in lower case; None if it is broken."""
    try:
        parts = urllib.parse.urlsplit(f"//{host}")
        # Reading the port checks it.
        return None if parts.path or parts.query or parts.port == 0 else parts.hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
