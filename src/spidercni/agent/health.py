"""Startup, readiness and liveness, as Spiderpool's agent answers them: status 200, or 500 with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spidercni.agent.web import refusal
from spidercni.errors import SpidercniError

# kubelet waits a second for an answer unless it is told otherwise.
_LOOK_SECONDS = 0.8


class Health:
    """What the agent knows about itself. `look` uses the store, and raises one of our errors where it cannot."""

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self._looking: asyncio.Task[object] | None = None
        self.started = False
        self.stopping = False

    async def fault(self) -> str:
        """Say why no call could be served now, or return an empty string."""
        if self.stopping or not self.started:
            return "the agent is stopping" if self.stopping else "the agent is starting"
        # One look at a time: probes go on while a store is locked, and must not pile up behind it.
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(asyncio.to_thread(self._look))
        await asyncio.wait({self._looking}, timeout=_LOOK_SECONDS)
        if not self._looking.done():
            return f"the store has not answered for {_LOOK_SECONDS} s; it is slow or locked"
        error = self._looking.exception()
        if error is not None and not isinstance(error, SpidercniError):
            raise error
        return str(error) if error is not None else ""

    def routes(self) -> list[Route]:
        """Return the three probes."""
        return [
            Route("/v1/runtime/startup", self._startup),
            Route("/v1/runtime/readiness", self.ready),
            Route("/v1/runtime/liveness", self._liveness),
        ]

    async def _startup(self, _request: Request) -> Response:
        return Response() if self.started else refusal(500, "the agent is starting")

    async def ready(self, _request: Request) -> Response:
        """Answer whether calls can be served."""
        text = await self.fault()
        return refusal(500, text) if text else Response()

    async def _liveness(self, _request: Request) -> Response:
        # That it answers is the answer. A store that is away is no reason to restart: it would not come back by that.
        return Response()
