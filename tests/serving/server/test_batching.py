"""The batcher alone, with a compute function that the test controls."""

import asyncio
import threading

import numpy as np
import pytest

from semenet.serving.server.batching import Batcher
from semenet.serving.server.request_errors import RequestError


class Model:
    """Doubles numbers and records its calls; refuses negative numbers; waits for `gate`."""

    def __init__(self):
        self.calls, self.gate = [], threading.Event()
        self.gate.set()

    def __call__(self, signature, inputs):
        self.gate.wait()
        values = inputs["x"]
        self.calls.append((signature, values.tolist()))
        if (values < 0).any():
            raise RequestError(400, "below zero")
        return {"y": 2 * values}


def run(test, model, **settings):
    """Runs a coroutine function of a `Batcher` while that batcher computes."""
    defaults = {"max_batch": 4, "max_size": 10, "delay": 0.0, "max_queue": 16, "threads": 1}

    async def body():
        batcher = Batcher(model, **defaults | settings, observe=lambda count, outputs: None)
        working = asyncio.create_task(batcher.run())
        try:
            return await test(batcher)
        finally:
            model.gate.set()
            working.cancel()

    return asyncio.run(body())


def submit(batcher, *values, signature="s", shape=(), sizes=None):
    x = np.array(values)
    return asyncio.ensure_future(batcher.submit(signature, shape, {"x": x}, len(x), sizes or [0] * len(x)))


async def start_batch(batcher, model):
    """Starts a batch that ends when the model's gate opens."""
    model.gate.clear()
    first = submit(batcher, 0)
    while not first.done() and (not batcher.waiting):
        await asyncio.sleep(0)
    while batcher.waiting:
        await asyncio.sleep(0.001)
    return first


def test_joins_by_signature_and_shape_in_the_order_of_arrival():
    model = Model()

    async def test(batcher):
        first = await start_batch(batcher, model)
        waiting = [
            submit(batcher, 1, shape=(1,)),
            submit(batcher, 2, shape=(2,)),
            submit(batcher, 3, signature="t", shape=(1,)),
            submit(batcher, 4, 5, shape=(1,)),
            submit(batcher, 6, 7, shape=(1,)),
        ]
        await asyncio.sleep(0)
        assert batcher.waiting == 7
        model.gate.set()
        await first
        return [(await future)["y"].tolist() for future in waiting]

    assert run(test, model) == [[2], [4], [6], [8, 10], [12, 14]]
    # The last pair does not fit into the first batch, which has a limit of four items.
    assert model.calls == [("s", [0]), ("s", [1, 4, 5]), ("s", [2]), ("t", [3]), ("s", [6, 7])]


def test_a_full_batch_starts_at_once_and_an_incomplete_one_waits():
    model = Model()

    async def test(batcher):
        full = [submit(batcher, 1, 2), submit(batcher, 3, 4)]
        lone = submit(batcher, 5, shape=(9,))
        await asyncio.wait_for(asyncio.gather(*full), 60)
        await asyncio.sleep(0.05)
        assert not lone.done()
        lone.cancel()

    run(test, model, delay=3600.0)
    assert model.calls == [("s", [1, 2, 3, 4])]


def test_later_items_join_while_the_first_waits():
    model = Model()

    async def test(batcher):
        first = submit(batcher, 1)
        await asyncio.sleep(0.05)
        return await asyncio.gather(first, submit(batcher, 2))

    run(test, model, delay=3600.0, max_batch=2)
    assert model.calls == [("s", [1, 2])]


def test_a_long_request_is_reassembled_and_fails_if_one_part_fails():
    model = Model()

    async def test(batcher):
        whole = await submit(batcher, *range(10))
        first = await start_batch(batcher, model)
        failing = submit(batcher, *range(5), -1, *range(6, 10))
        await asyncio.sleep(0)
        model.gate.set()
        await first
        with pytest.raises(RequestError, match="below zero"):
            await failing
        assert batcher.waiting == 0
        return whole["y"].tolist()

    assert run(test, model) == list(range(0, 20, 2))


def test_large_items_are_computed_in_smaller_batches():
    """A batch has at most `max_size` pixels, so that its memory is bounded; a larger item goes alone."""
    model = Model()

    async def test(batcher):
        first = await start_batch(batcher, model)
        waiting = [
            submit(batcher, 1, 2, 3, sizes=[6, 5, 5]),
            submit(batcher, 4, sizes=[4]),
            submit(batcher, 5, 6, sizes=[99, 1]),
        ]
        await asyncio.sleep(0)
        model.gate.set()
        await first
        return [(await future)["y"].tolist() for future in waiting]

    assert run(test, model) == [[2, 4, 6], [8], [10, 12]]
    assert [values for _, values in model.calls] == [[0], [1], [2, 3], [4], [5], [6]]


def test_a_failed_batch_is_repeated_for_each_request_alone():
    model = Model()

    async def test(batcher):
        first = await start_batch(batcher, model)
        waiting = [submit(batcher, 1), submit(batcher, -2), submit(batcher, 3)]
        await asyncio.sleep(0)
        model.gate.set()
        return await asyncio.gather(first, *waiting, return_exceptions=True)

    _, one, two, three = run(test, model)
    assert (one["y"].tolist(), three["y"].tolist()) == ([2], [6])
    assert isinstance(two, RequestError)
    assert [values for _, values in model.calls] == [[0], [1, -2, 3], [1], [-2], [3]]


def test_a_cancelled_request_is_not_computed_and_leaves_the_queue():
    model = Model()

    async def test(batcher):
        first = await start_batch(batcher, model)
        gone = submit(batcher, 1, 2, 3, 4, 5)
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as full:
            await submit(batcher, 6)
        assert full.value.status == 503
        gone.cancel()
        await asyncio.sleep(0.01)
        assert batcher.waiting == 0
        kept = submit(batcher, 6)
        model.gate.set()
        await asyncio.gather(first, kept)
        with pytest.raises(RequestError) as never:
            await submit(batcher, *range(6))
        assert never.value.status == 400

    run(test, model, max_queue=5)
    assert [values for _, values in model.calls] == [[0], [6]]


def test_several_batches_are_computed_at_the_same_time():
    model = Model()
    inside = threading.Barrier(2)

    def compute(signature, inputs):
        # Neither call ends before the other has started.
        inside.wait(60)
        return model(signature, inputs)

    async def test(batcher):
        return await asyncio.gather(*(submit(batcher, number, shape=(number,)) for number in (1, 2)))

    compute.gate = model.gate
    assert [answer["y"].tolist() for answer in run(test, compute, threads=2)] == [[2], [4]]
