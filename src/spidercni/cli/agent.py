"""`spidercni agent`."""

from __future__ import annotations

import os

import click

from spidercni.cli.ctl import failing
from spidercni.coordinator.plugin import PLUGIN as COORDINATOR
from spidercni.ifacer.plugin import PLUGIN as IFACER
from spidercni.ipam.plugin import PLUGIN as SPIDERPOOL

PLUGINS = {plugin.name: plugin for plugin in (SPIDERPOOL, COORDINATOR, IFACER)}


@click.command()
@click.option(
    "--socket", "agent_socket", type=click.Path(), help="Where relays connect.  [default: /run/spidercni/agent.sock]"
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Least level of the log.  [default: info]",
)
@click.option(
    "--idle-exit",
    "idle_seconds",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Leave when nobody has called for so long, if systemd holds the socket.  [default: 0, never]",
)
def agent(idle_seconds: float, **options: str | None) -> None:
    """Answer for this node's plugins, until SIGTERM.

    It makes them fast and is never needed: without it the same executable does the same work by itself.
    `spidercni settings` shows what it runs with; SIGHUP makes it read its settings again.
    """
    from spidercni.agent.main import run

    with failing():
        run(PLUGINS, os.environ, options, idle_seconds)
