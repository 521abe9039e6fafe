"""`spidercni`: the top of the command line."""

from __future__ import annotations

import click

from spidercni import __version__
from spidercni.cli.lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    sources={
        "agent": ("spidercni.cli.agent:agent", "Answer for the plugins of this node."),
        "ctl": ("spidercni.cli.ctl:ctl", "Look at pools and addresses, check and repair the store."),
        "install": ("spidercni.cli.install:install", "Lay this executable down for the container runtime."),
        "settings": ("spidercni.cli.settings:settings", "Show the settings in force and where they come from."),
        "completion": ("spidercni.cli.completion:completion", "Print the completion script of a shell."),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="spidercni")
def cli() -> None:
    """Addresses and routes for pods on the data-centre network.

    Called as `spiderpool`, `coordinator` or `ifacer`, the same file is that CNI plugin.
    """
