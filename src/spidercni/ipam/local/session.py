"""One change of the embedded store, inside one SQLite transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from spidercni.ipam.local import records
from spidercni.ipam.local.runs import Runs, decode, encode
from spidercni.model.allocation import Allocation, Owner
from spidercni.model.attachment import Attachment
from spidercni.model.intervals import IntervalSet
from spidercni.model.pool import Pool

# How many addresses one session lets end their cool-down. A session starts at most two, so that the rest shrinks.
_WARMED_PER_SESSION = 16


class LocalSession:
    """See `spidercni.ipam.store.Session`. `now` is in seconds since the epoch."""

    def __init__(self, connection: sqlite3.Connection, now: float, cooldown_seconds: float) -> None:
        self._connection = connection
        self._now = now
        self._runs = {family: Runs(connection, family) for family in (4, 6)}
        self._end_cooldowns(cooldown_seconds)

    def _end_cooldowns(self, cooldown_seconds: float) -> None:
        # A release in the future: the clock was set back. It begins to cool down now, lest it never ends.
        self._connection.execute("UPDATE cooling SET released_at = ?1 WHERE released_at > ?1", (self._now,))
        rows = self._connection.execute(
            "SELECT key FROM cooling WHERE released_at <= ? ORDER BY released_at LIMIT ?",
            (self._now - cooldown_seconds, _WARMED_PER_SESSION),
        ).fetchall()
        for (key,) in rows:
            family, number = decode(key)
            self._connection.execute("DELETE FROM cooling WHERE key = ?", (key,))
            self._runs[family].remove(number)

    async def held(self, owner: Owner, attachment: Attachment) -> list[Allocation]:
        """Return what the owner holds for that ifname, and what the attachment holds."""
        condition = f"(owner = ? AND ifname = ?) OR ({records.OF_ATTACHMENT})"
        return self.find(condition, owner.identity, attachment.ifname, *attachment)

    def find(self, condition: str, *values: object) -> list[Allocation]:
        """Return the allocations that meet an SQL condition (a constant of the caller), by ascending address."""
        return list(records.find(self._connection, condition, *values))

    async def attached(self, attachment: Attachment) -> list[Allocation]:
        """Return what the attachment holds."""
        return self.find(records.OF_ATTACHMENT, *attachment)

    async def of_network(self, network: str, node: str) -> list[Allocation]:
        """Return what the network has on the node."""
        return self.find("network = ? AND node = ?", network, node)

    async def first_time(self, name: str) -> bool:
        """Remember the name of a note; False where it was known."""
        return self._connection.execute("INSERT OR IGNORE INTO noted VALUES (?)", (name,)).rowcount == 1

    async def forget_all_but(self, names: Sequence[str]) -> None:
        """Forget other names of notes: nobody can read these notes any more."""
        marks = ", ".join("?" * len(names))
        self._connection.execute(f"DELETE FROM noted WHERE name NOT IN ({marks})", names)

    async def start(self, pool: Pool) -> int:
        """Return where the search begins: behind the address that the pool gave last, or at its first."""
        key = pool.scope, pool.name
        known = pool.spec_json, json.dumps(pool.reserved)
        row = self._connection.execute(
            "SELECT spec, reserved, cursor FROM pool WHERE scope = ? AND name = ?", key
        ).fetchone()
        if row is None:
            self._connection.execute("INSERT INTO pool VALUES (?, ?, ?, ?, NULL)", (*key, *known))
            return 0
        *before, cursor = row
        if tuple(before) != known:
            self._connection.execute(
                "UPDATE pool SET spec = ?, reserved = ? WHERE scope = ? AND name = ?", (*known, *key)
            )
        if cursor is None:
            return 0
        family, number = decode(cursor)
        return number + 1 if family == pool.family else 0

    def taken(self, family: int) -> Runs:
        """Return the addresses in use and those that cool down."""
        return self._runs[family]

    async def longest_released(self, family: int, space: IntervalSet) -> int | None:
        """Return the address of `space` that has cooled down the longest, or None."""
        found = [
            row
            for interval in space
            if (
                row := self._connection.execute(
                    "SELECT released_at, key FROM cooling WHERE key BETWEEN ? AND ? ORDER BY released_at, key LIMIT 1",
                    (encode(family, interval.first), encode(family, interval.last)),
                ).fetchone()
            )
        ]
        return decode(min(found)[1])[1] if found else None

    async def claim(self, allocation: Allocation, pool: Pool) -> bool:
        """Record the allocation and where the pool's next search begins."""
        key = records.key_of(allocation)
        if self._connection.execute("SELECT 1 FROM address WHERE key = ?", (key,)).fetchone():
            return False
        cooling = self._connection.execute("DELETE FROM cooling WHERE key = ?", (key,))
        if cooling.rowcount == 0:
            self._runs[allocation.family].add(allocation.number)
        records.insert(self._connection, allocation)
        self._connection.execute(
            "UPDATE pool SET cursor = ? WHERE scope = ? AND name = ?", (key, pool.scope, pool.name)
        )
        return True

    async def hand_over(self, allocation: Allocation, successor: Allocation) -> None:
        """Replace one record by another of the same address."""
        self._delete(allocation)
        records.insert(self._connection, successor)

    async def supersede(self, attachment: Attachment) -> None:
        """Remember that the pod has a newer sandbox."""
        self._connection.execute("INSERT OR IGNORE INTO superseded VALUES (?, ?, ?)", attachment)

    async def is_superseded(self, attachment: Attachment) -> bool:
        """Tell whether the pod has a newer sandbox."""
        query = f"SELECT 1 FROM superseded WHERE {records.OF_ATTACHMENT}"
        return self._connection.execute(query, attachment).fetchone() is not None

    async def forget(self, attachment: Attachment) -> None:
        """Forget that the attachment was superseded."""
        self._connection.execute(f"DELETE FROM superseded WHERE {records.OF_ATTACHMENT}", attachment)

    async def release(self, allocation: Allocation) -> None:
        """Remove the record; the address stays in its run until it has cooled down."""
        self._delete(allocation)
        self._connection.execute("INSERT INTO cooling VALUES (?, ?)", (records.key_of(allocation), self._now))

    def _delete(self, allocation: Allocation) -> None:
        self._connection.execute("DELETE FROM address WHERE key = ?", (records.key_of(allocation),))
