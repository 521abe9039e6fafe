"""Errors of SQLite and of the file system, turned into ours by what an administrator can do. One table for each."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spidercni.errors import StoreCorrupt, StoreUnavailable

REPAIR = "nothing was changed; `spidercni ctl check --repair` keeps it aside and saves what can be read"
NO_SPACE = "free some space on the disk"
READ_ONLY = "the disk or the file is read-only; ipam.data_dir names another place"

# Primary SQLite result codes that mean damage; every other one means that the file cannot be used now.
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
# Result codes that mean a mistake of ours: not to be translated.
_OURS = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_MISMATCH)

_SQLITE_ADVICE = {
    sqlite3.SQLITE_FULL: NO_SPACE,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_BUSY: "another program holds the file",
}
_ERRNO_ADVICE = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EROFS: READ_ONLY,
    errno.EACCES: "the plugin runs without the rights of root",
}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what the block raises about the store's file into StoreUnavailable (11) or StoreCorrupt (107)."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF
        if code in _OURS:
            raise
        if code in _DAMAGE:
            raise StoreCorrupt(f"the store {path} is damaged: {error}", REPAIR) from error
        raise _unavailable(path, str(error), _SQLITE_ADVICE.get(code)) from error
    except OSError as error:
        raise _unavailable(path, error.strerror or str(error), _ERRNO_ADVICE.get(error.errno or 0)) from error


def _unavailable(path: Path, reason: str, advice: str | None) -> StoreUnavailable:
    return StoreUnavailable(
        f"the store {path} cannot be used: {reason}",
        advice or f"look at {path.parent}; ipam.data_dir names another place",
    )
