"""Releases that could not be carried out, noted durably until the store is back: one small file each.

A runtime that is told of a failed DEL keeps the pod and tries again and again; one that is told of success forgets the
container. So a DEL or GC whose store is away is noted here, answered with success, and carried out before anything else
is done in that store. A note is written whole or not at all (INV-JOURNAL-1), is carried out once (the store remembers
its name until the file is gone, INV-JOURNAL-2), and names what it releases by attachment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from spidercni.errors import StoreUnavailable
from spidercni.model.allocation import Allocation
from spidercni.model.attachment import Attachment

# A node has some hundred containers; more notes than this mean that something else is wrong.
MOST_NOTES = 10_000

_SUFFIX = ".json"


class Note(NamedTuple):
    """One release that waits. `attachment` is the one of a DEL; of a GC only its network counts."""

    name: str
    data_dir: str
    node: str
    attachment: Attachment
    valid: frozenset[Attachment] | None = None  # of a GC: what it spares
    before: float = 0.0  # of a GC: it spares what was allocated after this, in seconds since the epoch

    def stale(self, allocation: Allocation) -> bool:
        """Tell whether the noted GC releases an allocation."""
        return (
            self.valid is not None and allocation.attachment not in self.valid and allocation.allocated_at < self.before
        )


class Journal:
    """The notes under one directory, in the order they were written."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def notes(self, data_dir: str) -> list[Note]:
        """Return what waits for a store. Raises StoreUnavailable (11) where that cannot be known."""
        return [note for note in self._all() if note.data_dir == data_dir]

    def data_dirs(self) -> set[str]:
        """Return the stores that something waits for. Raises StoreUnavailable (11)."""
        return {note.data_dir for note in self._all()}

    def write(self, note: Note) -> None:
        """Note a release, durably. Raises StoreUnavailable (11)."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if len(os.listdir(self.directory)) >= MOST_NOTES:
                raise StoreUnavailable(
                    f"{self.directory} has {MOST_NOTES} notes", "the store has been away for long: see why"
                )
            beside = self.directory / f"{note.name}.new"
            with beside.open("xb") as file:
                file.write(json.dumps(_to_document(note)).encode())
                file.flush()
                os.fsync(file.fileno())
            beside.rename(self.directory / note.name)
            self._sync()
        except OSError as error:
            raise self._unavailable(error) from error

    def remove(self, notes: Iterable[Note]) -> None:
        """Forget notes that were carried out. A failure is none: the store knows that they are done."""
        for note in notes:
            try:
                (self.directory / note.name).unlink(missing_ok=True)
            except OSError:
                return

    def _all(self) -> list[Note]:
        try:
            names = sorted(name for name in os.listdir(self.directory) if name.endswith(_SUFFIX))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unavailable(error) from error
        return [note for name in names if (note := self._read(name)) is not None]

    def _read(self, name: str) -> Note | None:
        """Return a note, or None where another process has just removed it."""
        try:
            return _from_document(name, json.loads((self.directory / name).read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreUnavailable(
                f"{self.directory / name} is no note of ours: {error}", "remove it if it is foreign"
            ) from error

    def _sync(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _unavailable(self, error: OSError) -> StoreUnavailable:
        return StoreUnavailable(f"{self.directory} cannot be used: {error.strerror or error}")


class Waiting:
    """What waits for one store: read anew each time, and removed when its session has ended well."""

    def __init__(self, journal: Journal, data_dir: str) -> None:
        self._journal = journal
        self._data_dir = data_dir
        self._notes: list[Note] = []

    def read(self) -> list[Note]:
        """Return the notes. Raises StoreUnavailable (11)."""
        self._notes = self._journal.notes(self._data_dir)
        return self._notes

    def done(self) -> int:
        """Remove what was read last; return how many that were."""
        self._journal.remove(self._notes)
        return len(self._notes)


def name_of(now: float, process: int, count: int = 0) -> str:
    """Return the name of a note: sorts by time, and no other process makes the same."""
    return f"{int(now * 1e9):020d}-{process}-{count}{_SUFFIX}"


def _to_document(note: Note) -> dict[str, Any]:
    document: dict[str, Any] = {"dataDir": note.data_dir, "node": note.node, "attachment": list(note.attachment)}
    if note.valid is not None:
        document |= {"valid": sorted(list(each) for each in note.valid), "before": note.before}
    return document


def _from_document(name: str, document: dict[str, Any]) -> Note:
    valid = document.get("valid")
    return Note(
        name=name,
        data_dir=document["dataDir"],
        node=document["node"],
        attachment=Attachment(*document["attachment"]),
        valid=None if valid is None else frozenset(Attachment(*each) for each in valid),
        before=float(document.get("before", 0.0)),
    )
