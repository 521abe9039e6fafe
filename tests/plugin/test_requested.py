"""Addresses that a caller asks for by name."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.lab import Attachment, CniError, Runtime
from tests.lab.runtime import Json

from .conftest import MakeContainer
from .networks import MAIN_PLUGINS, Networks
from .store import Store

WANTED = ("10.77.0.42", "fd77::42")

# A way changes the main plugin's configuration and the attachment so that WANTED is asked for.
Way = Callable[[Json, Attachment], tuple[Json, Attachment]]


def by_capability(plugin: Json, attachment: Attachment) -> tuple[Json, Attachment]:
    """Ask as Multus does: runtimeConfig.ips, with prefix lengths."""
    asked = {"ips": ["10.77.0.42/24", "fd77::42/64"]}
    return {**plugin, "capabilities": {"ips": True}}, replace(attachment, capabilities=asked)


def by_network_args(plugin: Json, attachment: Attachment) -> tuple[Json, Attachment]:
    """Ask in the configuration: args.cni.ips."""
    return {**plugin, "args": {"cni": {"ips": list(WANTED)}}}, attachment


def by_cni_args(plugin: Json, attachment: Attachment) -> tuple[Json, Attachment]:
    """Ask as host-local's users do: IP= in CNI_ARGS."""
    return plugin, replace(attachment, args={"IgnoreUnknown": "1", "IP": ",".join(WANTED)})


WAYS = [by_capability, by_network_args, by_cni_args]
way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def macvlan(networks: Networks) -> Json:
    """Return macvlan on the uplink with the dual-stack pools."""
    return {**MAIN_PLUGINS["macvlan"], "ipam": networks.ipam()}


@way
def test_the_very_addresses_are_given(runtime: Runtime, networks: Networks, container: MakeContainer, way: Way) -> None:
    """Both addresses that are asked for are given, whichever way is used."""
    there = container("c1")
    plugin, attachment = way(macvlan(networks), Attachment("c1", str(there.netns)))
    network = networks.write(plugin)
    runtime.add(network, attachment)
    assert tuple(str(address.ip) for address in there.addresses()) == WANTED
    runtime.check(network, attachment)


@way
def test_a_taken_address_is_refused(
    runtime: Runtime, networks: Networks, store: Store, container: MakeContainer, way: Way
) -> None:
    """An address that somebody holds is refused, and the refused ADD leaves nothing of the other family."""
    first = container("c1")
    plugin, holder = by_capability(macvlan(networks), Attachment("c1", str(first.netns)))
    runtime.add(networks.write(plugin), replace(holder, capabilities={"ips": ["fd77::42"]}))
    held = store.used()
    assert "fd77::42" in held
    second = container("c2")
    plugin, attachment = way(macvlan(networks), Attachment("c2", str(second.netns)))
    with pytest.raises(CniError, match=r"fd77::42.* is not available") as caught:
        runtime.add(networks.write(plugin), attachment)
    assert caught.value.code == 108
    assert "in use" in caught.value.details
    assert store.used() == held


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (["10.77.0.200"], 108),  # in the subnet, but not among the pool's ips
        (["10.77.0.1"], 108),  # the gateway
        (["192.0.2.1"], 108),  # in nobody's subnet
        (["10.77.0.42", "10.77.0.43"], 7),  # two of one family
        (["not an address"], 7),
    ],
)
def test_what_cannot_be_given_is_refused(
    runtime: Runtime, networks: Networks, store: Store, container: MakeContainer, asked: list[str], code: int
) -> None:
    """A request that no pool can fulfil is an error that names the address, never another address."""
    there = container("c1")
    network = networks.write({**macvlan(networks), "capabilities": {"ips": True}})
    with pytest.raises(CniError, match=asked[-1]) as caught:
        runtime.add(network, Attachment("c1", str(there.netns), capabilities={"ips": asked}))
    assert caught.value.code == code
    assert store.used() == []
