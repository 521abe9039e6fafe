"""The file of the embedded store: its lock, its creation, its transactions.

Theory of operation
-------------------
Many processes, each alive for some milliseconds, change one file, and any of them may be killed at any instruction.

*Lock.* A process takes an flock on the data directory before it opens the file. The kernel wakes waiters in turn and
drops the lock of a dead process. SQLite's own locks stay as they are (they guard against foreign tools), but their
waiting is polling with growing sleeps, which starves waiters when 64 processes want to write.

*Journal.* SQLite's rollback journal with `synchronous=FULL`: an answered ADD survives a power cut. A process that dies
in the middle leaves a journal that the next one rolls back. At rest the journal stays, with a blank header: its space
is reserved, so that a DEL can still be recorded when the disk is full. WAL would save an fsync in a long-lived process;
one that lives for a single transaction pays for opening and closing the WAL instead.

*Creation.* The schema is made in a file of another name that is renamed into place. Therefore an empty or foreign
file under our name is always damage and never taken for a new store: a store that forgot its allocations would give
addresses of living containers to others (INV-STORE-2).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from spidercni.errors import StoreCorrupt, StoreUnavailable
from spidercni.ipam.local import faults
from spidercni.ipam.local.lock import EXCLUSIVE, SHARED, locked

FILE_NAME = "addresses.sqlite"

APPLICATION_ID = 0x53504944  # "SPID"
SCHEMA_VERSION = 1

# `key` is one byte for the family (4 or 6) and the address, big-endian: SQLite sorts it as the addresses sort.
SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
BEGIN;
CREATE TABLE address (
    key BLOB PRIMARY KEY,
    family INTEGER NOT NULL,
    prefix_length INTEGER NOT NULL,
    pool TEXT NOT NULL,
    gateway TEXT,
    owner TEXT NOT NULL,
    namespace TEXT NOT NULL,
    pod TEXT NOT NULL,
    network TEXT NOT NULL,
    container_id TEXT NOT NULL,
    ifname TEXT NOT NULL,
    node TEXT NOT NULL,
    allocated_at REAL NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX address_owner ON address (owner, ifname, family);
CREATE INDEX address_attachment ON address (container_id, ifname, network);
CREATE TABLE cooling (key BLOB PRIMARY KEY, released_at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX cooling_released ON cooling (released_at);
CREATE TABLE run (first BLOB PRIMARY KEY, last BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE superseded (
    network TEXT NOT NULL,
    container_id TEXT NOT NULL,
    ifname TEXT NOT NULL,
    PRIMARY KEY (network, container_id, ifname)
) WITHOUT ROWID;
CREATE TABLE noted (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE pool (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    reserved TEXT NOT NULL,
    cursor BLOB,
    PRIMARY KEY (scope, name)
) WITHOUT ROWID;
COMMIT;
"""

# What a transaction may need beside the file: its journal, and a page or two more.
_LEAST_SPACE_BYTES = 64 << 10

# For foreign tools that hold SQLite's own lock (a backup); our processes never wait here.
_SQLITE_BUSY_SECONDS = 5.0


# Which file a connection is to: device and inode.
_Identity = tuple[int, int]


class Database:
    """The file under one data directory; may be used by several threads.

    Connections stay open between transactions, outside of which they hold no lock: an agent saves a fifth of a call.
    """

    def __init__(self, data_dir: str, lock_timeout_seconds: float) -> None:
        self.directory = Path(data_dir)
        self.path = self.directory / FILE_NAME
        self._lock_timeout = lock_timeout_seconds
        self._idle: list[tuple[_Identity, sqlite3.Connection]] = []

    def there(self) -> bool:
        """Tell whether there is a store.

        Raises StoreUnavailable where that cannot be known: a link whose target is not there, such as a disk that is
        not mounted, says that there was one (INV-STORE-2). Raises StoreCorrupt where the journal, which rests beside
        the file, says so.
        """
        for path in (self.directory, self.path):
            if path.is_symlink() and not path.exists():
                raise StoreUnavailable(
                    f"{path} is a link to {os.readlink(path)}, which is not there", "is its disk mounted?"
                )
        if self.path.exists():
            return True
        # The file comes before its journal: seen in this order, a first call of another process is no loss.
        if Path(f"{self.path}-journal").exists() and not self.path.exists():
            raise StoreCorrupt(
                f"the store {self.path} is gone, its journal is still there",
                "bring the file back, or have it made anew from what the runtime remembers: "
                + faults.repair_command(self.path),
            )
        return False

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction that changes the store; creates it at the first time.

        Ends in a commit, or in a rollback when the block raises.
        Raises StoreUnavailable (11), StoreCorrupt (107).
        """
        with faults.translated(self.path):
            self.there()
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self.directory, EXCLUSIVE, self._lock_timeout):
                if not self.there():
                    self.put_in_place(self.create_beside(f"{FILE_NAME}.new"))
                with self._connected() as connection:
                    # Not IMMEDIATE: the flock is ours. EXCLUSIVE fails at once on a file we may not write.
                    connection.execute("BEGIN EXCLUSIVE")
                    yield connection
                    connection.commit()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection | None]:
        """Look at one consistent state; None where there is no store yet. Creates nothing.

        Raises StoreUnavailable (11), StoreCorrupt (107).
        """
        with faults.translated(self.path):
            if not self.there():
                yield None
                return
            with locked(self.directory, SHARED, self._lock_timeout), self._connected() as connection:
                connection.execute("BEGIN")
                yield connection

    def refuse_if_read_only(self) -> None:
        """Raise StoreUnavailable where nothing can be written: read-only, full, or not ours to write."""
        self.there()
        directory = self.directory
        while not directory.exists() and directory != directory.parent:
            directory = directory.parent
        if not os.access(directory, os.W_OK | os.X_OK):
            raise StoreUnavailable(f"the store {self.path} cannot be written", faults.READ_ONLY)
        if os.statvfs(directory).f_bavail * os.statvfs(directory).f_frsize < _LEAST_SPACE_BYTES:
            raise StoreUnavailable(f"the store {self.path} cannot be written", faults.NO_SPACE)

    @contextmanager
    def locked(self, kind: int) -> Iterator[None]:
        """Hold the lock of the store. Raises StoreUnavailable (11)."""
        with faults.translated(self.path), locked(self.directory, kind, self._lock_timeout):
            yield

    def create_beside(self, name: str) -> Path:
        """Make an empty store in a file of another name, durable, ready to be renamed into place."""
        path = self.directory / name
        for leftover in (path, Path(f"{path}-journal")):  # of a process that was killed here
            leftover.unlink(missing_ok=True)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.executescript(SCHEMA)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def put_in_place(self, path: Path) -> None:
        """Rename a file to the store's name and make the name durable."""
        path.rename(self.path)
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to the file that has the name now; whatever the block has not committed is rolled back."""
        identity = self._identity()
        while self._idle:
            known, connection = self._idle.pop()
            if known == identity:
                break
            connection.close()  # the file was replaced, by a repair
        else:
            connection = self._connect()
        try:
            self._check(connection)
            yield connection
            connection.rollback()
        except BaseException:
            connection.close()
            raise
        self._idle.append((identity, connection))

    def _identity(self) -> _Identity:
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def _connect(self) -> sqlite3.Connection:
        # Readers open for writing too: whoever comes first after a `kill -9` has to roll the journal back.
        # On a read-only disk SQLite opens the file for reading only by itself.
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=_SQLITE_BUSY_SECONDS,
            check_same_thread=False,
        )
        try:
            self._check(connection)  # first of all: a file that is not ours is not changed
            connection.execute("PRAGMA journal_mode = PERSIST")
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Refuse a file that is not ours, or of another release."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise StoreCorrupt(f"{self.path} is not a store of spidercni", faults.repair_hint(self.path))
        if version != SCHEMA_VERSION:
            raise StoreUnavailable(
                f"the store {self.path} has schema {version}, this executable knows {SCHEMA_VERSION}",
                "it was written by another release: install that one again",
            )
