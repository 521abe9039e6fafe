"""Results in every version's shape, and prevResult read back from every one."""

from ipaddress import ip_address, ip_interface, ip_network

import pytest
import yaml

from spidercni.cni.result import Ip, IpamResult, Route, previous_ips, render
from spidercni.cni.versions import SUPPORTED
from spidercni.errors import Defect
from tests.unit.cases import TESTDATA

DATA = yaml.safe_load((TESTDATA / "results.yaml").read_text())
CASES = {case["name"]: case["document"] for case in DATA["cases"]}


def result():
    """Make the result that the data describe."""
    ips = [
        Ip(ip_interface(entry["address"]), ip_address(entry["gateway"]) if entry["gateway"] else None)
        for entry in DATA["dual"]["ips"]
    ]
    routes = [Route(ip_network(r["dst"]), ip_address(r["gw"])) for r in DATA["dual"]["routes"]]
    return IpamResult(tuple(ips), tuple(routes))


def test_every_version_has_its_row():
    """A version that is added brings its shape along."""
    assert set(SUPPORTED) == set(CASES)


@pytest.mark.parametrize("version", SUPPORTED)
def test_shape(version):
    """The document is exactly that of the version, and its addresses are read back from it."""
    document = render(result(), version)

    assert {"cniVersion": version, **CASES[version]} == document
    assert result().ips == previous_ips({"prevResult": document})


def test_no_routes_no_key():
    """What is empty is left out."""
    assert "routes" not in render(IpamResult(result().ips), "1.0.0")
    assert "routes" not in render(IpamResult(result().ips), "0.2.0")["ip4"]


@pytest.mark.parametrize("version", SUPPORTED)
def test_a_result_without_an_address_is_a_defect(version):
    """Never an empty success."""
    with pytest.raises(Defect):
        render(IpamResult(()), version)


def test_no_prev_result_is_not_an_empty_one():
    """CHECK must tell them apart."""
    assert previous_ips({}) is None
    assert previous_ips({"prevResult": {"CNIVersion": "0.4.0"}}) == ()
