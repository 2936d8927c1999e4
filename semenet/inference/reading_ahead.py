"""Reads files ahead of the networks, in threads."""

import concurrent.futures
import os


def read_ahead(items, read, batch_size):
    """Calls a function for each item in threads, one batch ahead of whoever takes the batches.

    Args:
        items: sequence.
        read: function of an item.
        batch_size: int.

    Yields:
        Lists of what `read` gives, `batch_size` long but for the last, in the order of the items.

    Raises:
        Whatever `read` raises, when its batch is taken.
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
