"""The life of the agent: start, serve, stop in order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping

from spidercni.agent.listener import Listener, open_listener
from spidercni.agent.server import Server
from spidercni.agent.work import Limits, Worker
from spidercni.cni.plugin import Plugin
from spidercni.errors import SpidercniError

log = logging.getLogger("spidercni.agent")

SOCKET = "/run/spidercni/agent.sock"

# What runs when the agent is told to stop has so long to end; systemd gives a service 90 s.
_FINISH_SECONDS = 20.0


def run(plugins: Mapping[str, Plugin], environ: Mapping[str, str], socket_path: str, limits: Limits) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises StoreUnavailable when another agent lives, InvalidConfig for a bad setting, OSError.
    """
    worker = Worker(plugins, environ)
    listener = open_listener(socket_path)
    try:
        asyncio.run(_serve(Server(listener, worker, limits), worker, listener))
    finally:
        listener.close()
        worker.close()


async def resume_for_ever(worker: Worker, first_pause: float = 1.0, longest_pause: float = 60.0) -> None:
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
        except SpidercniError as error:
            log.warning("notes wait for their store", extra={"fields": {"error": str(error), "seconds": pause}})
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest_pause)
            continue
        await worker.released.wait()
        await asyncio.sleep(first_pause)  # a whole node may be drained: look once


async def _serve(server: Server, worker: Worker, listener: Listener) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    accepting = asyncio.create_task(server.serve())
    resuming = asyncio.create_task(resume_for_ever(worker))
    log.info("serving", extra={"fields": {"socket": str(listener.socket.getsockname())}})
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({accepting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    # The name goes first: who comes now falls back at once. Who is in the backlog is declined.
    listener.withdraw()
    await server.finish(_FINISH_SECONDS)
    accepting.cancel()
    resuming.cancel()
    await asyncio.gather(accepting, resuming, return_exceptions=True)
    if accepting.done() and not accepting.cancelled() and (error := accepting.exception()):
        raise error
