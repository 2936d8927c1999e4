"""Reads files in threads, ahead of the network that uses them."""

import concurrent.futures
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Content = TypeVar("Content")


def read_ahead(
    items: Sequence[Item], read: Callable[[Item], Content], batch_size: int
) -> Iterator[list[Content]]:
    """Calls a function for each item in threads, one batch ahead of the consumer.

    Args:
        items: the arguments of the calls.
        read: the function to call.
        batch_size: results per batch.

    Yields:
        Lists of results in the order of the items, each `batch_size` long except the last.

    Raises:
        Exception: any error that `read` raises, when its batch is requested.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        ahead = []
        for start in range(0, len(items), batch_size):
            following = [pool.submit(read, item) for item in items[start : start + batch_size]]
            if ahead:
                yield [future.result() for future in ahead]
            ahead = following
        if ahead:
            yield [future.result() for future in ahead]
