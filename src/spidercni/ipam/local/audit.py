"""What must be true of the embedded store, and how to rebuild it when it is not.

Repair has one way for every kind of damage: what can be read is written to a new file, the old file is kept aside,
the new one takes its name. Nothing is ever deleted from the only copy (INV-STORE-2).
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from spidercni.errors import StoreCorrupt
from spidercni.ipam.local import records
from spidercni.ipam.local.database import Database
from spidercni.ipam.local.lock import EXCLUSIVE
from spidercni.ipam.local.runs import decode, encode
from spidercni.model.allocation import Allocation
from spidercni.model.intervals import Interval, IntervalSet


class Repaired(NamedTuple):
    """What a repair did."""

    kept_aside: Path
    saved: int  # allocations in the new file
    remembered: int  # of these, what only the runtime still knew
    lost: tuple[str, ...]  # what could be seen but not saved, as texts
    complete: bool  # False: a part of the old file could not be read


def problems(database: Database) -> list[str]:
    """Return what is wrong with the store, in words; an empty list where all is well.

    Raises StoreCorrupt (107) when SQLite cannot read the file, StoreUnavailable (11).
    """
    with database.read() as connection:
        if connection is None:
            return []
        return list(_problems(connection))


def _problems(connection: sqlite3.Connection) -> Iterator[str]:
    damage = [text for (text,) in connection.execute("PRAGMA integrity_check(20)") if text != "ok"]
    if damage:
        raise StoreCorrupt("the store is damaged", "; ".join(damage))
    in_use: dict[int, list[Interval]] = {4: [], 6: []}
    for row in connection.execute(f"SELECT {records.COLUMNS} FROM address"):
        try:
            allocation = records.from_row(row)
        except StoreCorrupt as error:
            yield error.summary
        else:
            in_use[allocation.family].append(Interval(allocation.number, allocation.number))
    cooling = _points(connection, "SELECT key FROM cooling")
    for family, points in in_use.items():
        used, rests = IntervalSet(points), IntervalSet(cooling[family])
        if both := used & rests:
            yield f"{both.size()} IPv{family} addresses are in use and released at once"
        expected = IntervalSet((*used, *rests))
        rows = connection.execute("SELECT first, last FROM run WHERE first BETWEEN ? AND ?", _span(family)).fetchall()
        runs = [Interval(decode(first)[1], decode(last)[1]) for first, last in rows]
        if runs != list(expected):
            wrongly_free = (expected - IntervalSet(runs)).size()
            wrongly_taken = (IntervalSet(runs) - expected).size()
            yield f"the index of taken IPv{family} addresses has {wrongly_free} too few and {wrongly_taken} too many"


def _points(connection: sqlite3.Connection, query: str) -> dict[int, list[Interval]]:
    points: dict[int, list[Interval]] = {4: [], 6: []}
    for (key,) in connection.execute(query):
        family, number = decode(key)
        points[family].append(Interval(number, number))
    return points


def _span(family: int) -> tuple[bytes, bytes]:
    return bytes([family]), bytes([family + 1])


def repair(database: Database, suffix: str, remembered: Iterable[Allocation] = ()) -> Repaired:
    """Rebuild the store from what can be read and what is remembered elsewhere.

    The old file is kept as its name with `.damaged-SUFFIX`. The old file's word counts more than what is remembered.

    Raises StoreUnavailable (11).
    """
    with database.locked(EXCLUSIVE):
        aside = Path(f"{database.path}.damaged-{suffix}")
        journal = Path(f"{database.path}-journal")
        if database.path.exists():
            shutil.copy2(database.path, aside)
        if journal.exists():
            shutil.copy2(journal, f"{aside}-journal")
        rows, complete = _salvage(database.path)
        new = database.create_beside(f"{database.path.name}.new")
        saved, lost = _fill(new, rows)
        added = _add(new, remembered)
        _index(new)
        # What is left of a journal belongs to the damaged file: SQLite would roll it into the new one.
        journal.unlink(missing_ok=True)
        database.put_in_place(new)
    return Repaired(aside, saved + added, added, tuple(lost), complete)


def _salvage(path: Path) -> tuple[dict[str, list[Any]], bool]:
    """Read every row that can be read, from both ends of each table."""
    rows: dict[str, list[Any]] = {}
    complete = True
    for table, columns, key in (
        ("address", records.COLUMNS, "key"),
        ("cooling", "key, released_at", "key"),
        ("pool", "scope, name, spec, reserved, cursor", "scope, name"),
        ("noted", "name", "name"),
    ):
        found: dict[Any, None] = {}
        for direction in ("ASC", "DESC"):
            order = ", ".join(f"{column} {direction}" for column in key.split(", "))
            try:
                with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
                    for row in connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}"):
                        found[row] = None
                break
            except sqlite3.DatabaseError:
                complete = False
        rows[table] = list(found)
    return rows, complete


def _fill(path: Path, rows: dict[str, list[Any]]) -> tuple[int, list[str]]:
    """Write rows into an empty store; return how many addresses, and what could not be written."""
    lost = []
    saved = 0
    with closing(sqlite3.connect(path)) as connection, connection:
        for row in rows["address"]:
            try:
                records.insert(connection, records.from_row(row))
            except (StoreCorrupt, sqlite3.IntegrityError) as error:
                lost.append(f"{row!r}: {error}")
            else:
                saved += 1
        connection.executemany("INSERT OR IGNORE INTO cooling VALUES (?, ?)", rows["cooling"])
        connection.executemany("INSERT OR IGNORE INTO pool VALUES (?, ?, ?, ?, ?)", rows["pool"])
        connection.executemany("INSERT OR IGNORE INTO noted VALUES (?)", rows["noted"])
    return saved, lost


def _add(path: Path, remembered: Iterable[Allocation]) -> int:
    """Add what is remembered and not in the store; return how many."""
    added = 0
    with closing(sqlite3.connect(path)) as connection, connection:
        for allocation in remembered:
            with suppress(sqlite3.IntegrityError):
                records.insert(connection, allocation)
                added += 1
    return added


def _index(path: Path) -> None:
    """Make cooling and runs agree with the addresses in use."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for (key,) in connection.execute("SELECT key FROM cooling").fetchall():
            try:
                decode(key)
            except StoreCorrupt:
                connection.execute("DELETE FROM cooling WHERE key = ?", (key,))
        connection.execute("DELETE FROM cooling WHERE key IN (SELECT key FROM address)")
        for family, points in _points(connection, "SELECT key FROM address UNION SELECT key FROM cooling").items():
            runs = [(encode(family, first), encode(family, last)) for first, last in IntervalSet(points)]
            connection.executemany("INSERT INTO run VALUES (?, ?)", runs)
