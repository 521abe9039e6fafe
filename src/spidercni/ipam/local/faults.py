"""Errors of SQLite and of the file system, turned into ours by what an administrator can do. One table for each."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spidercni.errors import StoreCorrupt, StoreUnavailable

NO_SPACE = "free some space on the disk"
READ_ONLY = "make the disk and the file writable again"

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
    errno.EACCES: "this needs the rights of root",
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
            raise StoreCorrupt(f"the store {path} is damaged: {error}", repair_hint(path)) from error
        raise _unavailable(path, str(error), _SQLITE_ADVICE.get(code)) from error
    except OSError as error:
        raise _unavailable(path, error.strerror or str(error), _ERRNO_ADVICE.get(error.errno or 0)) from error


def _unavailable(path: Path, reason: str, advice: str | None) -> StoreUnavailable:
    return StoreUnavailable(
        f"the store {path} cannot be used: {reason}",
        # Never "use another data_dir": what is in use here would be given out there once more.
        advice or f"look at {path.parent}: disk, rights, links",
    )


def repair_command(path: Path) -> str:
    """Return the command that repairs a store."""
    return f"`spidercni ctl --data-dir {path.parent} check --repair`"


def repair_hint(path: Path) -> str:
    """Say what to do about damage."""
    return f"nothing was changed; {repair_command(path)} keeps it aside and saves what can be read"
