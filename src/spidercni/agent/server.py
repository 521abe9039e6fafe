"""One task for each relay: the handshake, the call, and what happens when somebody leaves in the middle.

INV-AGENT-1  before GO nothing has been done: the relay may always do it by itself
INV-AGENT-2  after GO every call ends in an answer, or nothing of it stays (ADD), or it may be repeated (the rest)
INV-AGENT-3  an answer that the relay did not take is taken back
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from typing import NamedTuple

from spidercni.agent.connection import Connection
from spidercni.agent.listener import Listener
from spidercni.agent.wire import Frame, Kind, ProtocolError, RelayedCall, decode_call, encode_answer
from spidercni.agent.work import Limits, Worker
from spidercni.cni.plugin import Reply

log = logging.getLogger("spidercni.agent")

# A relay that has connected sends at once; one that does not is stuck or no relay of ours.
_REQUEST_SECONDS = 30.0
_GO_SECONDS = 30.0

_ROOT = 0


def _later(text: str, details: str) -> Frame:
    """Return the ANSWER that asks the runtime to try again."""
    document = {"code": 11, "msg": f"the agent of spidercni {text}", "details": details}
    return Frame(Kind.ANSWER, encode_answer(1, json.dumps(document).encode() + b"\n"))


_FULL = _later("has too many calls at once", "the runtime tries again")
_SLOW = _later("could not serve the call in time", "the store is slow or locked; the runtime tries again")


class _Outcome(NamedTuple):
    """What became of a connection, for the log."""

    word: str
    call: RelayedCall | None = None
    reply: Reply | None = None


class Server:
    """Accepts relays until it is stopped."""

    def __init__(self, listener: Listener, worker: Worker, limits: Limits) -> None:
        self._listener = listener
        self._worker = worker
        self._limits = limits
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def serve(self) -> None:
        """Accept relays; ends when cancelled."""
        loop = asyncio.get_running_loop()
        self._listener.socket.setblocking(False)
        while True:
            raw, _ = await loop.sock_accept(self._listener.socket)
            task = asyncio.create_task(self._attend(Connection(raw)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

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
        with connection:
            try:
                outcome = await self._handshake(connection)
            except ProtocolError as error:
                outcome = _Outcome(f"not understood: {error}")
            except OSError as error:
                outcome = _Outcome(f"connection lost: {error}")
        _record(outcome, time.monotonic() - began)

    async def _handshake(self, connection: Connection) -> _Outcome:
        if connection.peer_uid() != _ROOT:
            return _Outcome(f"refused: user {connection.peer_uid()} is not root")
        with suppress(TimeoutError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                frame = await connection.receive()
            return await self._consider(connection, frame) if frame else _Outcome("left before its request")
        return _Outcome("sent no request in time")

    async def _consider(self, connection: Connection, frame: Frame) -> _Outcome:
        """Accept, decline or refuse a request, and do it if the relay still wants it."""
        if frame.kind != Kind.REQUEST:
            raise ProtocolError(f"{frame.kind.name} instead of REQUEST")
        call = decode_call(frame.payload)
        if self._stopping or not self._worker.knows(call.name):
            await connection.send(Frame(Kind.DECLINED))
            return _Outcome("declined", call)
        if len(self._tasks) > self._limits.calls:
            await connection.send(_FULL)
            return _Outcome("refused: too many calls", call)
        await connection.send(Frame(Kind.ACCEPTED))
        try:
            async with asyncio.timeout(_GO_SECONDS):
                go = await connection.receive()
        except TimeoutError:
            return _Outcome("said no GO in time", call)
        if go is None:
            return _Outcome("left before GO", call)
        if go.kind != Kind.GO:
            raise ProtocolError(f"{go.kind.name} instead of GO")
        return await self._carry_out(connection, call)

    async def _carry_out(self, connection: Connection, call: RelayedCall) -> _Outcome:
        """Run the call; it is cancelled, and taken back, when the relay leaves before its answer."""
        work = asyncio.create_task(self._worker.answer(call, connection.netns))
        leaving = asyncio.create_task(connection.wait_for_leaving())
        try:
            await asyncio.wait({work, leaving}, timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return await self._deliver(connection, call, work.result())
            if leaving.done():
                return _Outcome("left before its answer", call)
            await connection.send(_SLOW)
            return _Outcome("took too long", call)
        finally:
            # Work that still runs is finished and taken back (`Worker.answer`).
            for task in (work, leaving):
                task.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)

    async def _deliver(self, connection: Connection, call: RelayedCall, reply: Reply) -> _Outcome:
        try:
            await connection.send(Frame(Kind.ANSWER, encode_answer(reply.status, reply.body)))
        except OSError:
            await self._worker.take_back(reply, call)
            return _Outcome("left before its answer", call, reply)
        return _Outcome("answered", call, reply)


def _record(outcome: _Outcome, seconds: float) -> None:
    """Write one line about a connection: names and numbers, never standard input or the environment whole."""
    environ = outcome.call.environ if outcome.call else {}
    fields = {
        "plugin": outcome.call.name if outcome.call else None,
        "command": environ.get("CNI_COMMAND"),
        "container": environ.get("CNI_CONTAINERID"),
        "ifname": environ.get("CNI_IFNAME"),
        "traceparent": environ.get("TRACEPARENT"),
        "outcome": outcome.word,
        "milliseconds": round(seconds * 1000, 2),
    }
    error = outcome.reply.error if outcome.reply else None
    if error is not None:
        fields |= {"code": error.code, "error": str(error)}
    told = {key: value for key, value in fields.items() if value is not None}
    cause = error.__cause__ if error is not None and error.code == 999 else None
    log.info("call", extra={"fields": told}, exc_info=cause)
