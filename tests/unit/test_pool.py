"""Specs of pools: what they give, and how they are refused."""

import pytest

from spidercni.errors import InvalidConfig, SpidercniError
from spidercni.model.addresses import format_ranges
from spidercni.model.pool import check_name, parse_pool, parse_reserved
from tests.unit.cases import load, says


@pytest.mark.parametrize("case", load("pools.yaml"))
def test_specs(case):
    """A sound spec gives exactly its addresses; another is refused by key and value, with its code."""
    if "gives" in case:
        pool = parse_pool("p", case["spec"], "spec")

        assert case["gives"] == format_ranges(pool.family, pool.space)
    else:
        with pytest.raises(SpidercniError) as caught:
            parse_pool("p", case["spec"], "spec")

        assert case["code"] == caught.value.code
        says(str(caught.value), {"says": ["spec", *case["says"]]})


def test_reservations_are_by_family():
    """A list may mix families; null reserves nothing."""
    reserved = parse_reserved(["10.0.0.5-10.0.0.7", "fd00::1"], "ips")

    assert {f: format_ranges(f, s) for f, s in reserved.items()} == {4: ["10.0.0.5-10.0.0.7"], 6: ["fd00::1"]}
    assert {f: list(s) for f, s in parse_reserved(None, "ips").items()} == {4: [], 6: []}


@pytest.mark.parametrize("ips", [["10.0.0.0/24"], [7], "10.0.0.1", ["10.0.0.5-10.0.0.1"]])
def test_a_bad_reservation_is_refused(ips):
    """A reservation that cannot be understood must not be passed over."""
    with pytest.raises(InvalidConfig, match="ips"):
        parse_reserved(ips, "ips")


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a/b", "a\n", "x" * 254, None, 7])
def test_names_are_those_of_kubernetes(name):
    """The refusal has the words that people search for."""
    with pytest.raises(InvalidConfig, match="lowercase RFC 1123 subdomain must consist of"):
        check_name("name", name)


def test_a_huge_pool_is_parsed_at_once():
    """A /64 with a wide exclusion is four numbers, not a list (Spiderpool's agent crashes on it)."""
    spec = {
        "subnet": "fd00::/48",
        "ips": ["fd00::1-fd00::ffff:ffff:ffff:ffff:ffff"],
        "excludeIPs": ["fd00::-fd00::ffff:ffff:ffff:ffff"],
    }

    assert parse_pool("p", spec, "spec").space.size() == (1 << 80) - (1 << 64)
