"""Allocations as rows of the table `address`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from spidercni.errors import StoreCorrupt
from spidercni.ipam.local.runs import decode, encode
from spidercni.model.addresses import interface_of
from spidercni.model.allocation import Allocation, Owner
from spidercni.model.attachment import Attachment

OF_ATTACHMENT = "network = ? AND container_id = ? AND ifname = ?"

COLUMNS = (
    "key, family, prefix_length, pool, gateway, owner, namespace, pod,"
    " network, container_id, ifname, node, allocated_at"
)


def key_of(allocation: Allocation) -> bytes:
    """Return the primary key of an allocation."""
    return encode(allocation.family, allocation.number)


def to_row(allocation: Allocation) -> tuple[Any, ...]:
    """Return the values of COLUMNS."""
    return (
        key_of(allocation),
        allocation.family,
        allocation.interface.network.prefixlen,
        allocation.pool,
        str(allocation.gateway) if allocation.gateway is not None else None,
        *allocation.owner,
        *allocation.attachment,
        allocation.node,
        allocation.allocated_at,
    )


def from_row(row: tuple[Any, ...]) -> Allocation:
    """Return the allocation of a row of COLUMNS. Raises StoreCorrupt for a row that we never wrote."""
    key, family, prefix_length, pool, gateway, owner, namespace, pod, network, container_id, ifname, node, at = row
    try:
        key_family, number = decode(key)
        if key_family != family:
            raise ValueError(f"family {family}")
        return Allocation(
            interface=interface_of(family, number, prefix_length),
            pool=pool,
            gateway=ip_address(gateway) if gateway is not None else None,
            owner=Owner(owner, namespace, pod),
            attachment=Attachment(network, container_id, ifname),
            node=node,
            allocated_at=at,
        )
    except (ValueError, TypeError) as error:
        raise StoreCorrupt(
            f"the store has an impossible record {row!r}: {error}", "`spidercni ctl check --repair` may help"
        ) from error


def insert(connection: sqlite3.Connection, allocation: Allocation) -> None:
    """Add an allocation. Raises sqlite3.IntegrityError where its address is in use or its owner has one."""
    row = to_row(allocation)
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO address ({COLUMNS}) VALUES ({marks})", row)


def find(connection: sqlite3.Connection, condition: str, *values: object) -> Iterator[Allocation]:
    """Yield the allocations that meet an SQL condition (a constant of the caller), by ascending address."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM address WHERE {condition} ORDER BY key", values)
    return map(from_row, rows)
