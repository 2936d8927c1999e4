"""What the server counts, for Prometheus."""

import time

import numpy as np
import prometheus_client

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
_NOT_FOUND = "none"
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class ServerMetrics:
    """Counters and histograms of one server, in a registry of its own."""

    def __init__(self):
        self._registry = prometheus_client.CollectorRegistry()
        of = {"registry": self._registry}
        self._requests = prometheus_client.Counter(
            "semenet_requests", "Requests answered.", ["route", "status"], **of
        )
        self._seconds = prometheus_client.Histogram(
            "semenet_request_seconds",
            "Seconds from a request's headers to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            **of,
        )
        self._batches = prometheus_client.Histogram(
            "semenet_batch_size", "Items that one call of the network computed.", buckets=_BATCH_SIZES, **of
        )
        self._queue = prometheus_client.Gauge(
            "semenet_queue_length", "Items that wait for their batch.", **of
        )
        self._computing = prometheus_client.Gauge(
            "semenet_computing_items", "Items that are being computed.", **of
        )
        self._active = prometheus_client.Gauge(
            "semenet_active_predictions",
            "Predictions under way, from a request's headers to its answer.",
            **of,
        )
        self._bad_items = prometheus_client.Counter(
            "semenet_bad_items", "Items that got an error_code instead of a prediction.", ["error_code"], **of
        )

    def watch(self, queue_length, computing, active):
        """Takes what is asked for, not counted, from functions without arguments that give an int."""
        self._queue.set_function(queue_length)
        self._computing.set_function(computing)
        self._active.set_function(active)

    def observe_batch(self, count, outputs):
        """Counts one call of the network: its items, and those it could not use."""
        self._batches.observe(count)
        codes = outputs.get("error_code", np.zeros(0, "int32"))
        for code, number in zip(*np.unique(codes[codes != 0], return_counts=True), strict=True):
            self._bad_items.labels(str(code)).inc(number)

    def observe_request(self, route, status, seconds):
        """Counts one answered request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self):
        """bytes, in Prometheus' text format."""
        return prometheus_client.generate_latest(self._registry)


class ObservesRequests:
    """ASGI middleware that counts requests by route and status, and how long they took.

    Args:
        app: ASGI application.
        metrics: `ServerMetrics`.
    """

    def __init__(self, app, metrics):
        self.app, self._metrics = app, metrics

    async def __call__(self, scope, receive, send):
        """Handles one connection or event, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.monotonic()
        # Of what is raised before an answer begins.
        status = 500

        async def answer(message):
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            # The route's pattern: clients cannot make up new ones without end.
            route = getattr(scope.get("route"), "path", _NOT_FOUND)
            self._metrics.observe_request(route, status, time.monotonic() - began)
