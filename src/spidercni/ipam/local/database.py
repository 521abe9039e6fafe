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

import errno
import fcntl
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from spidercni.errors import StoreCorrupt, StoreUnavailable

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
CREATE TABLE pool (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    cursor BLOB,
    PRIMARY KEY (scope, name)
) WITHOUT ROWID;
COMMIT;
"""

# Primary SQLite result codes that mean damage; every other one means that the file cannot be used now.
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
# Result codes that mean a mistake of ours: not to be translated.
_OURS = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_MISMATCH)

_NO_SPACE = "free some space on the disk"
_READ_ONLY = "the disk or the file is read-only; ipam.data_dir names another place"
_SQLITE_ADVICE = {
    sqlite3.SQLITE_FULL: _NO_SPACE,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_BUSY: "another program holds the file",
}
_ERRNO_ADVICE = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: "the plugin runs without the rights of root",
}

# A journal that begins so is to be rolled back (SQLite "Database File Format", 3). A blank one means nothing.
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")

# What a transaction may need beside the file: its journal, and a page or two more.
_LEAST_SPACE_BYTES = 64 << 10

# For foreign tools that hold SQLite's own lock (a backup); our processes never wait here.
_SQLITE_BUSY_SECONDS = 5.0


class Database:
    """The file under one data directory. Holds nothing open between transactions."""

    def __init__(self, data_dir: str, lock_timeout_seconds: float) -> None:
        self.directory = Path(data_dir)
        self.path = self.directory / FILE_NAME
        self._lock_timeout = lock_timeout_seconds

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction that changes the store; creates it at the first time.

        Ends in a commit, or in a rollback when the block raises.
        Raises StoreUnavailable (11), StoreCorrupt (107).
        """
        with self.guarded():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.locked(fcntl.LOCK_EX):
                if not self.path.exists():
                    self._create()
                with closing(self._connect()) as connection:
                    # Not IMMEDIATE: the flock is ours. EXCLUSIVE fails at once on a file we may not write.
                    connection.execute("BEGIN EXCLUSIVE")
                    try:
                        yield connection
                    except BaseException:
                        connection.rollback()
                        raise
                    connection.commit()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection | None]:
        """Look at one consistent state; None where there is no store yet. Creates nothing.

        Raises StoreUnavailable (11), StoreCorrupt (107).
        """
        with self.guarded():
            if not self.path.exists():
                yield None
                return
            with self.locked(fcntl.LOCK_SH), closing(self._connect()) as connection:
                connection.execute("BEGIN")
                yield connection

    def refuse_if_read_only(self) -> None:
        """Raise StoreUnavailable where nothing can be written: read-only, full, or not ours to write."""
        directory = self.directory
        while not directory.exists() and directory != directory.parent:
            directory = directory.parent
        if not os.access(directory, os.W_OK | os.X_OK):
            raise StoreUnavailable(f"the store {self.path} cannot be written", _READ_ONLY)
        if os.statvfs(directory).f_bavail * os.statvfs(directory).f_frsize < _LEAST_SPACE_BYTES:
            raise StoreUnavailable(f"the store {self.path} cannot be written", _NO_SPACE)

    @contextmanager
    def locked(self, kind: int) -> Iterator[None]:
        """Hold the flock on the data directory. Raises StoreUnavailable when others hold it for too long."""
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                with _alarm(self._lock_timeout):
                    fcntl.flock(descriptor, kind)
            yield
        except _AlarmRang:
            raise StoreUnavailable(
                f"the store {self.path} is busy",
                f"others held its lock for {self._lock_timeout:g} s; `fuser {self.directory}` shows them",
            ) from None
        finally:
            os.close(descriptor)

    def create_beside(self, name: str) -> Path:
        """Make an empty store in a file of another name, durable, ready to be renamed into place."""
        path = self.directory / name
        for leftover in (path, Path(f"{path}-journal")):  # of a process that was killed here
            leftover.unlink(missing_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(SCHEMA)
        return path

    def put_in_place(self, path: Path) -> None:
        """Rename a file to the store's name and make the name durable."""
        path.rename(self.path)
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _create(self) -> None:
        journal = Path(f"{self.path}-journal")
        if journal.exists() and journal.read_bytes()[:8] == _JOURNAL_MAGIC:
            raise StoreCorrupt(
                f"the store {self.path} is gone, its journal is still there",
                "bring the file back, or remove the journal if the store is to start empty",
            )
        self.put_in_place(self.create_beside(f"{FILE_NAME}.new"))

    def _connect(self) -> sqlite3.Connection:
        # Readers open for writing too: whoever comes first after a `kill -9` has to roll the journal back.
        # On a read-only disk SQLite opens the file for reading only by itself.
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_SQLITE_BUSY_SECONDS
        )
        try:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION_ID:
                raise StoreCorrupt(f"{self.path} is not a store of spidercni", REPAIR)
            if version != SCHEMA_VERSION:
                raise StoreUnavailable(
                    f"the store {self.path} has schema {version}, this executable knows {SCHEMA_VERSION}",
                    "it was written by another release: install that one again",
                )
            connection.execute("PRAGMA journal_mode = PERSIST")
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn errors of SQLite and of the file system into ours, by what an administrator can do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF
            if code in _OURS:
                raise
            if code in _DAMAGE:
                raise StoreCorrupt(f"the store {self.path} is damaged: {error}", REPAIR) from error
            advice = self._advice(_SQLITE_ADVICE.get(code))
            raise StoreUnavailable(f"the store {self.path} cannot be used: {error}", advice) from error
        except OSError as error:
            advice = self._advice(_ERRNO_ADVICE.get(error.errno or 0))
            raise StoreUnavailable(
                f"the store {self.path} cannot be used: {error.strerror or error}", advice
            ) from error

    def _advice(self, known: str | None) -> str:
        return known or f"look at {self.directory}; ipam.data_dir names another place"


REPAIR = "nothing was changed; `spidercni ctl check --repair` keeps it aside and saves what can be read"


class _AlarmRang(Exception):
    """The time to wait is over."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Interrupt a blocking system call after some seconds, where that is possible.

    Only the main thread may set a signal handler; another one waits for as long as it takes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise _AlarmRang

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
