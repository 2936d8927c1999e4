"""Calls in threads are measured while they run, and health follows them."""

import asyncio
import json
import threading

import numpy as np
import pytest
import tensorflow as tf
from asgi_client import send, service_of

from semenet.serving.server.app import create_app
from semenet.serving.server.options import ServerOptions
from semenet.serving.server.running_calls import RunningCalls


def test_the_oldest_running_call_is_measured(monkeypatch):
    now = 100.0
    monkeypatch.setattr("semenet.serving.server.running_calls.time.monotonic", lambda: now)
    calls = RunningCalls()

    @calls.timed
    def outer():
        nonlocal now
        now += 5
        inner()
        assert calls.longest() == 7

    @calls.timed
    def inner():
        nonlocal now
        now += 2
        assert calls.longest() == 7
        raise KeyError

    assert calls.longest() == 0
    with pytest.raises(KeyError):
        outer()
    assert calls.longest() == 0


def test_a_computation_that_outlasts_its_time_out_makes_health_not_ready_until_it_ends():
    gate = threading.Event()

    def compute(name, inputs):
        gate.wait()
        return {"y": np.zeros(1)}

    options = ServerOptions(timeout=0.05)
    service = service_of(compute, {"x": tf.TensorSpec([None], tf.int32)}, options)

    async def attend():
        batches = asyncio.create_task(service.batcher.run())
        app = create_app(service)
        body = json.dumps({"instances": [1]}).encode()
        late = await send(app, "POST", "/v1/models/m:predict", body)
        # A little later than the request's time-out, since the computation started after it.
        await asyncio.sleep(0.05)
        during = await send(app, "GET", "/healthz"), await send(app, "GET", "/healthz/live")
        gate.set()
        while service.readiness() != "ready":
            await asyncio.sleep(0.01)
        after = await send(app, "GET", "/healthz")
        batches.cancel()
        return late, *during, after

    late, during, live, after = asyncio.run(attend())
    assert (late.status, live.status) == (504, 200)
    assert (during.status, during.content) == (503, {"status": "overdue"})
    assert (after.status, after.content) == (200, {"status": "ready"})
