"""GC, which reaches us only as a member of the list itself: main plugins do not pass it on."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab import Attachment, CniError, Runtime, execute

from .networks import Networks
from .store import Store

AT_ONCE = {"SPIDERCNI_GC_GRACE_SECONDS": "0"}
KEY = "cni.dev/valid-attachments"


def attach(spiderpool: Path, networks: Networks, *names: str, network: str = "lab") -> list[Attachment]:
    """Record attachments behind the runtime's back, as a crashed runtime leaves them."""
    attachments = [Attachment(name, "/run/netns/not-there") for name in names]
    for attachment in attachments:
        execute(spiderpool, "ADD", networks.config(name=network), attachment)
    return attachments


def owners(store: Store) -> set[str]:
    """Return the container IDs that hold an address."""
    return {entry["containerID"] for entry in store.addresses()}


@pytest.fixture
def network(networks: Networks) -> Path:
    """A list in which our IPAM plugin is a direct member."""
    return networks.write({"type": "spiderpool", "ipam": networks.ipam()})


@pytest.mark.parametrize(("valid", "left"), [(None, {"c1", "c2"}), (["c1"], {"c1"}), ([], set())])
def test_the_list_decides(
    spiderpool: Path,
    runtime: Runtime,
    networks: Networks,
    network: Path,
    store: Store,
    valid: list[str] | None,
    left: set[str],
) -> None:
    """Without a list nothing is collected, with an empty one everything, else what the list does not name."""
    known = {attachment.container_id: attachment for attachment in attach(spiderpool, networks, "c1", "c2")}
    attachments = None if valid is None else [known[name] for name in valid]
    replace(runtime, environment=AT_ONCE).collect(network, attachments)
    assert owners(store) == left


def test_a_young_record_is_spared(
    spiderpool: Path, runtime: Runtime, networks: Networks, network: Path, store: Store
) -> None:
    """A record younger than the grace is kept: the runtime may not have known its attachment yet."""
    attach(spiderpool, networks, "c1")
    runtime.collect(network, [])
    assert owners(store) == {"c1"}


def test_another_network_is_spared(
    spiderpool: Path, runtime: Runtime, networks: Networks, network: Path, store: Store
) -> None:
    """GC of one network touches nothing of another one, though both use the same pools and store."""
    attach(spiderpool, networks, "c1", network="elsewhere")
    attach(spiderpool, networks, "c2")
    replace(runtime, environment=AT_ONCE).collect(network, [])
    assert owners(store) == {"c1"}


def test_another_interface_is_stale(
    spiderpool: Path, runtime: Runtime, networks: Networks, network: Path, store: Store
) -> None:
    """An attachment is a container and an interface: the valid one does not save its container's other one."""
    (valid,) = attach(spiderpool, networks, "c1")
    execute(spiderpool, "ADD", networks.config(), Attachment("c1", valid.netns, "net1"))
    replace(runtime, environment=AT_ONCE).collect(network, [valid])
    assert {entry["ifname"] for entry in store.addresses()} == {"eth0"}


@pytest.mark.parametrize("key", [KEY, "cni.dev/attachments"])
def test_either_spelling_of_the_key(spiderpool: Path, networks: Networks, store: Store, key: str) -> None:
    """The list is understood under the specification's key and under libcni's other one, and GC is silent."""
    attach(spiderpool, networks, "c1", "c2")
    config = {**networks.config(), key: [{"containerID": "c2", "ifname": "eth0"}]}
    assert execute(spiderpool, "GC", config, environment=AT_ONCE) is None
    assert owners(store) == {"c2"}


@pytest.mark.parametrize("faulty", ["c1", [{"containerID": "c1"}], {"c1": "eth0"}])
def test_a_faulty_list_collects_nothing(spiderpool: Path, networks: Networks, store: Store, faulty: object) -> None:
    """A list that cannot be understood is an error, and no reason to collect anything."""
    attach(spiderpool, networks, "c1", "c2")
    with pytest.raises(CniError) as caught:
        execute(spiderpool, "GC", {**networks.config(), KEY: faulty}, environment=AT_ONCE)
    assert caught.value.code == 6
    assert owners(store) == {"c1", "c2"}


def test_cnitool_sends_no_list(
    runtime: Runtime, networks: Networks, network: Path, store: Store, spiderpool: Path
) -> None:
    """`cnitool gc` sends no list; what it has no cached result of stays."""
    attach(spiderpool, networks, "c1")
    replace(runtime, environment=AT_ONCE).cnitool("gc", network, Path("/run/netns/any"))
    assert owners(store) == {"c1"}
