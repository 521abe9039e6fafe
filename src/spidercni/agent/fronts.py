"""Which HTTP servers there are, by the settings: for health, for metrics, for Spiderpool's API.

starlette, uvicorn and prometheus_client are imported for those that there are; none costs nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spidercni.agent.listener import open_listener
from spidercni.agent.report import Everybody, Reporter
from spidercni.agent.work import Limits, Worker
from spidercni.errors import StoreUnavailable

if TYPE_CHECKING:
    from starlette.routing import Route

    from spidercni.agent.door import Door
    from spidercni.agent.health import Health
    from spidercni.agent.web import Front
    from spidercni.ipam.store import Store
    from spidercni.settings.model import AgentSettings

# A call may take a minute; systemd gives a service 90 s to stop.
_API_FINISH_SECONDS = 20


class Inside(NamedTuple):
    """What the servers show of the agent."""

    worker: Worker
    limits: Callable[[], Limits]
    open_store: Callable[[], Store]
    look: Callable[[], object]  # raises where the store cannot be used


class Fronts(NamedTuple):
    """The servers, what they know of the agent's state, and who is told of calls."""

    servers: list[Front]
    reporter: Reporter
    health: Health | None = None
    door: Door | None = None


def open_fronts(settings: AgentSettings, inside: Inside, log: Reporter, stack: ExitStack) -> Fronts:
    """Listen for the servers that are on; `stack` closes what was opened.

    Raises StoreUnavailable where one cannot listen, OSError.
    """
    with_health = bool(settings.health_address and settings.health_port)
    with_metrics = bool(settings.metrics_address and settings.metrics_port)
    with_api = bool(settings.spiderpool_socket)
    if not (with_health or with_metrics or with_api):
        return Fronts([], log)
    from spidercni.agent.health import Health
    from spidercni.agent.web import Front, bind

    def front(name: str, address: str, port: int, routes: list[Route]) -> Front:
        raw = stack.enter_context(bind(name, address, port))
        return Front(name, raw, f"{address} port {port}", routes)

    servers, reporter, health, door = [], log, Health(inside.look), None
    if with_health:
        servers.append(front("health", settings.health_address, settings.health_port, health.routes()))
    if with_metrics:
        from spidercni.agent.metrics import MetricsReporter

        metrics = MetricsReporter(inside.worker.names)
        reporter = Everybody((log, metrics))
        servers.append(front("metrics", settings.metrics_address, settings.metrics_port, metrics.routes()))
    if with_api:
        from spidercni.agent.door import Door
        from spidercni.agent.spiderpool_api import SpiderpoolApi

        _refuse_living(settings.spiderpool_socket)
        listener = open_listener(settings.spiderpool_socket)
        stack.callback(listener.close)
        door = Door("spiderpool", inside.worker, inside.limits, reporter)
        api = SpiderpoolApi(door, health, inside.open_store)
        servers.append(Front("spiderpool", listener.socket, listener.place, api.routes(), _API_FINISH_SECONDS))
    return Fronts(servers, reporter, health, door)


def _refuse_living(path: str) -> None:
    """Refuse to take the place of an agent that answers: Spiderpool's does not know our lock."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as raw:
        try:
            raw.connect(path)
        except OSError:
            return
    raise StoreUnavailable(
        f"another agent listens at {path}", "stop that one, or set spiderpool_socket to another path"
    )
