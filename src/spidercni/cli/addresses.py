"""`spidercni ctl address`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address

import click

from spidercni import settings
from spidercni.cli.ctl import NOT_THERE, Place, at_place, fail
from spidercni.cli.output import Row, emit, output_option, table
from spidercni.cni.plugin import run
from spidercni.ipam.local.store import LocalStore
from spidercni.model.addresses import parse_interface
from spidercni.model.allocation import Allocation


@click.group()
def address() -> None:
    """Show and release addresses in use."""


@address.command("list")
@click.option("--pool", help="Only those of this pool.")
@click.option("--network", help="Only those of this network.")
@click.option("--container", help="Only those of the container whose ID begins so.")
@output_option
@at_place
def list_addresses(place: Place, pool: str | None, network: str | None, container: str | None, form: str) -> None:
    """List the addresses in use."""
    found = [
        allocation
        for allocation in run(_store(place).allocations())
        if pool in (None, allocation.pool)
        and network in (None, allocation.attachment.network)
        and allocation.attachment.container_id.startswith(container or "")
    ]
    if form != "table":
        emit(form, [_document(allocation) for allocation in found])
        return
    table(
        ("ADDRESS", "POOL", "OWNER", "INTERFACE", "CONTAINER", "NETWORK", "NODE", "AGE"),
        [
            (
                str(allocation.interface),
                allocation.pool,
                str(allocation.owner) if allocation.owner.pod else "-",
                allocation.attachment.ifname,
                allocation.attachment.container_id,
                allocation.attachment.network,
                allocation.node,
                _age(allocation),
            )
            for allocation in found
        ],
    )


@address.command("show")
@click.argument("wanted", metavar="ADDRESS")
@output_option
@at_place
def show_address(place: Place, wanted: str, form: str) -> None:
    """Show who uses ADDRESS."""
    emit("yaml" if form == "table" else form, _document(_find(place, wanted)))


@address.command("release")
@click.argument("wanted", metavar="ADDRESS")
@click.option("--yes", is_flag=True, help="Do not ask.")
@at_place
def release_address(place: Place, wanted: str, yes: bool) -> None:
    """Release ADDRESS by hand, without its container's DEL.

    If the container still lives, another one may be given its address.
    """
    allocation = _find(place, wanted)
    if not yes:
        click.confirm(
            f"{allocation.interface.ip} belongs to {allocation.attachment}. If that container still lives, another one"
            " may be given its address. Release it?",
            abort=True,
        )
    if not run(_release(place, allocation)):
        fail(f"{allocation.interface.ip} has changed hands meanwhile; nothing was released", NOT_THERE)
    click.echo(f"released {allocation.interface.ip}")


async def _release(place: Place, allocation: Allocation) -> bool:
    """Release exactly what was shown, not what has the same address by now."""
    async with _store(place).session() as session:
        if allocation not in await session.held(allocation.owner, allocation.attachment):
            return False
        await session.release(allocation)
        return True


def _store(place: Place) -> LocalStore:
    return LocalStore(place.database, time.time, settings.Settings().cooldown_seconds)


def _find(place: Place, wanted: str) -> Allocation:
    address = _parse(wanted)
    for allocation in run(_store(place).allocations()):
        if allocation.interface.ip == address:
            return allocation
    fail(f"{address} is not in use", NOT_THERE)
    raise AssertionError("fail() ends the program")


def _parse(text: str) -> IPv4Address | IPv6Address:
    try:
        return parse_interface(text).ip
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ADDRESS") from error


def _age(allocation: Allocation) -> str:
    seconds = max(0, int(time.time() - allocation.allocated_at))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _document(allocation: Allocation) -> Row:
    return {
        "address": str(allocation.interface),
        "pool": allocation.pool,
        "gateway": str(allocation.gateway) if allocation.gateway is not None else None,
        "owner": allocation.owner.identity,
        "namespace": allocation.owner.namespace or None,
        "pod": allocation.owner.pod or None,
        "network": allocation.attachment.network,
        "containerID": allocation.attachment.container_id,
        "ifname": allocation.attachment.ifname,
        "node": allocation.node,
        "allocatedAt": datetime.fromtimestamp(allocation.allocated_at, UTC).isoformat(timespec="seconds"),
    }
