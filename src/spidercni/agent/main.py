"""The life of the agent: start, serve, take over other settings, stop in order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping
from contextlib import ExitStack

from spidercni.agent import logs
from spidercni.agent.fronts import Fronts, Inside, open_fronts
from spidercni.agent.idle import Idle
from spidercni.agent.listener import Listener, open_listener
from spidercni.agent.report import Everybody
from spidercni.agent.server import Server
from spidercni.agent.work import Limits, Worker
from spidercni.cni.plugin import Plugin
from spidercni.cni.plugin import run as finish
from spidercni.errors import SpidercniError
from spidercni.ipam.config import StoreConfig
from spidercni.ipam.plugin import real_context
from spidercni.ipam.store import Store
from spidercni.model.attachment import Attachment
from spidercni.settings import model

log = logging.getLogger("spidercni.agent")

# What runs when the agent is told to stop has so long to end; systemd gives a service 90 s.
_FINISH_SECONDS = 20.0


def run(
    plugins: Mapping[str, Plugin], environ: Mapping[str, str], options: Mapping[str, object], idle_seconds: float = 0
) -> None:
    """Serve until SIGTERM or SIGINT, or until nobody has called for `idle_seconds` (0: for ever).

    `options` are settings from the command line.

    Raises StoreUnavailable when another agent lives or a port is taken, InvalidConfig for a bad setting, OSError.
    """
    current = Current(plugins, environ, options)
    logs.start(current.settings.log_level)
    with ExitStack() as stack:
        stack.callback(current.worker.close)
        listener = open_listener(current.settings.agent_socket)
        stack.callback(listener.close)
        inside = Inside(current.worker, current.limits, current.open_store, current.look)
        fronts = open_fronts(current.settings, inside, logs.LogReporter(), stack)
        if idle_seconds and (fronts.servers or not listener.of_systemd):
            log.warning("stays when nobody calls: only systemd's socket would bring it back, and no other door")
            idle_seconds = 0
        idle = Idle(listener, idle_seconds)
        server = Server(listener, current.worker, current.limits(), Everybody((fronts.reporter, idle)))
        asyncio.run(_serve(current, server, listener, fronts, idle))


class Current:
    """The settings in force, and what follows from them."""

    def __init__(
        self, plugins: Mapping[str, Plugin], environ: Mapping[str, str], options: Mapping[str, object]
    ) -> None:
        self._environ = environ
        self._options = options
        self.settings = model.read(environ, options)
        self._context = real_context(environ)
        self.worker = Worker(plugins, environ)

    def limits(self) -> Limits:
        """Return how much the agent takes on."""
        return Limits(self.settings.calls_limit, self.settings.call_seconds)

    def open_store(self) -> Store:
        """Return the store of calls that name none."""
        return self._context.open_store(StoreConfig(self._context.settings.data_dir))

    def look(self) -> None:
        """Use the store. Raises StoreUnavailable, StoreCorrupt."""
        store = self.open_store()
        finish(store.refuse_if_read_only())
        finish(store.attached(Attachment("", "", "")))  # the file can be read, whoever holds its lock lets go of it

    def reload(self) -> None:
        """Read the settings again; one that is wrong leaves all as they are."""
        try:
            settings, context = model.read(self._environ, self._options), real_context(self._environ)
            self.worker.reload()
        except SpidercniError as error:
            log.error("the settings stay as they are", extra={"fields": {"error": str(error)}})
            return
        taken, waiting = model.changed(self.settings, settings)
        self.settings, self._context = settings, context
        logs.set_level(settings.log_level)
        log.info("settings read again", extra={"fields": {"changed": taken}})
        if waiting:
            log.warning("these settings need a restart of the agent", extra={"fields": {"settings": waiting}})


async def resume_for_ever(worker: Worker, idle: Idle, first_pause: float = 1.0, longest_pause: float = 60.0) -> None:
    """Carry out what is left over: at start, and whenever a release has ended.

    Tries again, less and less often, while the store is away; sleeps as long as there is nothing.
    """
    pause = first_pause
    while True:
        worker.released.clear()
        try:
            if done := await worker.resume():
                log.info("carried out what was noted", extra={"fields": {"notes": done}})
            pause = first_pause
            idle.held = False
        except SpidercniError as error:
            idle.held = True
            log.warning("notes wait for their store", extra={"fields": {"error": str(error), "seconds": pause}})
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest_pause)
            continue
        await worker.released.wait()
        await asyncio.sleep(first_pause)  # a whole node may be drained: look once


async def _serve(current: Current, server: Server, listener: Listener, fronts: Fronts, idle: Idle) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def reload() -> None:
        current.reload()
        server.limit(current.limits())

    loop.add_signal_handler(signal.SIGHUP, reload)
    serving = [asyncio.create_task(server.serve())]
    serving += [asyncio.create_task(front.run_until_stopped()) for front in fronts.servers]
    beside = [asyncio.create_task(resume_for_ever(current.worker, idle)), asyncio.create_task(idle.leave(serving[0]))]
    if fronts.health is not None:
        fronts.health.started = True
    places = {front.name: front.place for front in fronts.servers}
    log.info("serving", extra={"fields": {"socket": listener.place, **places}})
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({*serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    # The name goes first: who comes now falls back at once. Who is in the backlog is declined.
    listener.withdraw()
    if fronts.health is not None:
        fronts.health.stopping = True
    for front in fronts.servers:
        front.stop()
    await server.finish(_FINISH_SECONDS)
    serving[0].cancel()
    for task in (*beside, stopped):
        task.cancel()
    results = await asyncio.gather(*serving, *beside, stopped, return_exceptions=True)
    if fronts.door is not None:
        await fronts.door.finish()
    for result in results:
        if isinstance(result, Exception):
            raise result
