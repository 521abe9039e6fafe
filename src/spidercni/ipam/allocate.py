"""Give an attachment its addresses: read what its owner holds, decide, claim.

This is the only place that writes allocations. Everything happens in one session of the store, so that an attachment
gets all of its families or nothing. Invariants (reasons in `docs/design/ipam.md`):

    INV-IPAM-1  an address has at most one allocation, whatever pools overlap
    INV-IPAM-2  (owner, ifname, family) has at most one address
    INV-IPAM-3  the same attachment asked for twice gets the same addresses
    INV-IPAM-4  an address that a living container may use is never taken from it by an ADD
    INV-IPAM-5  a release names the container it releases: a late DEL of an old sandbox frees nothing of the new one
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from spidercni.errors import AttachmentConflict, PoolExhausted, RequestUnavailable
from spidercni.ipam.candidates import Candidate
from spidercni.ipam.choose import next_free
from spidercni.ipam.store import Session
from spidercni.model.addresses import Interface, interface_of
from spidercni.model.allocation import Allocation, Owner
from spidercni.model.attachment import Attachment


class Wish(NamedTuple):
    """Who wants addresses, for what, where and when."""

    attachment: Attachment
    owner: Owner
    node: str
    now: float  # seconds since the epoch


async def allocate(
    session: Session,
    wish: Wish,
    candidates: Mapping[int, Sequence[Candidate]],
    requested: Mapping[int, Interface],
) -> tuple[Allocation, ...]:
    """Return the attachment's allocations, IPv4 first; every family of `candidates` has one.

    Raises PoolExhausted, RequestUnavailable, AttachmentConflict; the session must be given up then.
    """
    if await session.is_superseded(wish.attachment):
        raise AttachmentConflict(
            f"{wish.attachment} is an old sandbox of {wish.owner}, which has a newer one", "send DEL for it"
        )
    held = await session.held(wish.owner, wish.attachment)
    kept: dict[int, Allocation] = {}
    # The attachment's own first: what its owner holds elsewhere of that family is of no use then.
    for allocation in sorted(held, key=lambda each: each.attachment != wish.attachment):
        family = allocation.family
        choices = () if family in kept else candidates.get(family, ())
        successor = await _keep(session, wish, allocation, choices, requested.get(family))
        if successor is not None:
            kept[family] = successor
    for family, pools in candidates.items():
        if family not in kept:
            kept[family] = await _claim(session, wish, family, pools, requested.get(family))
    return tuple(kept[family] for family in sorted(kept))


async def _keep(
    session: Session,
    wish: Wish,
    allocation: Allocation,
    candidates: Sequence[Candidate],
    requested: Interface | None,
) -> Allocation | None:
    """Decide about an address that the owner holds already; None: it was released."""
    if allocation.attachment.container_id == wish.attachment.container_id:
        _refuse_change(wish, allocation, requested)
        return allocation
    # An older sandbox of the same pod: a runtime starts the next one only after it has stopped that. An ADD of the
    # older one that comes even later must not take the address back.
    await session.supersede(allocation.attachment)
    fits = any(allocation.number in candidate.space for candidate in candidates)
    if fits and (requested is None or requested.ip == allocation.interface.ip):
        successor = allocation._replace(
            attachment=wish.attachment, owner=wish.owner, node=wish.node, allocated_at=wish.now
        )
        await session.hand_over(allocation, successor)
        return successor
    await session.release(allocation)
    return None


def _refuse_change(wish: Wish, allocation: Allocation, requested: Interface | None) -> None:
    """Keep INV-IPAM-4: the container may be using the address, so another one needs a DEL first."""
    same = requested is None or requested.ip == allocation.interface.ip
    if allocation.attachment != wish.attachment or not same:
        wanted = "" if requested is None or same else f" and cannot get {requested.ip} too"
        raise AttachmentConflict(
            f"{allocation.attachment} holds {allocation.interface.ip}{wanted}", "send DEL for that attachment first"
        )


async def _claim(
    session: Session, wish: Wish, family: int, candidates: Sequence[Candidate], requested: Interface | None
) -> Allocation:
    reasons = []
    for candidate in candidates:
        start = await session.start(candidate.pool)
        while (number := await _choose(session, candidate, requested, start)) is not None:
            allocation = Allocation(
                interface=interface_of(family, number, candidate.pool.subnet.prefixlen),
                pool=candidate.pool.name,
                gateway=candidate.pool.gateway,
                owner=wish.owner,
                attachment=wish.attachment,
                node=wish.node,
                allocated_at=wish.now,
            )
            # Each try takes another address: one that somebody else claimed meanwhile is taken from then on.
            if await session.claim(allocation, candidate.pool):
                return allocation
        reasons.append(f"{candidate.pool.name}: {_reason(candidate, requested)}")
    raise _refusal(wish, family, requested, reasons)


async def _choose(session: Session, candidate: Candidate, requested: Interface | None, start: int) -> int | None:
    """Return the number to claim next, or None when the candidate has nothing to give."""
    family = candidate.pool.family
    if requested is None:
        number = next_free(candidate.space, session.taken(family), start)
        if number is None:
            number = await session.longest_released(family, candidate.space)
        return number
    if _fault(candidate, requested):
        return None
    wanted = candidate.space.only(int(requested.ip))
    number = next_free(wanted, session.taken(family), int(requested.ip))
    return number if number is not None else await session.longest_released(family, wanted)


def _reason(candidate: Candidate, requested: Interface | None) -> str:
    if requested is None:
        return "all IP addresses used out"
    return (
        _fault(candidate, requested)
        or f"the address is in use; `spidercni ctl address show {requested.ip}` says by whom"
    )


def _fault(candidate: Candidate, requested: Interface) -> str:
    """Say why the pool can never give the requested address, or return an empty string."""
    if int(requested.ip) not in candidate.pool.space:
        return "it cannot give this address: outside its ips, or excluded"
    if int(requested.ip) not in candidate.space:
        return "it cannot give this address: reserved, or a gateway"
    length = candidate.pool.subnet.prefixlen
    if requested.network.prefixlen not in (length, requested.max_prefixlen):
        return f"its subnet is {candidate.pool.subnet}, not /{requested.network.prefixlen}"
    return ""


def _refusal(wish: Wish, family: int, requested: Interface | None, reasons: list[str]) -> Exception:
    summary = f"spiderpool IP allocation error: no IPv{family} address for NIC {wish.attachment.ifname}"
    if requested is None:
        return PoolExhausted(f"{summary}: all IP addresses used out", "; ".join(reasons))
    return RequestUnavailable(f"{summary}: {requested.ip} is not available", "; ".join(reasons))
