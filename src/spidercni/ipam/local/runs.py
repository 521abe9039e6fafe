"""Which numbers are taken, as maximal runs: a row for each stretch of neighbours.

INV-STORE-1: the runs are the merged union of the addresses in use and those that cool down. They answer "where is the
next free number" with one look into an index, however many addresses are taken.
"""

from __future__ import annotations

import sqlite3

from spidercni.errors import StoreCorrupt
from spidercni.model.addresses import BITS
from spidercni.model.intervals import Interval


def encode(family: int, number: int) -> bytes:
    """Return the key of an address: the family in one byte, then the number, big-endian."""
    return bytes([family]) + number.to_bytes(BITS[family] // 8, "big")


def decode(key: bytes) -> tuple[int, int]:
    """Return family and number of a key. Raises StoreCorrupt for what is none."""
    if not isinstance(key, bytes) or not key or key[0] not in BITS or len(key) != 1 + BITS[key[0]] // 8:
        raise StoreCorrupt(f"the store has the impossible key {key!r}", "`spidercni ctl check --repair` may help")
    return key[0], int.from_bytes(key[1:], "big")


class Runs:
    """The runs of one family, as `spidercni.ipam.choose.Taken` wants them."""

    def __init__(self, connection: sqlite3.Connection, family: int) -> None:
        self._connection = connection
        self._family = family
        self._last_number = (1 << BITS[family]) - 1

    def run_at(self, number: int) -> Interval | None:
        """Return the run that contains `number`, or None."""
        key = encode(self._family, number)
        # Whether the run reaches `number` is compared here: in SQL it would walk down all runs below a free number.
        row = self._connection.execute(
            "SELECT first, last FROM run WHERE first <= ? ORDER BY first DESC LIMIT 1", (key,)
        ).fetchone()
        if row is None or row[1] < key:
            return None
        return Interval(decode(row[0])[1], decode(row[1])[1])

    def add(self, number: int) -> None:
        """Add one number that is in no run yet, joining its neighbours."""
        first = last = number
        if number > 0 and (below := self.run_at(number - 1)):
            first = below.first
        if number < self._last_number and (above := self.run_at(number + 1)):
            last = above.last
            self._delete(above)
        self._put(Interval(first, last))

    def remove(self, number: int) -> None:
        """Take one number out of its run. Raises StoreCorrupt when it is in none."""
        run = self.run_at(number)
        if run is None:
            raise StoreCorrupt(
                f"the store does not know {number} of family {self._family} as taken",
                "`spidercni ctl check --repair` mends that",
            )
        self._delete(run)
        if run.first < number:
            self._put(Interval(run.first, number - 1))
        if number < run.last:
            self._put(Interval(number + 1, run.last))

    def _put(self, run: Interval) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO run VALUES (?, ?)",
            (encode(self._family, run.first), encode(self._family, run.last)),
        )

    def _delete(self, run: Interval) -> None:
        self._connection.execute("DELETE FROM run WHERE first = ?", (encode(self._family, run.first),))
