"""ADD, DEL, CHECK, STATUS and GC of the IPAM plugin. Each is a coroutine on a request and a context.

What a verb promises is in its docstring. DEL and GC look at nothing but the store: a pool that was removed or broken
since the ADD must not keep an address from being released.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from itertools import count
from typing import Any, NamedTuple

from spidercni.cni.plugin import Answer
from spidercni.cni.request import Request, valid_attachments
from spidercni.cni.result import Ip, IpamResult, Route, previous_ips, render
from spidercni.errors import (
    AllocationDrift,
    AllocationMissing,
    InvalidConfig,
    NoCandidatePool,
    NotServing,
    SpidercniError,
    StoreCorrupt,
    StoreUnavailable,
)
from spidercni.ipam import candidates as pools
from spidercni.ipam import config as configs
from spidercni.ipam.allocate import Wish, allocate
from spidercni.ipam.candidates import Asker, Candidate, Catalog
from spidercni.ipam.config import IpamConfig, StoreConfig
from spidercni.ipam.journal import Journal, Note, Waiting, name_of
from spidercni.ipam.release import carry_out, release
from spidercni.ipam.release import collect as release_stale
from spidercni.ipam.store import Store
from spidercni.model.allocation import Allocation, Owner
from spidercni.settings import Settings

_ATTACH_AGAIN = "somebody else may be given it: the container has to be attached again (DEL, ADD)"

# Tells notes of one process apart that are written in the same instant.
_count = count()


class Context(NamedTuple):
    """What handlers need of the world."""

    settings: Settings
    clock: Callable[[], float]  # seconds since the epoch
    open_store: Callable[[StoreConfig], Store]
    read_catalog: Callable[[IpamConfig], Catalog]
    journal: Journal


async def add(request: Request, context: Context) -> Answer:
    """Give the attachment one address of each family that its candidates serve, or nothing at all."""
    config = configs.parse(request, context.settings)
    args = configs.parse_arguments(request)
    requested = configs.parse_requested(request, args)
    owner = Owner.of(request.environment.container_id, args)
    catalog = context.read_catalog(config)
    candidates, refusal = _select(config, catalog, Asker(context.settings.node, owner.namespace))
    if refusal is None:
        pools.refuse_useless_requests(requested, candidates)
    wish = Wish(request.attachment, owner, context.settings.node, context.clock())
    store = context.open_store(config.store)
    waiting = Waiting(context.journal, config.store.data_dir)
    async with store.session() as session:
        await carry_out(session, waiting)
        allocations = await allocate(session, wish, candidates, requested)
        if refusal is not None and not allocations:
            raise refusal
        # Built before the session ends: a result that cannot be made leaves no allocation.
        document = render(_result(allocations, catalog, config.clean_gateway), request.cni_version)

    waiting.done()

    async def undo() -> None:
        """Release what this call has made, not what the attachment held before (INV-IPAM-4)."""
        async with store.session() as session:
            for allocation in await session.held(owner, request.attachment):
                if allocation in allocations and allocation.allocated_at == wish.now:
                    await session.release(allocation)

    return Answer(document, undo)


async def delete(request: Request, context: Context) -> None:
    """Release all that the attachment holds and nothing else; there may be nothing.

    Where the store is away, the release is noted, and carried out when it is back.
    """
    config = configs.parse_store(request, context.settings)
    note = Note(_note_name(context), config.data_dir, context.settings.node, request.attachment)
    async with _noting(context, note) as waiting:
        await release(context.open_store(config), request.attachment, waiting)


async def check(request: Request, context: Context) -> None:
    """Tell whether the store and `prevResult` still agree about the attachment's addresses. Changes nothing."""
    config = configs.parse(request, context.settings)
    previous = previous_ips(request.config)
    if previous is None:
        raise InvalidConfig("prevResult is missing", "CHECK compares the result of ADD with the store")
    recorded = {
        allocation.interface.ip for allocation in await context.open_store(config.store).attached(request.attachment)
    }
    if not recorded:
        raise AllocationMissing(f"no address is recorded for {request.attachment}", _ATTACH_AGAIN)
    present = {ip.interface.ip for ip in previous}
    if lost := recorded - present:
        raise AllocationDrift(
            f"{_listed(lost)} of {request.attachment} is not in prevResult",
            "another plugin has removed it, or DEL is due",
        )
    # Another plugin may have added addresses; those of our pools must be ours.
    subnets = [pool.subnet for pool in (*config.pools, *context.read_catalog(config).manifests)]
    strangers = {address for address in present - recorded if any(address in subnet for subnet in subnets)}
    if strangers:
        raise AllocationMissing(f"{_listed(strangers)} is not recorded for {request.attachment}", _ATTACH_AGAIN)


async def status(request: Request, context: Context) -> None:
    """Tell whether an ADD could be served now: the store answers and each family has a pool with an address left."""
    try:
        config = configs.parse(request, context.settings)
        catalog = context.read_catalog(config)
        # Whether a namespace matches is known only with a pod.
        candidates = pools.select(config, catalog, Asker(context.settings.node, pools.ANY_NAMESPACE))
        store = context.open_store(config.store)
        await store.refuse_if_read_only()
        for family, choices in candidates.items():
            if not await _any_free(store, choices):
                names = ", ".join(candidate.pool.name for candidate in choices)
                raise NotServing(f"all IP addresses used out: IPv{family} pools {names}")
    except SpidercniError as error:
        if isinstance(error, NotServing):
            raise
        raise NotServing(f"no ADD can be served: {error.summary}", error.details) from error


async def collect(request: Request, context: Context) -> None:
    """Release what this network on this node holds for attachments that the runtime does not list as valid.

    Without a list nothing is released. A young record is spared: the runtime may not have known it yet. Where the
    store is away, the collection is noted, and carried out when it is back.
    """
    valid = valid_attachments(request)
    config = configs.parse_store(request, context.settings)
    if valid is None:
        return
    now, grace = context.clock(), context.settings.gc_grace_seconds
    note = Note(_note_name(context), config.data_dir, context.settings.node, request.attachment, valid, now - grace)

    def stale(allocation: Allocation) -> bool:
        # By magnitude: after the clock was set back a record may be of the future.
        return allocation.attachment not in valid and abs(now - allocation.allocated_at) >= grace

    async with _noting(context, note) as waiting:
        await release_stale(context.open_store(config), request.network, context.settings.node, stale, waiting)


async def carry_out_notes(context: Context) -> int:
    """Carry out what waits for any store that is back; return how many notes are done.

    A store that is still away does not keep others waiting; its error is raised at the end: StoreUnavailable (11) or
    StoreCorrupt (107).
    """
    done = 0
    failure: SpidercniError | None = None
    for data_dir in sorted(context.journal.data_dirs()):
        waiting = Waiting(context.journal, data_dir)
        try:
            async with context.open_store(StoreConfig(data_dir)).session() as session:
                await carry_out(session, waiting)
        except (StoreUnavailable, StoreCorrupt) as error:
            failure = failure or error
        else:
            done += waiting.done()
    if failure is not None:
        raise failure
    return done


@asynccontextmanager
async def _noting(context: Context, note: Note) -> AsyncIterator[Waiting]:
    """Run a release with what is noted for its store; note it too where the store cannot be used now."""
    waiting = Waiting(context.journal, note.data_dir)
    try:
        yield waiting
    except (StoreUnavailable, StoreCorrupt) as error:
        try:
            context.journal.write(note)
        except StoreUnavailable:
            raise error from None  # the runtime has to try again
    else:
        waiting.done()


def _note_name(context: Context) -> str:
    return name_of(context.clock(), os.getpid(), next(_count))


def _select(
    config: IpamConfig, catalog: Catalog, asker: Asker
) -> tuple[dict[int, tuple[Candidate, ...]], NoCandidatePool | None]:
    """Return the candidates; or none, and why: an attachment that has its addresses already keeps them all the same."""
    try:
        return pools.select(config, catalog, asker), None
    except NoCandidatePool as refusal:
        return {}, refusal


async def _any_free(store: Store, choices: tuple[Candidate, ...]) -> bool:
    for candidate in choices:
        if await store.has_free(candidate.pool, candidate.space):
            return True
    return False


def _result(allocations: tuple[Allocation, ...], catalog: Catalog, clean_gateway: bool) -> IpamResult:
    """Gateway and default route are those of the allocation's time; other routes are those of the pool today."""
    by_name = {pool.name: pool for pool in (*catalog.inline, *catalog.manifests)}
    routes: list[Route] = []
    for allocation in allocations:
        if allocation.gateway is not None and not clean_gateway:
            routes.append(Route(ip_network("0.0.0.0/0" if allocation.family == 4 else "::/0"), allocation.gateway))
        pool = by_name.get(allocation.pool)
        if pool is not None and pool.family == allocation.family:
            routes.extend(Route(route.destination, route.gateway) for route in pool.routes)
    ips = tuple(Ip(allocation.interface, allocation.gateway) for allocation in allocations)
    return IpamResult(ips, tuple(routes))


def _listed(addresses: set[Any]) -> str:
    return ", ".join(str(address) for address in sorted(addresses, key=lambda address: (address.version, int(address))))
