"""Runs the handlers of calls: several at once, never two of one container, never more than there is room for.

On the embedded store a handler blocks (its lock, its disk), so that handlers run in a few threads beside the event
loop; the store serialises its writers by itself. The loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import NamedTuple

from spidercni.agent.wire import RelayedCall
from spidercni.cni.plugin import Call, Handler, Plugin, Reply, respond, run

# The store has one writer at a time: more threads than this only wait in line.
THREADS = 4


# The verbs that are about a container; the others wait for nobody.
_IN_TURN = ("ADD", "DEL", "CHECK")
_RELEASES = ("DEL", "GC")


class Limits(NamedTuple):
    """How much an agent takes on."""

    # Calls that wait or run. A burst of a full node (250 pods with a few NICs) fits; each holds some kB.
    calls: int = 1024
    # Seconds until a call is answered with code 11. Runtimes give a plugin minutes.
    seconds: float = 60.0


class Worker:
    """Answers calls with the plugins' handlers."""

    def __init__(self, plugins: Mapping[str, Plugin], environ: Mapping[str, str]) -> None:
        self._plugins = plugins
        self._environ = environ
        # Set when a release has ended: it may have been noted for later.
        self.released = asyncio.Event()
        self._handlers: Mapping[str, Mapping[str, Handler]] = {}
        self.reload()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._containers: dict[str, _Turn] = {}

    def reload(self) -> None:
        """Read the settings of the plugins again; calls that run keep theirs. Raises what `load_handlers` raises."""
        self._handlers = {name: plugin.load_handlers(self._environ) for name, plugin in self._plugins.items()}

    @property
    def names(self) -> frozenset[str]:
        """The names of the plugins that are here."""
        return frozenset(self._plugins)

    async def answer(
        self, relayed: RelayedCall, netns: int | None, on_start: Callable[[], None] = lambda: None
    ) -> Reply:
        """Run the call in its container's turn; `on_start` is called, in a thread, when its waiting is over.

        Cancelled before its turn it has done nothing; cancelled while it runs it is finished, and taken back.
        """
        async with self._turn(relayed):
            # The thread's own future: one of asyncio's says that it was cancelled while the thread goes on.
            running = self._threads.submit(self._respond, relayed, netns, on_start)
            try:
                return await asyncio.shield(asyncio.wrap_future(running))
            except asyncio.CancelledError:
                if not running.cancel():
                    await self._take_back(await asyncio.wrap_future(running))
                raise
            finally:
                if relayed.environ.get("CNI_COMMAND") in _RELEASES:
                    self.released.set()

    async def take_back(self, reply: Reply, relayed: RelayedCall) -> None:
        """Undo what a reply's call did: nobody could be given it."""
        async with self._turn(relayed):
            await self._take_back(reply)

    async def resume(self) -> int:
        """Do what earlier calls, or an agent before this one, had to leave; return how much that was.

        Raises what the plugins raise where it still cannot be done.
        """
        done = 0
        for plugin in self._plugins.values():
            if plugin.resume is not None:
                left = plugin.resume(self._environ)
                done += await asyncio.get_running_loop().run_in_executor(self._threads, run, left)
        return done

    def close(self) -> None:
        """Wait for what runs and end the threads."""
        self._threads.shutdown()

    def _respond(self, relayed: RelayedCall, netns: int | None, on_start: Callable[[], None]) -> Reply:
        on_start()
        path = f"/proc/self/fd/{netns}" if netns is not None else ""
        call = Call(relayed.environ, lambda: relayed.stdin, path)
        return run(respond(self._plugins[relayed.name], call, lambda: self._handlers[relayed.name]))

    async def _take_back(self, reply: Reply) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, lambda: run(reply.undo()))

    @asynccontextmanager
    async def _turn(self, relayed: RelayedCall) -> AsyncIterator[None]:
        """Wait for the container's other calls: a DEL must not overtake the ADD that it is to undo."""
        container_id = relayed.environ.get("CNI_CONTAINERID", "")
        if relayed.environ.get("CNI_COMMAND") not in _IN_TURN or not container_id:
            yield
            return
        turn = self._containers.setdefault(container_id, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._containers[container_id]


class _Turn:
    """The queue of one container's calls."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()  # wakes waiters in the order they came
        self.waiting = 0
