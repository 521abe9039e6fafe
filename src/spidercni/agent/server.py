"""One task for each relay: the handshake, the call, and what happens when somebody leaves in the middle.

INV-AGENT-1  before GO nothing has been done: the relay may always do it by itself
INV-AGENT-2  after GO every call ends in an answer, or nothing of it stays (ADD), or it may be repeated (the rest)
INV-AGENT-3  an answer that the relay did not take is taken back
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress

from spidercni.agent.connection import Connection
from spidercni.agent.listener import Listener
from spidercni.agent.report import Ending, Outcome, Reporter
from spidercni.agent.wire import Frame, Kind, ProtocolError, RelayedCall, decode_call, encode_answer
from spidercni.agent.work import Limits, Worker
from spidercni.cni.plugin import Reply
from spidercni.errors import SpidercniError

# A relay that has connected sends at once; one that does not is stuck or no relay of ours.
_REQUEST_SECONDS = 30.0
_GO_SECONDS = 30.0
# A relay prints its answer and leaves.
_WORD_SECONDS = 30.0

_UNDELIVERED = Frame(Kind.UNDELIVERED)

_ROOT = 0


def _later(text: str, details: str) -> Frame:
    """Return the ANSWER that asks the runtime to try again."""
    document = {"code": 11, "msg": f"the agent of spidercni {text}", "details": details}
    return Frame(Kind.ANSWER, encode_answer(1, json.dumps(document).encode() + b"\n"))


_FULL = _later("has too many calls at once", "the runtime tries again")
_SLOW = _later("could not serve the call in time", "the store is slow or locked; the runtime tries again")


class Server:
    """Accepts relays until it is stopped."""

    def __init__(self, listener: Listener, worker: Worker, limits: Limits, reporter: Reporter) -> None:
        self._listener = listener
        self._worker = worker
        self._limits = limits
        self._reporter = reporter
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def serve(self) -> None:
        """Accept relays; ends when cancelled."""
        self._listener.socket.setblocking(False)
        while True:
            raw = await self._listener.accept()
            task = asyncio.create_task(self._attend(Connection(raw)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def limit(self, limits: Limits) -> None:
        """Take on so much from now on."""
        self._limits = limits

    async def finish(self, seconds: float) -> None:
        """Decline what comes, let what runs end, and cancel it after some seconds."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _attend(self, connection: Connection) -> None:
        """Serve one relay from its first byte to its last."""
        began = time.monotonic()
        self._reporter.began()
        with connection:
            try:
                outcome = await self._handshake(connection)
            except ProtocolError as error:
                outcome = Outcome(Ending.NOT_UNDERSTOOD, detail=str(error))
            except SpidercniError as error:
                outcome = Outcome(Ending.STRANDED, detail=str(error))
            except OSError as error:
                outcome = Outcome(Ending.LOST, detail=str(error))
        self._reporter.ended(outcome, time.monotonic() - began)

    async def _handshake(self, connection: Connection) -> Outcome:
        if connection.peer_uid() != _ROOT:
            return Outcome(Ending.STRANGER, detail=f"user {connection.peer_uid()}")
        with suppress(TimeoutError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                frame = await connection.receive()
            return await self._consider(connection, frame) if frame else Outcome(Ending.LEFT_BEFORE_REQUEST)
        return Outcome(Ending.SILENT)

    async def _consider(self, connection: Connection, frame: Frame) -> Outcome:
        """Accept, decline or refuse a request, and do it if the relay still wants it."""
        if frame.kind != Kind.REQUEST:
            raise ProtocolError(f"{frame.kind.name} instead of REQUEST")
        call = decode_call(frame.payload)
        if self._stopping or call.name not in self._worker.names:
            await connection.send(Frame(Kind.DECLINED))
            return Outcome(Ending.DECLINED, call)
        if len(self._tasks) > self._limits.calls:
            await connection.send(_FULL)
            return Outcome(Ending.FULL, call)
        await connection.send(Frame(Kind.ACCEPTED))
        try:
            async with asyncio.timeout(_GO_SECONDS):
                go = await connection.receive()
        except TimeoutError:
            return Outcome(Ending.NO_GO, call)
        if go is None:
            return Outcome(Ending.LEFT_BEFORE_GO, call)
        if go.kind != Kind.GO:
            raise ProtocolError(f"{go.kind.name} instead of GO")
        return await self._carry_out(connection, call)

    async def _carry_out(self, connection: Connection, call: RelayedCall) -> Outcome:
        """Run the call; it is cancelled, and taken back, when the relay leaves before its answer."""
        accepted = time.monotonic()
        started: list[float] = []
        work = asyncio.create_task(
            self._worker.answer(call, connection.netns, lambda: started.append(time.monotonic() - accepted))
        )
        # Whatever comes now ends it: the relay has left, or has something to say about its answer.
        word = asyncio.create_task(connection.receive())
        try:
            await asyncio.wait({work, word}, timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                outcome = await self._deliver(connection, call, work.result(), word)
            elif word.done():
                outcome = Outcome(Ending.LEFT, call)
            else:
                await connection.send(_SLOW)
                outcome = Outcome(Ending.SLOW, call)
        finally:
            # Work that still runs is finished and taken back (`Worker.answer`).
            work.cancel()
            word.cancel()
            left, _ = await asyncio.gather(work, word, return_exceptions=True)
        if isinstance(left, SpidercniError):
            outcome = Outcome(Ending.STRANDED, call, detail=str(left))
        return outcome._replace(waited_seconds=started[0] if started else None)

    async def _deliver(
        self, connection: Connection, call: RelayedCall, reply: Reply, word: asyncio.Task[Frame | None]
    ) -> Outcome:
        """Send the answer, and take it back when the relay could not take or print it."""
        try:
            await connection.send(Frame(Kind.ANSWER, encode_answer(reply.status, reply.body)))
            if call.environ.get("CNI_COMMAND") != "ADD" or reply.status != 0:
                return Outcome(Ending.ANSWERED, call, reply)
            last = await asyncio.wait_for(asyncio.shield(word), _WORD_SECONDS)
        except TimeoutError:
            last = None
        except OSError:
            last = _UNDELIVERED
        if last == _UNDELIVERED:
            await self._worker.take_back(reply, call)
            return Outcome(Ending.LEFT, call, reply)
        return Outcome(Ending.ANSWERED, call, reply)
