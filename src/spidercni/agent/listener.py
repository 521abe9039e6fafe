"""The agent's socket: root only, one agent at a time, stale files replaced, or given by systemd."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from pathlib import Path

from spidercni.errors import StoreUnavailable

# The kernel queues so many relays before it lets the next one wait (and `somaxconn` may be less).
BACKLOG = 1024

# The first descriptor that systemd hands over (sd_listen_fds(3)).
_SYSTEMD_FIRST = 3


class Listener:
    """A listening socket and the lock that says whose it is."""

    def __init__(self, raw: socket.socket, path: Path | None, lock: int | None) -> None:
        self.socket = raw
        self._path = path
        self._lock = lock

    def withdraw(self) -> None:
        """Remove the name, if it is ours: nobody new comes; who is in the queue is still served."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop listening."""
        self.withdraw()
        self.socket.close()
        if self._lock is not None:
            os.close(self._lock)


def open_listener(path: str) -> Listener:
    """Listen at a path, or on what systemd hands over.

    A file that a dead agent left is replaced. Raises StoreUnavailable when another agent lives, OSError.
    """
    if given := _from_systemd():
        return Listener(given, None, None)
    place = Path(path)
    # Nobody but root may even look for the socket.
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chmod(place.parent, 0o700)
    lock = _lock(place)
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # Whoever holds the lock owns the name: what is there is of a dead agent.
        place.unlink(missing_ok=True)
        beside = place.with_name(f"{place.name}.new")
        beside.unlink(missing_ok=True)
        raw.bind(str(beside))
        os.chmod(beside, 0o600)
        raw.listen(BACKLOG)
        beside.rename(place)  # relays never see a socket that nobody listens at
    except BaseException:
        raw.close()
        os.close(lock)
        raise
    return Listener(raw, place, lock)


def _lock(place: Path) -> int:
    descriptor = os.open(place.with_name(f"{place.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise StoreUnavailable(
                f"another agent listens at {place}", "one node has one agent: stop that one"
            ) from None
        raise
    return descriptor


def _from_systemd() -> socket.socket | None:
    """Return the socket of a socket unit, if this process was started by one."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    os.set_inheritable(_SYSTEMD_FIRST, False)
    return socket.socket(fileno=_SYSTEMD_FIRST)
