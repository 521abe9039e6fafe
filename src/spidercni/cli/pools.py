"""`spidercni ctl pool`."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from spidercni.cli.ctl import NOT_THERE, Place, at_place, fail
from spidercni.cli.output import Row, bar, emit, output_option, percent, table
from spidercni.ipam.local import manifests
from spidercni.ipam.local.usage import PoolInUse, Usage, forget, usages


@click.group()
def pool() -> None:
    """Show pools and how much of them is used.

    Pools are those of the manifests, and each inline pool of a network configuration that an ADD has used.
    """


@pool.command("list")
@output_option
@at_place
def list_pools(place: Place, form: str) -> None:
    """List the pools."""
    found = _usages(place)
    if form != "table":
        emit(form, [_document(usage) for usage in found])
        return
    # What cools down or is reserved is in `show`: a terminal has 80 columns.
    table(
        ("NAME", "NETWORK", "SUBNET", "USED", "IN USE", "FREE", "TOTAL"),
        [
            (
                usage.pool.name,
                usage.pool.scope or "-",
                str(usage.pool.subnet),
                _share(usage.in_use, usage.total - usage.reserved),
                str(usage.in_use),
                str(usage.free),
                str(usage.total),
            )
            for usage in found
        ],
    )


@pool.command("show")
@click.argument("name")
@output_option
@at_place
def show_pool(place: Place, name: str, form: str) -> None:
    """Show the pool NAME: its fields and its use."""
    found = [_document(usage) for usage in _usages(place) if usage.pool.name == name]
    if not found:
        fail(f"there is no pool {name!r}; `spidercni ctl pool list` shows them", NOT_THERE)
    # Fields of fields read best as YAML. Several networks may have a pool of that name inline.
    emit("yaml" if form == "table" else form, found[0] if len(found) == 1 else found)


@pool.command("forget")
@click.argument("name")
@click.option("--network", required=True, help="The network that had the pool inline.")
@at_place
def forget_pool(place: Place, name: str, network: str) -> None:
    """Do not list the inline pool NAME any more, which no configuration has; it must have nothing in use."""
    if not place.database.there():
        fail("there is no store", NOT_THERE)
    try:
        if not forget(place.database, network, name):
            fail(f"there is no pool {name!r} of the network {network!r}", NOT_THERE)
    except PoolInUse:
        fail(f"addresses of the pool {name!r} are in use: `spidercni ctl address list --pool {name}`", NOT_THERE)
    click.echo(f"forgot {name}")


def _usages(place: Place) -> Sequence[Usage]:
    pools, reserved = manifests.read(place.pools_dir)
    return usages(place.database, pools, reserved)


def _share(used: int, total: int) -> str:
    return f"{bar(used, total)} {percent(used, total)}"


def _document(usage: Usage) -> Row:
    return {
        "name": usage.pool.name,
        "network": usage.pool.scope or None,
        "spec": json.loads(usage.pool.spec_json),
        "reservedIPs": list(usage.pool.reserved),
        "total": usage.total,
        "reserved": usage.reserved,
        "allocated": usage.allocated,
        "inUse": usage.in_use,
        "cooling": usage.cooling,
        "free": usage.free,
    }
