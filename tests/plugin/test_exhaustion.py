"""A pool that is used up: ADD, STATUS, and service again after a release."""

from pathlib import Path

import pytest

from tests.lab import Attachment, CniError, Node, Runtime, execute

from .conftest import MakeContainer
from .networks import MAIN_PLUGINS, V6, Networks
from .store import Store

PAIR = {"name": "pair", "subnet": "10.77.0.0/24", "ips": ["10.77.0.10-10.77.0.11"], "gateway": "10.77.0.1"}
SPARE = {"name": "spare", "subnet": "10.77.0.0/24", "ips": ["10.77.0.20"], "gateway": "10.77.0.1"}


def test_a_used_up_pool_asks_to_try_again(
    runtime: Runtime, networks: Networks, store: Store, container: MakeContainer
) -> None:
    """ADD on a used-up pool is refused with code 11 and leaves nothing; a DEL makes the next ADD succeed."""
    network = networks.write({**MAIN_PLUGINS["macvlan"], "ipam": networks.ipam(PAIR, V6)})
    attachments = [Attachment(name, str(container(name).netns)) for name in ("c1", "c2", "c3")]
    for attachment in attachments[:2]:
        runtime.add(network, attachment)
    held = store.used()
    with pytest.raises(CniError, match="all IP addresses used out") as caught:
        runtime.add(network, attachments[2])
    assert caught.value.code == 11
    assert "pair" in caught.value.details
    assert store.used() == held

    runtime.delete(network, attachments[2])  # macvlan leaves a half-made interface behind until DEL
    runtime.delete(network, attachments[0])
    runtime.add(network, attachments[2])


def test_the_next_pool_takes_over(spiderpool: Path, networks: Networks, store: Store) -> None:
    """With several pools of a family the next one serves when one is used up."""
    config = networks.config(ipam=networks.ipam(PAIR, SPARE))
    for name in ("c1", "c2", "c3"):
        execute(spiderpool, "ADD", config, Attachment(name, "/run/netns/any"))
    assert store.used() == ["10.77.0.10", "10.77.0.11", "10.77.0.20"]


def test_a_just_released_address_rests(spiderpool: Path, networks: Networks) -> None:
    """A released address is not given out again while another one is free."""
    config = networks.config(ipam=networks.ipam({**PAIR, "ips": ["10.77.0.10-10.77.0.12"]}))
    given = []
    for name in ("c1", "c2", "c3"):
        attachment = Attachment(name, "/run/netns/any")
        given.append(execute(spiderpool, "ADD", config, attachment)["ips"][0]["address"])
        execute(spiderpool, "DEL", config, attachment)
    assert len(set(given)) == 3


def test_status_follows_the_pool(node: Node, spiderpool: Path, runtime: Runtime, networks: Networks) -> None:
    """STATUS succeeds silently while an ADD can be served, and is code 50 when none can."""
    ipam = networks.ipam(PAIR, V6)
    network = networks.write({**MAIN_PLUGINS["macvlan"], "ipam": ipam})
    config = networks.config(ipam=ipam)
    runtime.status(network)
    for name in ("c1", "c2"):
        execute(spiderpool, "ADD", config, Attachment(name, "/run/netns/any"))
    with pytest.raises(CniError) as caught:
        runtime.status(network)
    assert caught.value.code == 50
    execute(spiderpool, "DEL", config, Attachment("c1", "/run/netns/any"))
    runtime.status(network)
    assert execute(spiderpool, "STATUS", config) is None


def test_status_without_a_pool_is_not_ready(spiderpool: Path, networks: Networks) -> None:
    """A configuration for which there is no pool at all is never ready."""
    ipam = networks.ipam()
    del ipam["pools"]
    with pytest.raises(CniError) as caught:
        execute(spiderpool, "STATUS", networks.config(ipam={**ipam, "pools_dir": str(networks.folder)}))
    assert caught.value.code == 50
