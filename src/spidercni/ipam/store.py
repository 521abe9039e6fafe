"""What a store must be able to do. `tests/unit/store_contract.py` holds every store to it.

A store keeps allocations. All changes happen inside a session: what a session claimed is there for good when it
ends well, and not there at all when it ends with an exception. A store may let sessions run at the same time; then
`claim` answers False for an address that somebody else was given meanwhile, and `taken` knows it from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from spidercni.ipam.choose import Taken
from spidercni.model.allocation import Allocation, Owner
from spidercni.model.attachment import Attachment
from spidercni.model.intervals import IntervalSet
from spidercni.model.pool import Pool


class Session(Protocol):
    """One change of the store, all or nothing."""

    async def held(self, owner: Owner, attachment: Attachment) -> list[Allocation]:
        """Return what the owner holds for that ifname, and what the attachment holds, whoever owns it."""

    async def attached(self, attachment: Attachment) -> list[Allocation]:
        """Return what the attachment holds."""

    async def of_network(self, network: str, node: str) -> list[Allocation]:
        """Return what the network has on the node."""

    async def first_time(self, name: str) -> bool:
        """Tell, once and never again, that a note of the journal is not carried out yet; part of the change."""

    async def forget_all_but(self, names: Sequence[str]) -> None:
        """Forget the names of notes that are there no more."""

    async def start(self, pool: Pool) -> int:
        """Return the number at which the search in the pool starts; remembers the pool for people to look at."""

    def taken(self, family: int) -> Taken:
        """Return what cannot be given out now: addresses in use, and those released a short while ago."""

    async def longest_released(self, family: int, space: IntervalSet) -> int | None:
        """Return the number of `space` that is free and was released first of all, or None.

        It is for the case that everything else is in use.
        """

    async def claim(self, allocation: Allocation, pool: Pool) -> bool:
        """Record an allocation from a pool; the pool's next search starts behind it.

        False: somebody else has the address (INV-IPAM-1).
        """

    async def hand_over(self, allocation: Allocation, successor: Allocation) -> None:
        """Give the address of `allocation` to another attachment of the same owner, at once."""

    async def supersede(self, attachment: Attachment) -> None:
        """Remember that the pod has a newer sandbox than this one, until `forget`."""

    async def is_superseded(self, attachment: Attachment) -> bool:
        """Tell whether the pod has a newer sandbox than this one."""

    async def forget(self, attachment: Attachment) -> None:
        """Forget that the attachment was superseded: its DEL has come."""

    async def release(self, allocation: Allocation) -> None:
        """Remove an allocation; its address rests for the cool-down."""


class Store(Protocol):
    """Keeps allocations for every process of its domain (a node, or a cluster)."""

    def session(self) -> AbstractAsyncContextManager[Session]:
        """Begin a change. Raises StoreUnavailable (11) or StoreCorrupt (107)."""

    async def exists(self) -> bool:
        """Tell whether anything was ever allocated here."""

    async def attached(self, attachment: Attachment) -> list[Allocation]:
        """Return what the attachment holds."""

    async def knows(self, attachment: Attachment) -> bool:
        """Tell whether anything is recorded about the attachment: a release has something to do."""

    async def allocations(self) -> list[Allocation]:
        """Return everything, IPv4 before IPv6, by ascending address."""

    async def refuse_if_read_only(self) -> None:
        """Raise StoreUnavailable (11) where a claim could not be recorded now. Changes nothing."""

    async def has_free(self, pool: Pool, space: IntervalSet) -> bool:
        """Tell whether an ADD could be given an address of `space` now. Changes nothing."""
