"""Every CNI version through every main plugin, run by libcni."""

import json
from ipaddress import ip_interface
from pathlib import Path

import pytest

from tests.lab import Attachment, Runtime, execute
from tests.lab.runtime import Json

from .conftest import MakeContainer
from .networks import MAIN_PLUGINS, VERSIONS, Networks
from .store import Store

CHECK_SINCE = VERSIONS.index("0.4.0")


def addresses_of(result: Json) -> list[str]:
    """Return the addresses of a result in its 1.1 form."""
    return [entry["address"] for entry in result["ips"]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("main", MAIN_PLUGINS)
def test_the_whole_life_of_an_attachment(
    bin_dir: Path,
    runtime: Runtime,
    networks: Networks,
    store: Store,
    container: MakeContainer,
    main: str,
    version: str,
) -> None:
    """ADD gives a result that is strictly its version's and true; CHECK agrees; DEL leaves nothing, twice."""
    if version not in execute(bin_dir / main, "VERSION", {})["supportedVersions"]:
        pytest.skip(f"this {main} does not know CNI {version}: a container cannot be attached that way at all")
    there = container("c1")
    attachment = Attachment("c1", str(there.netns))
    network = networks.write({**MAIN_PLUGINS[main], "ipam": networks.ipam()}, version=version)

    result = runtime.strict(version, json.dumps(runtime.add(network, attachment)))
    assert addresses_of(result) == [str(address) for address in there.addresses()]
    assert [ip_interface(text).version for text in addresses_of(result)] == [4, 6]
    assert store.used() == sorted(text.partition("/")[0] for text in addresses_of(result))
    defaults = {(route.dst, route.gateway) for route in there.routes() if route.dst.endswith("/0")}
    assert defaults == {("0.0.0.0/0", "10.77.0.1"), ("::/0", "fd77::1")}

    if VERSIONS.index(version) >= CHECK_SINCE:
        runtime.check(network, attachment)
    runtime.delete(network, attachment)
    assert store.used() == []
    assert there.links() == []
    runtime.delete(network, attachment)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_answer_to_a_main_plugin(
    spiderpool: Path, runtime: Runtime, networks: Networks, attachment: Attachment, version: str
) -> None:
    """Executed as a main plugin does it, IPAM answers in the configuration's version and names no interface."""
    result = execute(spiderpool, "ADD", networks.config(version), attachment)
    decoded = runtime.strict(version, json.dumps(result))
    assert "interfaces" not in decoded
    assert all("interface" not in entry for entry in decoded["ips"])
    assert [entry["gateway"] for entry in decoded["ips"]] == ["10.77.0.1", "fd77::1"]


def test_no_version_means_the_first(
    spiderpool: Path, runtime: Runtime, networks: Networks, attachment: Attachment
) -> None:
    """A configuration without cniVersion is one of CNI 0.1.0, as libcni reads it."""
    config = networks.config()
    del config["cniVersion"]
    runtime.strict("0.1.0", json.dumps(execute(spiderpool, "ADD", config, attachment)))
