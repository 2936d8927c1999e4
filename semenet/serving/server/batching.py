"""Dynamic batching: items of several requests are computed in one call of a signature.

The first item of a batch waits a few milliseconds for others; while a batch is computed, the next one
gathers. Everything but the computation runs in the event loop, so that no lock is needed.

TensorFlow's own batching (`tf.nondifferentiable_batch_function`) does not keep what this server guarantees.
Measured with TensorFlow 2.21: an item on which the graph fails makes all requests of its batch fail; items of
unequal shapes in one batch make all of them fail; a cancelled request keeps its place until its batch is due;
and every waiting request blocks a thread.
"""

import asyncio
import collections
import concurrent.futures
import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np

from semenet.serving.server.request_errors import RequestError, invalid

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(eq=False)
class _Piece:
    """The items of one request that fit into one batch.

    Attributes:
        inputs: dict of names to arrays `(n, ...)`.
        count: n.
        size: pixels or values of all n.
        arrival: the event loop's time.
        answer: future of the dict of outputs.
    """

    inputs: Arrays
    count: int
    size: int
    arrival: float
    answer: asyncio.Future


class Batcher:
    """Gathers items and computes them in batches.

    Args:
        compute: function of a signature's name and a dict of arrays `(n, ...)` to a dict of arrays
            `(n, ...)`; called in the batcher's threads.
        max_batch: largest number of items per call.
        max_size: largest sum of the items' sizes per call, which bounds its memory. A larger item is
            computed alone.
        delay: seconds that an item waits for others.
        max_queue: largest number of items that wait.
        threads: batches computed at the same time.
        observe: called with the number of items and the outputs of each call.

    Attributes:
        computing: int, the number of items that are being computed.
    """

    def __init__(
        self,
        compute: Callable[[str, Arrays], Arrays],
        max_batch: int,
        max_size: float,
        delay: float,
        max_queue: int,
        threads: int,
        observe: Callable[[int, Arrays], None],
    ) -> None:
        self._compute, self._observe = compute, observe
        self._max_batch, self._max_size = max_batch, max_size
        self._delay, self._max_queue = delay, max_queue
        # By signature and shape.
        self._queues: dict[tuple[str, Hashable], collections.deque[_Piece]]
        self._queues = collections.defaultdict(collections.deque)
        self.computing = 0
        self._arrived = asyncio.Event()
        self._thread_count = threads
        self._threads = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="batches")

    @property
    def waiting(self) -> int:
        """The number of items that wait for their batch."""
        return sum(piece.count for queue in self._queues.values() for piece in queue)

    async def submit(
        self, signature: str, shape: Hashable, inputs: Arrays, count: int, sizes: Sequence[int]
    ) -> Arrays:
        """Computes the items of one request. If the call is cancelled while they wait, they are not computed.

        Args:
            signature: name of the signature.
            shape: what all items of a batch must have in common.
            inputs: dict of names to arrays `(count, ...)`.
            count: number of items.
            sizes: pixels or values of each item.

        Returns:
            dict of output names to arrays `(count, ...)`.

        Raises:
            RequestError: 503 when the queue is full, 400 for more items than the queue can hold, or the error
                that `compute` raises for these items.
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
        pieces = []
        for start, end in self._parts(sizes):
            part = {name: values[start:end] for name, values in inputs.items()}
            size = sum(sizes[start:end])
            pieces.append(_Piece(part, end - start, size, loop.time(), loop.create_future()))
        queue = self._queues[signature, shape]
        queue.extend(pieces)
        self._arrived.set()
        try:
            parts = await asyncio.gather(*(piece.answer for piece in pieces))
        finally:
            # After a cancelled request, or one of which a piece failed.
            for piece in pieces:
                piece.answer.cancel()
                if piece in queue:
                    queue.remove(piece)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _parts(self, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yields the first and the end of each part of a request that fits into one batch."""
        start, total = 0, 0
        for number, size in enumerate(sizes):
            if number > start and (number - start == self._max_batch or total + size > self._max_size):
                yield start, number
                start, total = number, 0
            total += size
        yield start, len(sizes)

    async def run(self) -> None:
        """Computes batches until it is cancelled."""
        await asyncio.gather(*(self._compute_batches() for _ in range(self._thread_count)))

    async def _compute_batches(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            signature, pieces = await self._next_batch()
            count = sum(piece.count for piece in pieces)
            self.computing += count
            results = await loop.run_in_executor(self._threads, self._results, signature, pieces)
            self.computing -= count
            for piece, result in zip(pieces, results, strict=True):
                # The client may have gone.
                if piece.answer.done():
                    continue
                if isinstance(result, Exception):
                    piece.answer.set_exception(result)
                else:
                    piece.answer.set_result(result)

    async def _next_batch(self) -> tuple[str, list[_Piece]]:
        """Waits until a batch is due, and takes it: its signature's name and its pieces."""
        loop = asyncio.get_running_loop()
        while True:
            # Every shape has a queue: empty ones must not accumulate.
            for key in [key for key, queue in self._queues.items() if not queue]:
                del self._queues[key]
            due = {key: queue[0].arrival + self._delay for key, queue in self._queues.items()}
            now = loop.time()
            ready = [key for key in due if due[key] <= now or self._is_full(key)]
            if ready:
                key = min(ready, key=due.get)
                return key[0], self._take(key)
            self._arrived.clear()
            await _wait_until(self._arrived, min(due.values(), default=None))

    def _is_full(self, key: tuple[str, Hashable]) -> bool:
        queue = self._queues[key]
        count, size = sum(piece.count for piece in queue), sum(piece.size for piece in queue)
        return count >= self._max_batch or size >= self._max_size

    def _take(self, key: tuple[str, Hashable]) -> list[_Piece]:
        """Takes the pieces of the next batch from their queue, in the order of arrival."""
        queue = self._queues[key]
        pieces = [queue.popleft()]
        count, size = pieces[0].count, pieces[0].size
        while queue and count + queue[0].count <= self._max_batch and size + queue[0].size <= self._max_size:
            pieces.append(queue.popleft())
            count, size = count + pieces[-1].count, size + pieces[-1].size
        return pieces

    def _results(self, signature: str, pieces: list[_Piece]) -> list[Arrays | Exception]:
        """Returns each piece's outputs or exception. If the batch fails, each piece is computed alone."""
        names = pieces[0].inputs
        joined = {name: np.concatenate([piece.inputs[name] for piece in pieces]) for name in names}
        try:
            outputs = self._compute(signature, joined)
        except Exception as error:  # Any error becomes the answer to a client.
            if len(pieces) == 1:
                return [error]
            return [self._results(signature, [piece])[0] for piece in pieces]
        ends = np.cumsum([piece.count for piece in pieces])
        self._observe(int(ends[-1]), outputs)
        return [
            {name: values[end - piece.count : end] for name, values in outputs.items()}
            for piece, end in zip(pieces, ends, strict=True)
        ]


async def _wait_until(event: asyncio.Event, due: float | None) -> None:
    """Waits for an event, or until the event loop's time is `due`; None for no limit."""
    try:
        async with asyncio.timeout_at(due):
            await event.wait()
    except TimeoutError:
        return
