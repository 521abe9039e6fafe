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
@click.option("--socket", "path", type=click.Path(), help="Where relays connect.  [default: /run/spidercni/agent.sock]")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def agent(path: str | None, log_level: str) -> None:
    """Answer for this node's plugins, until SIGTERM.

    It makes them fast and is never needed: without it the same executable does the same work by itself.
    """
    from spidercni.agent import logs
    from spidercni.agent.main import SOCKET, run
    from spidercni.agent.work import Limits

    logs.start(log_level)
    with failing():
        run(PLUGINS, os.environ, path or os.environ.get("SPIDERCNI_AGENT_SOCKET") or SOCKET, Limits())
