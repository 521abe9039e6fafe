"""The lock of the embedded store: an flock on its directory, with an end to the waiting."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from spidercni.errors import StoreUnavailable

if TYPE_CHECKING:
    from types import FrameType

EXCLUSIVE = fcntl.LOCK_EX
SHARED = fcntl.LOCK_SH


@contextmanager
def locked(directory: Path, kind: int, timeout_seconds: float) -> Iterator[None]:
    """Hold the lock on a directory. Raises StoreUnavailable (11) when others hold it for too long, OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            with _alarm(timeout_seconds):
                fcntl.flock(descriptor, kind)
        yield
    except _AlarmRang:
        raise StoreUnavailable(
            f"the store in {directory} is busy",
            f"others held its lock for {timeout_seconds:g} s; `fuser {directory}` shows them",
        ) from None
    finally:
        os.close(descriptor)


class _AlarmRang(Exception):
    """The time to wait is over."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Interrupt a blocking system call after some seconds, where that is possible.

    Only the main thread may set a signal handler; another one waits for as long as it takes.
    """
    import signal  # who need not wait saves 1.5 ms by not importing them
    import threading

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
