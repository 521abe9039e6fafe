"""How much of each pool is used: for people, counted with intervals, right for a /64 too."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from spidercni.ipam.local.database import Database
from spidercni.ipam.local.runs import decode, encode
from spidercni.model.intervals import Interval, IntervalSet
from spidercni.model.pool import Pool, parse_pool, parse_reserved


class PoolInUse(Exception):
    """The pool has addresses in use, or is one of a manifest."""


def forget(database: Database, scope: str, name: str) -> bool:
    """Forget an inline pool that no configuration has any more; False where there is none of that name.

    Only what people see changes: an ADD that uses the pool makes it known again. Raises PoolInUse.
    """
    with database.write() as connection:
        used = connection.execute("SELECT 1 FROM address WHERE pool = ? AND network = ?", (name, scope)).fetchone()
        if used:
            raise PoolInUse
        return connection.execute("DELETE FROM pool WHERE scope = ? AND name = ?", (scope, name)).rowcount > 0


class Usage(NamedTuple):
    """Counts of one pool, in addresses."""

    pool: Pool
    total: int  # what its ips name, less excludeIPs
    reserved: int  # of these, what is reserved
    allocated: int  # recorded as given by this pool, also where its ips have changed since
    in_use: int  # of its total, in use through whichever pool
    cooling: int  # of its total, released a short while ago
    free: int  # of its total, neither reserved nor in use


def usages(database: Database, manifests: Iterable[Pool], reserved: Mapping[int, IntervalSet]) -> list[Usage]:
    """Return the use of the manifests' pools and of every inline pool that an ADD has met.

    Raises StoreUnavailable (11), StoreCorrupt (107).
    """
    pools = {(pool.scope, pool.name): pool for pool in manifests}
    with database.read() as connection:
        if connection is not None:
            for scope, name, spec, told in connection.execute(
                "SELECT scope, name, spec, reserved FROM pool"
            ).fetchall():
                pool = parse_pool(name, json.loads(spec), f"pool {name}", scope)
                pools.setdefault((scope, name), pool._replace(reserved=tuple(json.loads(told))))
        return [_usage(connection, pools[key], reserved) for key in sorted(pools)]


def _usage(connection: sqlite3.Connection | None, pool: Pool, reserved: Mapping[int, IntervalSet]) -> Usage:
    told = parse_reserved(list(pool.reserved), f"pool {pool.name}: reserved")[pool.family]
    set_aside = pool.space & IntervalSet((*reserved.get(pool.family, ()), *told))
    in_use, cooling, allocated = IntervalSet(), IntervalSet(), 0
    if connection is not None:
        in_use = pool.space & _within(connection, "address", pool)
        cooling = pool.space & _within(connection, "cooling", pool)
        (allocated,) = connection.execute(
            "SELECT count(*) FROM address WHERE pool = ? AND family = ? AND (? = '' OR network = ?)",
            (pool.name, pool.family, pool.scope, pool.scope),
        ).fetchone()
    return Usage(
        pool=pool,
        total=pool.space.size(),
        reserved=set_aside.size(),
        allocated=allocated,
        in_use=in_use.size(),
        cooling=cooling.size(),
        free=(pool.space - set_aside - in_use).size(),
    )


def _within(connection: sqlite3.Connection, table: str, pool: Pool) -> IntervalSet:
    """Return the numbers of a table's keys that lie in the pool's subnet."""
    first, last = int(pool.subnet.network_address), int(pool.subnet.broadcast_address)
    ends = encode(pool.family, first), encode(pool.family, last)
    keys = connection.execute(f"SELECT key FROM {table} WHERE key BETWEEN ? AND ?", ends).fetchall()
    numbers = [decode(key)[1] for (key,) in keys]
    return IntervalSet(Interval(number, number) for number in numbers)
