"""The server's metrics, for Prometheus.

prometheus_client counts and writes; it has no ASGI middleware that counts requests by route.
"""

import time
from collections.abc import Callable

import numpy as np
import prometheus_client
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class ServerMetrics:
    """Counters and histograms of one server, in their own registry."""

    def __init__(self) -> None:
        registry = self._registry = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "semenet_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self._seconds = prometheus_client.Histogram(
            "semenet_request_seconds",
            "Seconds from a request's headers to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = prometheus_client.Histogram(
            "semenet_batch_size", "Items in one call of the network.", buckets=_BATCH_SIZES, registry=registry
        )
        self._bad_items = prometheus_client.Counter(
            "semenet_bad_items",
            "Items that got an error_code instead of a prediction.",
            ["error_code"],
            registry=registry,
        )

    def add_gauge(self, name: str, description: str, value: Callable[[], int]) -> None:
        """Adds a metric whose value is read when the metrics are."""
        prometheus_client.Gauge(name, description, registry=self._registry).set_function(value)

    def observe_batch(self, count: int, outputs: dict[str, np.ndarray]) -> None:
        """Counts one call of the network: its items, and those with an `error_code`."""
        self._batches.observe(count)
        codes = outputs.get("error_code", np.zeros(0, "int32"))
        for code, number in zip(*np.unique(codes[codes != 0], return_counts=True), strict=True):
            self._bad_items.labels(str(code)).inc(number)

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Returns all metrics in Prometheus' text format."""
        return prometheus_client.generate_latest(self._registry)


class RequestMetricsMiddleware:
    """ASGI middleware that counts requests by route and status, and measures their duration.

    Args:
        app: ASGI application.
        metrics: where to count.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics) -> None:
        self.app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.monotonic()
        # The status of an error that is raised before the answer starts.
        status = 500

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, send_and_note_status)
        finally:
            # The route's pattern, since clients could invent any number of paths.
            route = getattr(scope.get("route"), "path_format", "none")
            self._metrics.observe_request(route, status, time.monotonic() - start)
