"""DEL in bad circumstances, and CHECK when the record and the container part."""

import shutil
from pathlib import Path

import pytest

from tests.lab import Attachment, CniError, Runtime, execute

from .conftest import MakeContainer
from .networks import V4, Networks
from .store import Store


def test_del_without_the_namespace(
    runtime: Runtime, networks: Networks, store: Store, container: MakeContainer
) -> None:
    """DEL releases the addresses when the container's namespace has gone before."""
    network, there = networks.write(), container("c1")
    attachment = Attachment("c1", str(there.netns))
    runtime.add(network, attachment)
    there.close()
    runtime.delete(network, attachment)
    assert store.used() == []


def test_del_without_the_cache(runtime: Runtime, networks: Networks, store: Store, container: MakeContainer) -> None:
    """DEL releases the addresses when the runtime has lost its cache and sends no previous result."""
    network, there = networks.write(), container("c1")
    attachment = Attachment("c1", str(there.netns))
    runtime.add(network, attachment)
    shutil.rmtree(runtime.cache_dir)
    runtime.delete(network, attachment)
    assert store.used() == []


def test_del_of_what_never_was(spiderpool: Path, networks: Networks, store: Store, attachment: Attachment) -> None:
    """DEL of an unknown attachment, without a namespace and before the first ADD, succeeds silently."""
    nowhere = Attachment(attachment.container_id, netns="")
    assert execute(spiderpool, "DEL", networks.config(), nowhere) is None
    assert store.used() == []


def test_del_with_a_broken_pool(spiderpool: Path, networks: Networks, store: Store, attachment: Attachment) -> None:
    """A pool that was edited into nonsense since the ADD does not stop a release."""
    execute(spiderpool, "ADD", networks.config(), attachment)
    broken = networks.config(ipam=networks.ipam({**V4, "ips": ["nonsense"]}))
    execute(spiderpool, "DEL", broken, attachment)
    assert store.used() == []


def test_del_spares_others(spiderpool: Path, networks: Networks, store: Store, attachment: Attachment) -> None:
    """DEL releases what its own network, container and interface hold, and nothing else."""
    execute(spiderpool, "ADD", networks.config(), attachment)
    held = store.used()
    for config, other in (
        (networks.config(name="elsewhere"), attachment),
        (networks.config(), Attachment("c10", attachment.netns)),
        (networks.config(), Attachment(attachment.container_id, attachment.netns, "eth1")),
    ):
        execute(spiderpool, "DEL", config, other)
    assert store.used() == held


def test_check_misses_a_released_address(
    runtime: Runtime, networks: Networks, store: Store, container: MakeContainer
) -> None:
    """CHECK is code 105 when the container has an address that is recorded for nobody."""
    network, there = networks.write(), container("c1")
    attachment = Attachment("c1", str(there.netns))
    runtime.add(network, attachment)
    done = store.ctl("address", "release", str(there.addresses()[0].ip), "--yes")
    assert done.returncode == 0, done.stderr
    with pytest.raises(CniError) as caught:
        runtime.check(network, attachment)
    assert caught.value.code == 105


def test_check_sees_drift(spiderpool: Path, networks: Networks, attachment: Attachment) -> None:
    """CHECK is code 106 when an address is recorded that the container does not have any more."""
    result = execute(spiderpool, "ADD", networks.config(), attachment)
    execute(spiderpool, "CHECK", {**networks.config(), "prevResult": result}, attachment)
    lessened = {**result, "ips": result["ips"][:1]}
    with pytest.raises(CniError) as caught:
        execute(spiderpool, "CHECK", {**networks.config(), "prevResult": lessened}, attachment)
    assert caught.value.code == 106
