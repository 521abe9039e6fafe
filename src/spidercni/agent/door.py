"""Calls that come another way than by a relay: bounded, timed, reported, and taken back when the caller has left."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from spidercni.agent.report import Ending, Outcome, Reporter
from spidercni.agent.wire import RelayedCall
from spidercni.agent.work import Limits, Worker
from spidercni.cni.plugin import Reply
from spidercni.errors import SpidercniError

log = logging.getLogger("spidercni.agent")


class Door:
    """Carries calls out. `name` is the door's in reports; `limits` gives those of now."""

    def __init__(self, name: str, worker: Worker, limits: Callable[[], Limits], reporter: Reporter) -> None:
        self._name = name
        self._worker = worker
        self._limits = limits
        self._reporter = reporter
        self._running: set[asyncio.Task[Reply]] = set()

    async def carry_out(self, call: RelayedCall, leaving: asyncio.Task[None]) -> Outcome:
        """Run a call; `leaving` ends when the caller has left. What nobody could be given does not stay."""
        began = time.monotonic()
        self._reporter.began()
        started: list[float] = []
        try:
            outcome = await self._run(call, leaving, lambda: started.append(time.monotonic() - began))
        except SpidercniError as error:
            outcome = Outcome(Ending.STRANDED, call, detail=str(error))
        outcome = outcome._replace(waited_seconds=started[0] if started else None, door=self._name)
        self._reporter.ended(outcome, time.monotonic() - began)
        return outcome

    async def finish(self) -> None:
        """Wait until all that was given up is taken back."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, call: RelayedCall, leaving: asyncio.Task[None], on_start: Callable[[], None]) -> Outcome:
        limits = self._limits()
        if len(self._running) >= limits.calls:
            return Outcome(Ending.FULL, call)
        work = asyncio.create_task(self._worker.answer(call, None, on_start))
        self._running.add(work)
        work.add_done_callback(self._end)
        try:
            await asyncio.wait({work, leaving}, timeout=limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return Outcome(Ending.LEFT if leaving.done() else Ending.SLOW, call)
            reply = work.result()
            if not leaving.done():
                return Outcome(Ending.ANSWERED, call, reply)
            await self._worker.take_back(reply, call)
            return Outcome(Ending.LEFT, call, reply)
        finally:
            # Work that still runs is finished and taken back (`Worker.answer`), behind the answer.
            work.cancel()

    def _end(self, work: asyncio.Task[Reply]) -> None:
        self._running.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None:
            log.error("a call that was given up could not be taken back", extra={"fields": {"error": str(error)}})
