"""Which pools serve, in which order, and what is said of the others."""

import json

import pytest

from spidercni.cni.environment import Environment
from spidercni.cni.request import Request
from spidercni.errors import InvalidConfig, NoCandidatePool
from spidercni.ipam import config as configs
from spidercni.ipam.candidates import ANY_NAMESPACE, Asker, Catalog, select
from spidercni.model.addresses import format_ranges
from spidercni.model.pool import parse_pool, parse_reserved
from spidercni.settings import Settings

NOTHING = {4: parse_reserved([], "")[4], 6: parse_reserved([], "")[6]}


def v4(name, **fields):
    """Return an inline IPv4 pool."""
    return {"name": name, "subnet": "10.0.0.0/24", "ips": ["10.0.0.5-10.0.0.9"], **fields}


def v6(name, **fields):
    """Return an inline IPv6 pool."""
    return {"name": name, "subnet": "fd00::/64", "ips": ["fd00::5-fd00::9"], **fields}


def manifest(entry):
    """Return a pool as a manifest would give it."""
    return parse_pool(entry["name"], {key: value for key, value in entry.items() if key != "name"}, entry["name"])


def names(ipam, manifests=(), reserved=NOTHING, node="n1", namespace="default"):
    """Return the names of the candidates by family."""
    request = Request(Environment("ADD", "c1", "/x", "eth0"), "1.0.0", "net", {"ipam": {"type": "spiderpool", **ipam}})
    config = configs.parse(request, Settings())
    catalog = Catalog.of(config, [manifest(entry) for entry in manifests], reserved)
    candidates = select(config, catalog, Asker(node, namespace))
    return {family: [candidate.pool.name for candidate in each] for family, each in candidates.items()}


def test_inline_pools_serve_in_their_order():
    """All of them, as written."""
    assert names({"pools": [v4("b"), v4("a"), v6("c")]}) == {4: ["b", "a"], 6: ["c"]}


def test_default_manifests_serve_last():
    """Only where there is no inline pool, and only those with default: true."""
    manifests = [v4("m1", default=True), v4("m2")]

    assert names({}, manifests) == {4: ["m1"]}
    assert names({"pools": [v6("c")]}, manifests) == {6: ["c"]}


def test_named_pools_come_first_and_alone():
    """Inline or manifest, in the order written; the other family does not come from elsewhere."""
    ipam = {"pools": [v4("a"), v6("c")], "default_ipv4_ippool": ["m2", "a"]}

    assert names(ipam, [v4("m1", default=True), v4("m2")]) == {4: ["m2", "a"]}


def test_wildcards_match_in_place_by_name_and_once():
    """A wildcard stands where it is written; what was listed before is not listed again."""
    ipam = {"pools": [v4("z1"), v4("a2"), v4("a1"), v6("a6")], "default_ipv4_ippool": ["z*", "a2", "a?"]}

    assert names(ipam) == {4: ["z1", "a2", "a1"]}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"disable": True}, "disabled"),
        ({"ips": []}, "it has no ips"),
        ({"excludeIPs": ["10.0.0.0-10.0.0.255"]}, "all of them are excluded"),
        ({"nodeName": ["n2"]}, "unmatched Node name of IPPool p: this node is n1"),
        ({"namespaceName": ["kube-system"]}, "unmatched Namespace name of IPPool p: the pod's is default"),
        ({"podAffinity": {"matchLabels": {"a": "b"}}}, "podAffinity"),
        ({"multusName": ["a/b"], "nodeAffinity": {"x": 1}}, "nodeAffinity, multusName"),
    ],
)
def test_a_pool_that_may_not_serve_is_named_with_its_reason(fields, reason):
    """It is passed over while another one may, and named when none may."""
    assert names({"pools": [v4("p", **fields), v4("q")]}) == {4: ["q"]}
    with pytest.raises(NoCandidatePool, match="p: ") as caught:
        names({"pools": [v4("p", **fields), v6("six")]})
    assert reason in caught.value.details


def test_matching_lists_let_a_pool_serve():
    """Node and namespace by exact name; STATUS asks for any namespace."""
    pool = v4("p", nodeName=["n0", "n1"], namespaceName=["default"])

    assert names({"pools": [pool]}) == {4: ["p"]}
    assert names({"pools": [pool]}, namespace=ANY_NAMESPACE) == {4: ["p"]}


def test_a_pool_in_two_places_is_refused():
    """Which one would serve?"""
    with pytest.raises(InvalidConfig, match="'a'"):
        names({"pools": [v4("a")]}, [v4("a")])
    with pytest.raises(InvalidConfig, match=r"pools\[1\]"):
        names({"pools": [v4("a"), v6("a")]})


def test_reservations_of_both_places_are_cut_out():
    """Inline `reserved_ips` and manifests together."""
    request = Request(
        Environment("ADD", "c1", "/x", "eth0"),
        "1.0.0",
        "net",
        {"ipam": {"type": "spiderpool", "pools": [v4("a")], "reserved_ips": ["10.0.0.5"]}},
    )
    config = configs.parse(request, Settings())
    catalog = Catalog.of(config, [], parse_reserved(["10.0.0.7-10.0.0.8", "fd00::1"], "x"))

    ((candidate,),) = select(config, catalog, Asker("n", "")).values()

    assert format_ranges(4, candidate.space) == ["10.0.0.6", "10.0.0.9"]


def test_a_gateway_is_given_by_no_pool():
    """Also where another pool of the same subnet has it among its ips."""
    pools = [v4("a", gateway="10.0.0.1"), v4("b", ips=["10.0.0.1-10.0.0.2"]), v4("c", ips=["10.0.0.1"])]
    request = Request(Environment("ADD", "c1", "/x", "eth0"), "1.0.0", "net", {"ipam": {"pools": pools}})
    config = configs.parse(request, Settings())
    found = select(config, Catalog.of(config, [], NOTHING), Asker("n", ""))[4]
    assert [("a", 5), ("b", 1)] == [(candidate.pool.name, candidate.space.size()) for candidate in found]


def test_the_spec_is_kept_as_it_was_written():
    """People see in `ctl pool show` what they wrote."""
    entry = v4("a", routes=[{"dst": "10.1.0.0/16", "gw": "10.0.0.2"}])

    assert {key: value for key, value in entry.items() if key != "name"} == json.loads(manifest(entry).spec_json)
