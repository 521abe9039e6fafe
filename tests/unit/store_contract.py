"""What every store must do (`spidercni.ipam.store`). A store's own test module inherits these tests and makes stores.

`domain` gives two handles on one domain, as two processes of it would have.
"""

from __future__ import annotations

import pytest

from spidercni.cni.plugin import run
from spidercni.ipam.choose import next_free
from spidercni.ipam.journal import Journal, Waiting
from spidercni.ipam.release import collect as end_stale
from spidercni.ipam.release import release as end
from spidercni.model.addresses import interface_of
from spidercni.model.allocation import Allocation, Owner
from spidercni.model.attachment import Attachment
from spidercni.model.intervals import Interval, IntervalSet
from spidercni.model.pool import parse_pool

V4 = parse_pool("v4", {"subnet": "10.0.0.0/24", "ips": ["10.0.0.5-10.0.0.9"], "gateway": "10.0.0.1"}, "v4")
V6 = parse_pool("v6", {"subnet": "fd00::/64", "ips": ["fd00::5-fd00::ffff"]}, "v6")
FIRST4, FIRST6 = V4.space[0].first, V6.space[0].first


def allocation(pool=V4, offset=0, container="c1", ifname="eth0", network="net", owner="", at=1000.0):
    """Make an allocation of the pool's address at that offset."""
    return Allocation(
        interface=interface_of(pool.family, pool.space[0].first + offset, pool.subnet.prefixlen),
        pool=pool.name,
        gateway=pool.gateway,
        owner=Owner(owner or f"container/{container}", "ns", "pod"),
        attachment=Attachment(network, container, ifname),
        node="node",
        allocated_at=at,
    )


async def claim(store, *allocations):
    """Claim in one session; return the answers."""
    async with store.session() as session:
        return [await session.claim(each, V4 if each.family == 4 else V6) for each in allocations]


NOTHING = Waiting(Journal("/nonexistent"), "")


def release(store, attachment):
    """Release with nothing noted."""
    return end(store, attachment, NOTHING)


def collect(store, network, node, stale):
    """Collect with nothing noted."""
    return end_stale(store, network, node, stale, NOTHING)


class GiveUpError(Exception):
    """Raised by a test inside a session."""


class StoreContract:
    """Inherit, and provide the fixtures `domain` (two stores) and `clock` (settable, `clock.now`; cool-down 10 s)."""

    def test_a_claim_is_seen_by_everybody(self, domain):
        """What one process claimed, another one reads with every field."""
        mine, theirs = domain

        assert run(claim(mine, allocation(), allocation(V6))) == [True, True]
        assert [allocation(), allocation(V6)] == run(theirs.allocations())
        assert [allocation(), allocation(V6)] == run(theirs.attached(Attachment("net", "c1", "eth0")))

    def test_an_address_is_claimed_once(self, domain):
        """INV-IPAM-1: the second claim of an address is refused, whichever pool and process it comes from."""
        mine, theirs = domain
        run(claim(mine, allocation()))

        assert run(claim(theirs, allocation(container="c2"))) == [False]
        assert [allocation()] == run(mine.allocations())

    def test_families_do_not_mix(self, domain):
        """An IPv6 address with the number of an IPv4 one is another address."""
        store, _ = domain
        low = parse_pool("low", {"subnet": "::a00:0/120", "ips": ["::a00:5"]}, "low")
        six = allocation(container="c6")._replace(interface=interface_of(6, FIRST4, 120), pool="low")

        async def both():
            async with store.session() as session:
                return [await session.claim(allocation(), V4), await session.claim(six, low)]

        assert run(both()) == [True, True]
        assert [allocation(), six] == run(store.allocations())

    def test_a_session_that_fails_leaves_nothing(self, domain):
        """INV-STORE-3: claims, releases and hand-overs of a failed session did not happen."""
        store, other = domain
        run(claim(store, allocation(), allocation(offset=1, container="c2")))

        async def fail():
            async with store.session() as session:
                assert await session.claim(allocation(offset=2, container="c3"), V4)
                await session.release(allocation())
                moved = allocation(offset=1, container="c9", owner="container/c2")
                await session.hand_over(allocation(offset=1, container="c2"), moved)
                raise GiveUpError

        with pytest.raises(GiveUpError):
            run(fail())
        assert [allocation(), allocation(offset=1, container="c2")] == run(other.allocations())
        assert run(claim(other, allocation(container="c4"), allocation(offset=2, container="c5"))) == [False, True], (
            "the released address is still in use, the claimed one is free"
        )

    def test_taken_knows_runs(self, domain):
        """Neighbours in use are one run; what is free is none."""
        store, _ = domain
        run(claim(store, *(allocation(offset=offset, container=f"c{offset}") for offset in (0, 1, 3))))

        async def look():
            async with store.session() as session:
                taken = session.taken(4)
                return [taken.run_at(FIRST4 + offset) for offset in range(5)], session.taken(6).run_at(FIRST6)

        low, high = Interval(FIRST4, FIRST4 + 1), Interval(FIRST4 + 3, FIRST4 + 3)
        assert ([low, low, None, high, None], None) == run(look())

    def test_the_search_goes_on_behind_the_last_address(self, domain):
        """The start is remembered across processes, for each pool."""
        mine, theirs = domain

        async def start(store, pool):
            async with store.session() as session:
                return await session.start(pool)

        assert next_free(V4.space, _Nothing(), run(start(mine, V4))) == FIRST4
        run(claim(mine, allocation(offset=2)))
        assert next_free(V4.space, _Nothing(), run(start(theirs, V4))) == FIRST4 + 3
        assert next_free(V6.space, _Nothing(), run(start(theirs, V6))) == FIRST6

    def test_release_is_by_attachment(self, domain):
        """All that the attachment holds, nothing of another ifname, network or container; again is no error."""
        store, _ = domain
        others = [
            allocation(offset=1, ifname="net1"),
            allocation(offset=2, network="other", owner="o"),
            allocation(offset=3, container="c2"),
        ]
        run(claim(store, allocation(), allocation(V6), *others))

        assert [allocation(), allocation(V6)] == run(release(store, Attachment("net", "c1", "eth0")))
        assert run(release(store, Attachment("net", "c1", "eth0"))) == []
        assert others == run(store.allocations())

    def test_releasing_from_nothing_is_success(self, domain):
        """DEL comes also where there never was an ADD."""
        store, _ = domain

        assert run(release(store, Attachment("net", "c1", "eth0"))) == []
        assert run(collect(store, "net", "node", lambda _: True)) == []
        assert run(store.allocations()) == []

    def test_a_released_address_cools_down(self, domain, clock):
        """It is taken for the cool-down, and the longest released comes first where nothing else is left."""
        store, _ = domain
        run(claim(store, allocation(), allocation(offset=1, container="c2")))
        run(release(store, Attachment("net", "c2", "eth0")))
        clock.now += 1
        run(release(store, Attachment("net", "c1", "eth0")))

        async def look():
            async with store.session() as session:
                longest = await session.longest_released(4, V4.space)
                return session.taken(4).run_at(FIRST4) is not None, longest

        assert run(look()) == (True, FIRST4 + 1)
        clock.now += 10
        assert run(look()) == (False, None)

    def test_a_clock_that_is_set_back_does_not_keep_an_address_for_ever(self, domain, clock):
        """The cool-down then begins anew and ends."""
        store, _ = domain
        run(claim(store, allocation()))
        run(release(store, Attachment("net", "c1", "eth0")))
        clock.now -= 1_000_000

        async def is_taken():
            async with store.session() as session:
                return session.taken(4).run_at(FIRST4) is not None

        assert run(is_taken())
        clock.now += 11
        assert not run(is_taken())

    def test_a_cooling_address_can_be_claimed(self, domain):
        """The cool-down is a preference, never a reason to refuse."""
        store, _ = domain
        run(claim(store, allocation()))
        run(release(store, Attachment("net", "c1", "eth0")))

        assert run(claim(store, allocation(container="c2"))) == [True]
        assert [allocation(container="c2")] == run(store.allocations())

    def test_held_is_by_owner_and_by_attachment(self, domain):
        """Another interface of the owner, or another container's, is not in it."""
        store, _ = domain
        old = allocation(owner="pod/1", container="old")
        run(
            claim(store, old, allocation(offset=1, owner="pod/1", container="old", ifname="net1"), allocation(offset=2))
        )

        async def held(owner, container):
            async with store.session() as session:
                return await session.held(Owner(owner), Attachment("net", container, "eth0"))

        assert [old] == run(held("pod/1", "new"))
        assert [old] == run(held("pod/other", "old"))
        assert run(held("pod/other", "new")) == []

    def test_a_hand_over_leaves_the_old_attachment_with_nothing(self, domain):
        """A late release of the old sandbox does not touch its successor's address (INV-IPAM-5)."""
        store, _ = domain
        old = allocation(owner="pod/1", container="old")
        new = allocation(owner="pod/1", container="new", at=2000.0)
        run(claim(store, old))

        async def hand_over():
            async with store.session() as session:
                await session.hand_over(old, new)

        run(hand_over())
        assert run(release(store, Attachment("net", "old", "eth0"))) == []
        assert [new] == run(store.allocations())

    def test_a_superseded_attachment_is_known_until_its_release(self, domain):
        """An old sandbox is remembered, so that a late ADD of it takes nothing, until its DEL has come."""
        store, _ = domain
        old = Attachment("net", "old", "eth0")

        async def supersede():
            async with store.session() as session:
                await session.supersede(old)
                await session.supersede(old)
                return await session.is_superseded(old)

        async def is_superseded():
            async with store.session() as session:
                return await session.is_superseded(old)

        assert not run(store.knows(old))
        assert run(supersede())
        assert run(store.knows(old))
        run(release(store, old))
        assert not run(is_superseded())

    def test_collect_keeps_to_network_and_node(self, domain):
        """What belongs to another network or node is not even asked about."""
        store, _ = domain
        elsewhere = allocation(offset=1, container="c2")._replace(node="other")
        foreign = allocation(offset=2, container="c3", network="other")
        run(claim(store, allocation(), elsewhere, foreign, allocation(offset=3, container="c4")))
        asked = []

        def stale(each):
            asked.append(each)
            return each.attachment.container_id == "c1"

        assert [allocation()] == run(collect(store, "net", "node", stale))
        assert [allocation(), allocation(offset=3, container="c4")] == asked
        assert [elsewhere, foreign, allocation(offset=3, container="c4")] == run(store.allocations())

    def test_has_free_tells_the_truth_and_changes_nothing(self, domain):
        """Free or cooling is free; a full pool is not; an empty space never is."""
        store, _ = domain
        two = IntervalSet([Interval(FIRST4, FIRST4 + 1)])

        assert run(store.has_free(V4, two))
        run(claim(store, allocation(), allocation(offset=1, container="c2")))
        assert not run(store.has_free(V4, two))
        run(release(store, Attachment("net", "c2", "eth0")))
        assert run(store.has_free(V4, two))
        assert not run(store.has_free(V4, IntervalSet()))

    def test_the_ends_of_the_address_space_are_addresses(self, domain):
        """0.0.0.0, 255.255.255.255 and their IPv6 likes can be claimed and released without overflow."""
        store, _ = domain
        ends = [
            allocation(container=f"c{family}-{number}")._replace(interface=interface_of(family, number, 8))
            for family, bits in ((4, 32), (6, 128))
            for number in (0, (1 << bits) - 1)
        ]

        assert run(claim(store, *ends)) == [True] * 4
        for each in ends:
            assert [each] == run(release(store, each.attachment))


class _Nothing:
    def run_at(self, _number):
        return None
