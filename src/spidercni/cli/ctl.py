"""`spidercni ctl`: the commands for people who run a node."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click

from spidercni import settings
from spidercni.cli.lazy import LazyGroup
from spidercni.errors import SpidercniError, StoreUnavailable, quoted
from spidercni.ipam.local.database import Database

NOT_THERE = 1
UNUSABLE = 3


@click.group(
    cls=LazyGroup,
    sources={
        "pool": ("spidercni.cli.pools:pool", "Show pools and how much of them is used."),
        "address": ("spidercni.cli.addresses:address", "Show and release addresses in use."),
        "check": ("spidercni.cli.check:check", "Check the store; repair it with --repair."),
    },
)
@click.option("--data-dir", type=click.Path(), help="Directory of the store.  [default: /var/lib/spidercni]")
@click.option("--pools-dir", type=click.Path(), help="Directory of manifests.  [default: /etc/spidercni/pools.d]")
@click.pass_context
def ctl(context: click.Context, data_dir: str | None, pools_dir: str | None) -> None:
    """Look at pools and addresses, check and repair the store."""
    context.obj = {"data_dir": data_dir, "pools_dir": pools_dir}


class Place:
    """Where the state of this machine lies, after options and settings."""

    def __init__(self, data_dir: str | None, pools_dir: str | None) -> None:
        current = settings.read(os.environ)
        if data_dir is not None and not os.path.isdir(data_dir):
            raise StoreUnavailable(f"--data-dir is {quoted(data_dir)}", "there is no such directory")
        if pools_dir is not None and not os.path.isdir(pools_dir):
            raise StoreUnavailable(f"--pools-dir is {quoted(pools_dir)}", "there is no such directory")
        self.database = Database(os.path.abspath(data_dir or current.data_dir), current.lock_timeout_seconds)
        self.node = current.node
        self.pools_dir = pools_dir or current.pools_dir


def at_place(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where to look, as its first argument `place`; turn errors into status 3.

    The same options stand at `ctl`: people write them in front as well as behind.
    """

    @click.option("--data-dir", type=click.Path(), help="Directory of the store, as at ctl.")
    @click.option("--pools-dir", type=click.Path(), help="Directory of manifests, as at ctl.")
    @click.pass_context
    @wraps(command)
    def with_place(context: click.Context, /, *, data_dir: str | None, pools_dir: str | None, **arguments: Any) -> None:
        with failing():
            place = Place(data_dir or context.obj["data_dir"], pools_dir or context.obj["pools_dir"])
            command(place, **arguments)

    return with_place


@contextmanager
def failing() -> Iterator[None]:
    """End the program with status 3 and the text of one of our errors."""
    try:
        yield
    except SpidercniError as error:
        fail(str(error), UNUSABLE)


def fail(text: str, status: int) -> None:
    """Say why on stderr and end the program."""
    click.echo(f"spidercni: {text}", err=True)
    raise SystemExit(status)
