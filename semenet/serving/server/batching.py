"""Requests of several clients joined into one call of a signature, each getting its own answer.

As TF Serving's batching: the first item of a batch waits for others for a few milliseconds; while one
batch is computed the next one gathers. All but the computing happens in the event loop, so that no lock is
needed.
"""

import asyncio
import collections
import concurrent.futures
import dataclasses

import numpy as np

from semenet.serving.server.request_errors import RequestError, invalid


@dataclasses.dataclass(eq=False)
class _Piece:
    """So much of one request as fits a batch.

    Attributes:
        inputs: dict of names to arrays `(n, ...)`.
        count: int, n.
        arrived: float, the event loop's time.
        answer: future of the dict of its outputs.
    """

    inputs: dict
    count: int
    arrived: float
    answer: asyncio.Future


class Batcher:
    """Gathers items and has them computed, a batch in each of a few threads.

    Args:
        compute: function of a signature's name and a dict of arrays `(n, ...)` to a dict of arrays
            `(n, ...)`; called in threads of the batcher.
        max_batch: int, most items a call.
        delay: float, seconds that an item waits for others.
        max_queue: int, most items that wait.
        threads: int, batches computed at once.
        observe: function of the number of items of each call, and its outputs.

    Attributes:
        computing: int, the items that are being computed.
    """

    def __init__(self, compute, max_batch, delay, max_queue, threads, observe):
        self._compute, self._observe = compute, observe
        self._max_batch, self._delay, self._max_queue = max_batch, delay, max_queue
        self._queues = collections.defaultdict(collections.deque)
        self.computing = 0
        self._arrived = asyncio.Event()
        self._count = threads
        self._threads = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="batches")

    @property
    def waiting(self):
        """int, the items that wait for their batch."""
        return sum(piece.count for queue in self._queues.values() for piece in queue)

    async def submit(self, signature, shape, inputs, count):
        """Computes the items of one request. Cancelled while they wait, they are not computed.

        Args:
            signature: str, its name.
            shape: what must be equal of items of one batch.
            inputs: dict of names to arrays `(count, ...)`.
            count: int.

        Returns:
            dict of output names to arrays `(count, ...)`.

        Raises:
            RequestError: 503 when the queue is full, 400 for more items than it can ever hold, or what
                `compute` raises for these items.
        """
        if count > self._max_queue:
            raise invalid(
                f"A request may have at most {self._max_queue} items. Received: {count}. "
                "Send several requests."
            )
        waiting = self.waiting
        if waiting + count > self._max_queue:
            raise RequestError(
                503,
                f"At most {self._max_queue} items can wait. Received: {count} more, with {waiting} waiting. "
                "Try again later.",
            )
        loop = asyncio.get_running_loop()
        starts = range(0, count, self._max_batch)
        pieces = []
        for start in starts:
            part = {name: values[start : start + self._max_batch] for name, values in inputs.items()}
            size = min(self._max_batch, count - start)
            pieces.append(_Piece(part, size, loop.time(), loop.create_future()))
        queue = self._queues[signature, shape]
        queue.extend(pieces)
        self._arrived.set()
        try:
            parts = await asyncio.gather(*(piece.answer for piece in pieces))
        finally:
            # Of a request that was cancelled, or one piece of which failed.
            for piece in pieces:
                piece.answer.cancel()
                if piece in queue:
                    queue.remove(piece)
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    async def run(self):
        """Computes batches until it is cancelled."""
        await asyncio.gather(*(self._compute_batches() for _ in range(self._count)))

    async def _compute_batches(self):
        loop = asyncio.get_running_loop()
        while True:
            key = await self._next()
            # Nothing else runs in between: no other thread's batch has them.
            pieces = self._take(key)
            count = sum(piece.count for piece in pieces)
            self.computing += count
            outcomes = await loop.run_in_executor(self._threads, self._outcomes, key[0], pieces)
            self.computing -= count
            for piece, outcome in zip(pieces, outcomes, strict=True):
                # Who asked may have gone meanwhile.
                if piece.answer.done():
                    continue
                if isinstance(outcome, Exception):
                    piece.answer.set_exception(outcome)
                else:
                    piece.answer.set_result(outcome)

    async def _next(self):
        """Waits until a batch is due; returns its queue's key."""
        loop = asyncio.get_running_loop()
        while True:
            # Each shape has its own: one that is empty must not stay for ever.
            for key in [key for key, queue in self._queues.items() if not queue]:
                del self._queues[key]
            now = loop.time()
            due = {key: queue[0].arrived + self._delay for key, queue in self._queues.items()}
            ready = [key for key in due if due[key] <= now or self._is_full(key)]
            if ready:
                return min(ready, key=due.get)
            self._arrived.clear()
            await _wait_until(self._arrived, min(due.values(), default=None))

    def _is_full(self, key):
        return sum(piece.count for piece in self._queues[key]) >= self._max_batch

    def _take(self, key):
        """Takes the pieces of the next batch from their queue, in the order they came."""
        queue, pieces, count = self._queues[key], [], 0
        while queue and count + queue[0].count <= self._max_batch:
            pieces.append(queue.popleft())
            count += pieces[-1].count
        return pieces

    def _outcomes(self, signature, pieces):
        """What each piece gets, its outputs or an exception. One that fails leaves the others right."""
        names = pieces[0].inputs
        joined = {name: np.concatenate([piece.inputs[name] for piece in pieces]) for name in names}
        try:
            outputs = self._compute(signature, joined)
        except Exception as error:  # Whatever it is, the clients that wait for it are told.
            if len(pieces) == 1:
                return [error]
            return [self._outcomes(signature, [piece])[0] for piece in pieces]
        self._observe(sum(piece.count for piece in pieces), outputs)
        ends = np.cumsum([piece.count for piece in pieces])
        return [
            {name: values[end - piece.count : end] for name, values in outputs.items()}
            for piece, end in zip(pieces, ends, strict=True)
        ]


async def _wait_until(event, due):
    """Waits for an event, or until the event loop's time is `due`; None for no such time."""
    try:
        async with asyncio.timeout_at(due):
            await event.wait()
    except TimeoutError:
        return
