"""The `Store` on one SQLite file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from spidercni.ipam.choose import next_free
from spidercni.ipam.local import records
from spidercni.ipam.local.database import Database
from spidercni.ipam.local.runs import Runs, encode
from spidercni.ipam.local.session import LocalSession
from spidercni.model.allocation import Allocation
from spidercni.model.attachment import Attachment
from spidercni.model.intervals import IntervalSet
from spidercni.model.pool import Pool


class LocalStore:
    """See `spidercni.ipam.store.Store`. `clock` gives seconds since the epoch."""

    def __init__(self, database: Database, clock: Callable[[], float], cooldown_seconds: float) -> None:
        self._database = database
        self._clock = clock
        self._cooldown_seconds = cooldown_seconds

    @asynccontextmanager
    async def session(self) -> AsyncIterator[LocalSession]:
        """Begin a change; nobody else changes the store meanwhile."""
        with self._database.write() as connection:
            yield LocalSession(connection, self._clock(), self._cooldown_seconds)

    async def exists(self) -> bool:
        """Tell whether there is a file."""
        return self._database.there()

    async def attached(self, attachment: Attachment) -> list[Allocation]:
        """Return what the attachment holds."""
        with self._database.read() as connection:
            if connection is None:
                return []
            return list(records.find(connection, records.OF_ATTACHMENT, *attachment))

    async def knows(self, attachment: Attachment) -> bool:
        """Tell whether anything is recorded about the attachment."""
        with self._database.read() as connection:
            return connection is not None and any(
                connection.execute(f"SELECT 1 FROM {table} WHERE {records.OF_ATTACHMENT}", attachment).fetchone()
                for table in ("address", "superseded")
            )

    async def allocations(self) -> list[Allocation]:
        """Return everything, IPv4 before IPv6, by ascending address."""
        with self._database.read() as connection:
            return list(records.find(connection, "TRUE")) if connection else []

    async def refuse_if_read_only(self) -> None:
        """Look at the disk under the store."""
        self._database.refuse_if_read_only()

    async def has_free(self, pool: Pool, space: IntervalSet) -> bool:
        """Tell whether something of `space` is free or cooling down."""
        with self._database.read() as connection:
            if connection is None:
                return bool(space)
            if next_free(space, Runs(connection, pool.family), 0) is not None:
                return True
            return any(
                connection.execute(
                    "SELECT 1 FROM cooling WHERE key BETWEEN ? AND ? LIMIT 1",
                    (encode(pool.family, interval.first), encode(pool.family, interval.last)),
                ).fetchone()
                for interval in space
            )
