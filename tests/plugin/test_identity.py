"""Whose an address is: the same attachment, another interface, another container, the next sandbox."""

from pathlib import Path

import pytest

from tests.lab import Attachment, CniError, Runtime, execute, ping
from tests.lab.runtime import Json

from .conftest import MakeContainer
from .networks import Networks
from .store import Store


def addresses_of(result: Json) -> list[str]:
    """Return the addresses of a result of CNI 1.x."""
    return [entry["address"] for entry in result["ips"]]


def sandbox(container_id: str, uid: str = "d9e5a2c0-0001") -> Attachment:
    """Return eth0 of one sandbox of a pod, as kubelet's runtimes describe it."""
    args = {"IgnoreUnknown": "1", "K8S_POD_NAMESPACE": "shop", "K8S_POD_NAME": "web-0", "K8S_POD_UID": uid}
    return Attachment(container_id, "/run/netns/not-there", args=args)


def test_two_interfaces_of_one_container_get_two_addresses(
    runtime: Runtime, networks: Networks, store: Store, container: MakeContainer
) -> None:
    """Two NICs of one container on one pool have different addresses, and a DEL of one spares the other."""
    network, there, peer = networks.write(), container("c1"), container("c2")
    for ifname in ("eth0", "net1"):
        runtime.add(network, Attachment("c1", str(there.netns), ifname))
    runtime.add(network, Attachment("c2", str(peer.netns)))
    first, second = there.addresses("eth0"), there.addresses("net1")
    assert len({*first, *second}) == 4
    for address in (*first, *second):
        ping(peer.netns, address.ip)
    runtime.delete(network, Attachment("c1", str(there.netns), "net1"))
    assert set(store.used()) == {str(a.ip) for a in (*first, *peer.addresses())}
    runtime.check(network, Attachment("c1", str(there.netns)))


def test_asking_twice_gives_the_same(
    spiderpool: Path, networks: Networks, store: Store, attachment: Attachment
) -> None:
    """INV-IPAM-3: an ADD that is repeated is answered with the addresses of the first."""
    answers = [execute(spiderpool, "ADD", networks.config(), attachment) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(store.used()) == 2


def test_a_late_del_does_not_free_the_next_sandbox(spiderpool: Path, networks: Networks, store: Store) -> None:
    """The next sandbox of a pod keeps its address when the DEL of the one before comes late."""
    before, after = sandbox("sandbox-1"), sandbox("sandbox-2")
    execute(spiderpool, "ADD", networks.config(), before)
    kept = execute(spiderpool, "ADD", networks.config(), after)
    execute(spiderpool, "DEL", networks.config(), before)
    assert sorted(text.partition("/")[0] for text in addresses_of(kept)) == store.used()
    execute(spiderpool, "DEL", networks.config(), after)
    assert store.used() == []


def test_a_new_pod_of_the_same_name_is_somebody_else(spiderpool: Path, networks: Networks, store: Store) -> None:
    """Two pods of one name with different UIDs never share an address: both may be alive at once."""
    answers = [execute(spiderpool, "ADD", networks.config(), sandbox(f"sandbox-{uid}", uid)) for uid in ("a", "b")]
    assert not set(addresses_of(answers[0])) & set(addresses_of(answers[1]))
    assert len(store.used()) == 4


def test_overlapping_pools_share_no_address(spiderpool: Path, networks: Networks) -> None:
    """INV-IPAM-1: two pools, in two networks, on one address give it out once."""
    narrow = {"name": "narrow", "subnet": "10.77.0.0/24", "ips": ["10.77.0.50"]}
    other = {"name": "other", "subnet": "10.77.0.0/25", "ips": ["10.77.0.50"]}
    execute(spiderpool, "ADD", networks.config(ipam=networks.ipam(narrow)), Attachment("c1", "/run/netns/a"))
    config = networks.config(ipam=networks.ipam(other), name="elsewhere")
    with pytest.raises(CniError, match="all IP addresses used out") as caught:
        execute(spiderpool, "ADD", config, Attachment("c2", "/run/netns/b"))
    assert caught.value.code == 11
