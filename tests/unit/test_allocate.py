"""The allocator on the embedded store, against the naive one, over random sequences of operations."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from spidercni.cni.plugin import run
from spidercni.errors import SpidercniError
from spidercni.ipam.allocate import Wish, allocate
from spidercni.ipam.candidates import Candidate
from spidercni.ipam.local import audit
from spidercni.ipam.local.database import Database
from spidercni.ipam.local.store import LocalStore
from spidercni.model.addresses import interface_of
from spidercni.model.allocation import Owner
from spidercni.model.attachment import Attachment
from spidercni.model.pool import parse_pool, parse_reserved
from tests.unit.naive import NaiveAllocator, naive_pool
from tests.unit.store_contract import collect, release

COOLDOWN, GRACE = 10.0, 20.0

# Few addresses, so that pools run empty, overlap and wrap around all the time. At most 16 at once can cool down,
# which is what one session lets end.
SPECS = {
    "v4-ranges": {
        "subnet": "10.0.0.0/29",
        "ips": ["10.0.0.0-10.0.0.2", "10.0.0.5-10.0.0.7"],
        "excludeIPs": ["10.0.0.1"],
    },
    "v4-overlap": {"subnet": "10.0.0.0/29", "ips": ["10.0.0.2-10.0.0.5", "10.0.0.0"]},
    "v4-single": {"subnet": "10.0.0.0/29", "ips": ["10.0.0.6"]},
    "v6-ranges": {"subnet": "fd00::/125", "ips": ["fd00::-fd00::3", "fd00::6"], "excludeIPs": ["fd00::2-fd00::2"]},
    "v6-overlap": {"subnet": "fd00::/125", "ips": ["fd00::3-fd00::7"]},
}
RESERVED = ["10.0.0.4", "fd00::7"]
V4 = [name for name in SPECS if name.startswith("v4")]
V6 = [name for name in SPECS if name.startswith("v6")]

POOLS = {name: parse_pool(name, spec, name) for name, spec in SPECS.items()}
NAIVE = {name: naive_pool(name, spec, RESERVED) for name, spec in SPECS.items()}
SET_ASIDE = parse_reserved(RESERVED, "reserved")

# Containers of three pods: A and A2 are sandboxes of one pod one after the other; C has no pod.
PODS = {"A": "pod/1", "A2": "pod/1", "B": "pod/2", "C": "container/C", "D": "container/D", "E": "pod/3"}
containers = st.sampled_from(sorted(PODS))
ifnames = st.sampled_from(["eth0", "net1"])
networks = st.sampled_from(["n1", "n2"])
requests = st.dictionaries(st.just(4), st.sampled_from([1, 2, 5, 6]), max_size=1)

adds = st.tuples(
    st.just("add"),
    containers,
    ifnames,
    networks,
    st.permutations(V4).flatmap(lambda names: st.integers(0, 3).map(lambda count: names[:count])),
    st.permutations(V6).flatmap(lambda names: st.integers(0, 2).map(lambda count: names[:count])),
    st.one_of(st.just({}), st.just({}), requests),
    st.sampled_from([True, True, True, False]),  # whether the runtime says the pod's UID
)
deletes = st.tuples(st.just("delete"), containers, ifnames, networks)
collects = st.tuples(st.just("collect"), networks, st.frozensets(st.tuples(containers, ifnames), max_size=6))
ticks = st.tuples(st.just("tick"), st.sampled_from([0.5, 4.0, 11.0, 25.0, -30.0]))
operations = st.lists(st.one_of(adds, adds, adds, deletes, collects, ticks), min_size=1, max_size=40)

NET4, NET6 = int(POOLS["v4-single"].subnet[0]), int(POOLS["v6-ranges"].subnet[0])


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@settings(max_examples=3000, deadline=None)
@given(operations)
@example([("add", "A", "eth0", "n1", ["v4-single"], [], {}, True),
          ("add", "A2", "eth0", "n1", ["v4-single"], [], {}, True),
          ("delete", "A", "eth0", "n1"), ("add", "B", "eth0", "n1", ["v4-single"], [], {}, True)])  # fmt: skip
def test_every_sequence_gives_what_the_naive_allocator_gives(sequence):
    """Whatever is added, deleted, collected and however the clock jumps: same answers, same state, sound store."""
    clock, naive = Clock(), NaiveAllocator(COOLDOWN, GRACE)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        database = Database(directory, 5)
        store = LocalStore(database, clock, COOLDOWN)
        for operation in sequence:
            _apply(operation, store, naive, clock)
            assert _state(naive) == {
                (a.family, a.number): (a.owner.identity, *a.attachment) for a in run(store.allocations())
            }
        assert audit.problems(database) == []
        assert not list(Path(directory).glob("*.new"))


def _state(naive):
    return {key: record[:4] for key, record in naive.used.items()}


def _apply(operation, store, naive, clock):
    match operation:
        case ("tick", seconds):
            clock.now += seconds
        case ("delete", container, ifname, network):
            run(release(store, Attachment(network, container, ifname)))
            naive.delete(network, container, ifname, clock.now)
        case ("collect", network, valid):
            run(collect(store, network, "node", _stale(valid, clock.now)))
            naive.collect(network, valid, clock.now)
        case ("add", container, ifname, network, v4, v6, wanted, with_uid):
            owner = PODS[container] if with_uid else f"container/{container}"
            names = {family: pools for family, pools in ((4, v4), (6, v6)) if pools}
            wanted = {family: NET4 + offset for family, offset in wanted.items() if family in names}
            wish = Wish(Attachment(network, container, ifname), Owner(owner), "node", clock.now)
            given_by_naive = naive.add(
                owner,
                network,
                container,
                ifname,
                {family: [NAIVE[name] for name in pools] for family, pools in names.items()},
                wanted,
                clock.now,
            )
            assert given_by_naive == run(_add(store, wish, names, wanted))


def _stale(valid, now):
    def stale(allocation):
        attachment = allocation.attachment
        return (attachment.container_id, attachment.ifname) not in valid and abs(now - allocation.allocated_at) >= GRACE

    return stale


async def _add(store, wish, names, wanted):
    candidates = {
        family: tuple(Candidate(POOLS[name], POOLS[name].space - SET_ASIDE[family]) for name in pools)
        for family, pools in names.items()
    }
    requested = {family: interface_of(family, number, 32) for family, number in wanted.items()}
    try:
        async with store.session() as session:
            allocations = await allocate(session, wish, candidates, requested)
    except SpidercniError as error:
        return type(error).__name__
    return {allocation.family: allocation.number for allocation in allocations}
