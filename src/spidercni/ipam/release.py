"""End allocations: those of one attachment, and those of a network that a runtime does not list as valid.

What a journal still holds for the store is carried out first, in the same session: an ADD must not find the address of
a container whose DEL is only noted (INV-IPAM-7).
"""

from __future__ import annotations

from collections.abc import Callable

from spidercni.ipam.journal import Waiting
from spidercni.ipam.store import Session, Store
from spidercni.model.allocation import Allocation
from spidercni.model.attachment import Attachment


async def release(store: Store, attachment: Attachment, waiting: Waiting) -> list[Allocation]:
    """Release all that the attachment holds, and only that; return it. Repeating it is no error."""
    if not waiting.read() and not await store.knows(attachment):
        return []
    async with store.session() as session:
        await carry_out(session, waiting)
        return await _release_attachment(session, attachment)


async def collect(
    store: Store, network: str, node: str, stale: Callable[[Allocation], bool], waiting: Waiting
) -> list[Allocation]:
    """Release what `stale` says of the network on the node; return it."""
    if not await store.exists():
        return []
    async with store.session() as session:
        await carry_out(session, waiting)
        there = await session.of_network(network, node)
        return await _release(session, [allocation for allocation in there if stale(allocation)])


async def carry_out(session: Session, waiting: Waiting) -> None:
    """Do what was noted, each note once, in order.

    The notes are read here, while nobody else can change the store: a list from before might name one that another
    process has carried out and removed since.
    """
    notes = waiting.read()
    await session.forget_all_but([note.name for note in notes])
    for note in notes:
        if not await session.first_time(note.name):
            continue  # done by a process that died before it could remove the note
        if note.valid is None:
            await _release_attachment(session, note.attachment)
        else:
            there = await session.of_network(note.attachment.network, note.node)
            await _release(session, [allocation for allocation in there if note.stale(allocation)])


async def _release_attachment(session: Session, attachment: Attachment) -> list[Allocation]:
    await session.forget(attachment)
    return await _release(session, await session.attached(attachment))


async def _release(session: Session, gone: list[Allocation]) -> list[Allocation]:
    for allocation in gone:
        await session.release(allocation)
    return gone
