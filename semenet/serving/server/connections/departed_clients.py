"""Ends work whose client has gone away."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

_Result = TypeVar("_Result")


async def cancel_if_client_goes(request: Request, work: Awaitable[_Result]) -> _Result:
    """Returns the result of `work`, or cancels it when the client's connection is cut.

    Args:
        request: a request whose body was read.
        work: what answers it.

    Raises:
        ClientDisconnect: the connection was cut.
    """
    working = asyncio.ensure_future(work)
    # The body was read whole: the next event can only be the end of the connection.
    disconnected = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({working, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        disconnected.cancel()
