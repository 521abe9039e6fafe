"""The agent's socket: root only, one agent at a time, stale files replaced, or given by systemd."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import time
from contextlib import suppress
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
        self._file = _file_at(path) if path is not None else None
        self._lock = lock
        # When a relay was last accepted, on the monotonic clock.
        self.accepted = time.monotonic()

    @property
    def of_systemd(self) -> bool:
        """Whether somebody else holds it open: who comes when this process has ended waits for the next one."""
        return self._path is None

    async def accept(self) -> socket.socket:
        """Wait for a relay. Cancelled it has accepted none: who is in the queue stays there."""
        while True:
            try:
                raw, _ = self.socket.accept()
            except BlockingIOError:
                await self._until_somebody_comes()
            else:
                self.accepted = time.monotonic()
                return raw

    async def _until_somebody_comes(self) -> None:
        # asyncio's sock_accept() may be cancelled after it has accepted, and drops the connection then.
        loop = asyncio.get_running_loop()
        come = asyncio.Event()
        loop.add_reader(self.socket, come.set)
        try:
            await come.wait()
        finally:
            loop.remove_reader(self.socket)

    @property
    def place(self) -> str:
        """Where it listens. The kernel remembers the name that the socket had before it was moved into place."""
        return str(self._path) if self._path is not None else str(self.socket.getsockname())

    def withdraw(self) -> None:
        """Remove the name, if it is ours: nobody new comes; who is in the queue is still served."""
        if self._path is not None and _file_at(self._path) == self._file:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop listening."""
        self.withdraw()
        self.socket.close()
        if self._lock is not None:
            os.close(self._lock)


def open_listener(path: str) -> Listener:
    """Listen at a path, or on what systemd hands over.

    A file that a dead agent left is replaced. Raises StoreUnavailable when another agent lives or systemd listens in
    its place, OSError.
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
        # Whoever holds the lock owns the name: what is there is of a dead agent, unless systemd holds it for one.
        _refuse_living(place)
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


def _refuse_living(place: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as raw:
        raw.setblocking(False)
        try:
            raw.connect(str(place))
        except BlockingIOError:
            pass  # its queue is full
        except OSError:
            return
    raise StoreUnavailable(
        f"somebody listens at {place}",
        "one node has one agent; systemctl stop spidercni-agent.socket spidercni-agent.service stops systemd's",
    )


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one that took its name."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _from_systemd() -> socket.socket | None:
    """Return the socket of a socket unit, if this process was started by one (sd_listen_fds(3)).

    In the one-file form PyInstaller's bootloader puts the child's number into LISTEN_PID, whatever was there.
    Raises StoreUnavailable for anything but one listening Unix socket.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = os.environ.get("LISTEN_FDS", "0")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    if count == "0":
        return None
    if count == "1":
        with suppress(OSError):  # no descriptor, or of no socket
            raw = socket.socket(fileno=_SYSTEMD_FIRST)
            raw.set_inheritable(False)
            if raw.family == socket.AF_UNIX and raw.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return raw
    raise StoreUnavailable(
        "what systemd hands over (LISTEN_FDS) is not one listening Unix socket",
        "the socket unit has one ListenStream=, a path",
    )
