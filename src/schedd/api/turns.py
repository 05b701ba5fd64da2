"""Turns: calls begin their work one a turn of the event loop, so that what comes due is never behind more than one of them."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Lets one caller go on in each turn of the loop, in the order in which they came.

    A loop runs all that is ready before it looks at its timers and files again; sixty calls that came together would be one long stall.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = False

    async def mine(self) -> None:
        """Wait until it is the caller's turn; at once if nobody has had this one."""
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._pass_on, loop)
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _pass_on(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # Its call may have been cancelled meanwhile.
                turn.set_result(None)
                loop.call_soon(self._pass_on, loop)
                return
        self._taken = False
