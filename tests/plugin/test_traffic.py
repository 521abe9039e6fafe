"""Packets really flow: what the addresses, gateways and routes are for."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.lab import Node, Runtime, ping

from .conftest import MakeContainer
from .networks import MAIN_PLUGINS, V4, V6, Networks
from .store import Store

ROUTED = [{"dst": "10.99.0.0/16", "gw": "10.77.0.1"}]


def test_containers_reach_each_other_and_the_gateway(
    node: Node, runtime: Runtime, networks: Networks, store: Store, container: MakeContainer
) -> None:
    """Two containers attached by cnitool ping each other and the gateway over both families."""
    network = networks.write()
    pair = [container("left"), container("right")]
    for one in pair:
        runtime.cnitool("add", network, one.netns)
    left, right = pair
    for address in (*(i.ip for i in right.addresses()), "10.77.0.1", "fd77::1"):
        ping(left.netns, address)
    for address in (i.ip for i in left.addresses()):
        ping(node.uplink.gateway.netns, address)
    for one in pair:
        runtime.cnitool("check", network, one.netns)
        runtime.cnitool("del", network, one.netns)
    assert store.used() == []


@pytest.mark.parametrize("main", ["bridge", "ptp"])
def test_the_node_is_the_gateway(runtime: Runtime, networks: Networks, container: MakeContainer, main: str) -> None:
    """Behind bridge and ptp the containers reach the gateway address, which the node itself has."""
    network = networks.write({**MAIN_PLUGINS[main], "ipam": networks.ipam()})
    there = container("c1")
    runtime.cnitool("add", network, there.netns)
    for gateway in ("10.77.0.1", "fd77::1"):
        ping(there.netns, gateway)
    runtime.cnitool("del", network, there.netns)


def test_a_route_of_the_pool_reaches_the_container(
    runtime: Runtime, networks: Networks, container: MakeContainer
) -> None:
    """A pool's routes are installed beside the default route of its gateway."""
    ipam = networks.ipam({**V4, "routes": ROUTED}, V6)
    network = networks.write({**MAIN_PLUGINS["macvlan"], "ipam": ipam})
    there = container("c1")
    runtime.cnitool("add", network, there.netns)
    routes = {(route.dst, route.gateway) for route in there.routes() if route.gateway}
    assert routes == {("0.0.0.0/0", "10.77.0.1"), ("10.99.0.0/16", "10.77.0.1"), ("::/0", "fd77::1")}


def test_clean_gateway_leaves_the_default_route_out(
    runtime: Runtime, networks: Networks, container: MakeContainer
) -> None:
    """With clean_gateway the pool's gateway makes no default route, and the pool's own routes stay."""
    ipam = networks.ipam({**V4, "routes": ROUTED}, V6, clean_gateway=True)
    network = networks.write({**MAIN_PLUGINS["macvlan"], "ipam": ipam})
    there = container("c1")
    runtime.cnitool("add", network, there.netns)
    assert [(r.dst, r.gateway) for r in there.routes() if r.gateway] == [("10.99.0.0/16", "10.77.0.1")]


def test_excluded_addresses_are_not_given(
    runtime: Runtime, networks: Networks, container: MakeContainer, spiderpool: Path
) -> None:
    """What excludeIPs names is never given out, though ips has it."""
    pool = {**V4, "ips": ["10.77.0.10-10.77.0.12"], "excludeIPs": ["10.77.0.10-10.77.0.11"]}
    network = networks.write({**MAIN_PLUGINS["macvlan"], "ipam": networks.ipam(pool)})
    there = container("c1")
    runtime.cnitool("add", network, there.netns)
    assert [address.ip for address in there.addresses()] == [ip_address("10.77.0.12")]
