"""Leaving when nobody calls: only where somebody else holds the socket, and never with a relay accepted.

INV-IDLE-1  the agent decides to leave and stops accepting in one step: who comes then is the next agent's
"""

from __future__ import annotations

import asyncio
import time

from spidercni.agent.listener import Listener
from spidercni.agent.report import Outcome


class Idle:
    """A reporter that knows for how long nothing was to do."""

    def __init__(self, listener: Listener, seconds: float) -> None:
        """`seconds`: so long may nothing be to do; 0: for ever."""
        self._listener = listener
        self._seconds = seconds
        self._calls = 0
        self._ended = time.monotonic()
        # Something is left to do that no call is about.
        self.held = False

    def began(self) -> None:
        """Somebody has come."""
        self._calls += 1

    def ended(self, _outcome: Outcome, _seconds: float) -> None:
        """It is over."""
        self._calls -= 1
        self._ended = time.monotonic()

    async def leave(self, accepting: asyncio.Task[None]) -> None:
        """Cancel the task that accepts, when nothing was to do for so long."""
        if not self._seconds:
            return
        while (left := self._left()) > 0:
            await asyncio.sleep(left)
        accepting.cancel()

    def _left(self) -> float:
        """Return the seconds until it may leave, as it looks now."""
        if self._calls or self.held:
            return self._seconds
        # A relay that was just accepted has not begun yet.
        return max(self._listener.accepted, self._ended) + self._seconds - time.monotonic()
