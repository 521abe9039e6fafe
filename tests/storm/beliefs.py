"""Who believes to own which address: one shared table, by which two believers of one address are found out.

A worker writes itself in when its ADD has succeeded and takes itself out before it starts the DEL. Both happen
inside the time in which the store must know the worker as the owner, so two entries can meet only if the store
gave an address out twice: the table accuses nobody falsely, however the processes are scheduled.
"""

import fcntl
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SLOT = struct.Struct("=I")
_NOBODY = 0


class TwoBelieversError(Exception):
    """One address was given to two at once."""


class BeliefTable:
    """A table in a file, one slot per address, shared by every process that opens it."""

    def __init__(self, path: Path, slots: int) -> None:
        """Open the table, or make it where there is none. Each process opens it for itself: the lock is the file's."""
        self._file = path.open("a+b")
        with self._locked():
            if path.stat().st_size == 0:
                self._file.write(bytes(slots * _SLOT.size))
                self._file.flush()
        self._map = mmap.mmap(self._file.fileno(), slots * _SLOT.size)

    def close(self) -> None:
        """Close the table; what is written in it stays."""
        self._map.close()
        self._file.close()

    def believe(self, slot: int, who: int) -> None:
        """Write `who` (a positive number) into the slot. Raises TwoBelieversError where somebody else is in it."""
        with self._locked():
            other = self._read(slot)
            if other != _NOBODY:
                raise TwoBelieversError(f"address number {slot} was given to {who}, and {other} owns it")
            self._write(slot, who)

    def give_up(self, slot: int, who: int) -> None:
        """Take `who` out of the slot. Raises TwoBelieversError where somebody else is in it."""
        with self._locked():
            other = self._read(slot)
            if other != who:
                raise TwoBelieversError(f"address number {slot} is {who}'s, but {other} is written there")
            self._write(slot, _NOBODY)

    def believed(self) -> list[int]:
        """Return the slots that somebody is in."""
        with self._locked():
            return [slot for slot in range(len(self._map) // _SLOT.size) if self._read(slot) != _NOBODY]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _read(self, slot: int) -> int:
        (who,) = _SLOT.unpack_from(self._map, slot * _SLOT.size)
        return int(who)

    def _write(self, slot: int, who: int) -> None:
        _SLOT.pack_into(self._map, slot * _SLOT.size, who)
