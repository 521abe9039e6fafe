"""Pools and reservations: the fields of `SpiderIPPool.spec` and `SpiderReservedIP.spec` as values. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from spidercni.errors import InvalidConfig, UnsupportedField, quoted
from spidercni.model.addresses import (
    Address,
    Network,
    interval_of,
    parse_address,
    parse_range,
    parse_subnet,
    unusable_ends,
)
from spidercni.model.fields import Fields
from spidercni.model.intervals import Interval, IntervalSet

# Names of Kubernetes objects: RFC 1123 subdomains.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_NAME_LENGTH = 253

# What a pool may demand of a pod and only a cluster can tell; `candidates` turns such a pool down by name.
CLUSTER_FIELDS = ("podAffinity", "namespaceAffinity", "nodeAffinity", "multusName")

FIELDS = (
    "subnet", "ips", "excludeIPs", "gateway", "routes", "default", "disable", "ipVersion",
    "nodeName", "namespaceName", *CLUSTER_FIELDS,
)  # fmt: skip


class PoolRoute(NamedTuple):
    """A route that every address of the pool comes with."""

    destination: Network
    gateway: Address


class Pool(NamedTuple):
    """A pool whose spec is sound. `space` holds the numbers of the addresses that it may give."""

    name: str
    subnet: Network
    space: IntervalSet
    gateway: Address | None = None
    routes: tuple[PoolRoute, ...] = ()
    default: bool = False
    disable: bool = False
    node_names: tuple[str, ...] = ()
    namespace_names: tuple[str, ...] = ()
    cluster_fields: tuple[str, ...] = ()
    scope: str = ""  # the network whose configuration has the pool inline; empty for a pool of its own
    reserved: tuple[str, ...] = ()  # ranges that its network configuration reserves; for people to look at
    spec_json: str = "{}"

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.subnet.version


def check_name(key: str, name: object) -> str:
    """Return the name of an object. Raises InvalidConfig."""
    if not isinstance(name, str) or len(name) > _NAME_LENGTH or not _NAME.match(name):
        raise InvalidConfig(
            f"{key} is {quoted(name)}",
            f"a name must be no more than {_NAME_LENGTH} characters and a lowercase RFC 1123 subdomain must consist of"
            " lower case alphanumeric characters, '-' or '.'",
        )
    return name


def parse_pool(name: str, spec: Mapping[str, Any], where: str, scope: str = "") -> Pool:
    """Make a pool of a spec; `where` says in errors whose fields they are.

    Raises InvalidConfig or UnsupportedField, naming the key and the value.
    """
    fields = Fields(spec, where)
    fields.refuse_unknown(FIELDS)
    subnet = fields.parse("subnet", parse_subnet)
    family = fields.get("ipVersion", int, None)
    if family is not None and family != subnet.version:
        raise UnsupportedField(f"{where}.ipVersion is {family}", f"subnet {subnet} is IPv{subnet.version}")
    excluded = IntervalSet(_parse_ranges(fields, "excludeIPs", subnet))
    gateway = fields.parse("gateway", parse_address) if fields.has("gateway") else None
    space = _parse_space(fields, subnet) - excluded
    _check_gateway(fields, subnet, space, gateway)
    return Pool(
        name=name,
        subnet=subnet,
        space=space,
        gateway=gateway,
        routes=_parse_routes(fields, subnet),
        default=fields.get("default", bool, False),
        disable=fields.get("disable", bool, False),
        node_names=fields.texts("nodeName"),
        namespace_names=fields.texts("namespaceName"),
        cluster_fields=tuple(key for key in CLUSTER_FIELDS if spec.get(key)),
        scope=scope,
        spec_json=json.dumps(spec, sort_keys=True),
    )


def parse_reserved(texts: object, where: str) -> dict[int, IntervalSet]:
    """Make the reservations of a list of ranges, by family. Raises InvalidConfig."""
    ranges: dict[int, list[Interval]] = {4: [], 6: []}
    for index, text in enumerate(Fields.as_list(texts, where)):
        with Fields.naming(f"{where}[{index}]", text):
            ends = parse_range(text)
        ranges[ends[0].version].append(interval_of(ends))
    return {family: IntervalSet(intervals) for family, intervals in ranges.items()}


def _parse_space(fields: Fields, subnet: Network) -> IntervalSet:
    """Subtract the subnet's unusable ends, except those that an entry of `ips` names alone.

    The end of a wider range does not name it: who writes 10.0.0.0-10.0.0.255 means the subnet, who writes
    10.0.0.0 means that address. Spiderpool gives both out (`docs/design/ipam.md`, INV-IPAM-6).
    """
    ranges = _parse_ranges(fields, "ips", subnet)
    named = IntervalSet(interval for interval in ranges if interval.first == interval.last)
    return IntervalSet(ranges) - (unusable_ends(subnet) - named)


def _parse_ranges(fields: Fields, key: str, subnet: Network) -> list[Interval]:
    intervals = []
    for index, text in enumerate(fields.texts(key)):
        with fields.naming(f"{fields.where}.{key}[{index}]", text):
            first, last = parse_range(text)
            if first not in subnet or last not in subnet:
                raise ValueError(f"it is not within the subnet {subnet}")
        intervals.append(interval_of((first, last)))
    return intervals


def _check_gateway(fields: Fields, subnet: Network, space: IntervalSet, gateway: Address | None) -> None:
    if gateway is None:
        return
    with fields.naming(f"{fields.where}.gateway", str(gateway)):
        if gateway not in subnet:
            raise ValueError(f"it is not within the subnet {subnet}")
        if int(gateway) in space:
            raise ValueError("it is among the pool's ips: add it to excludeIPs or remove it from ips")


def _parse_routes(fields: Fields, subnet: Network) -> tuple[PoolRoute, ...]:
    routes: dict[Network, PoolRoute] = {}
    for index, entry in enumerate(fields.objects("routes")):
        route = Fields(entry, f"{fields.where}.routes[{index}]")
        route.refuse_unknown(("dst", "gw"))
        destination = route.parse("dst", parse_subnet)
        gateway = route.parse("gw", parse_address)
        with fields.naming(f"{route.where}.dst", str(destination)):
            if destination.version != subnet.version:
                raise ValueError(f"the subnet {subnet} is of the other family")
            if destination.prefixlen == 0:
                raise ValueError("the default route comes from the pool's gateway, set that")
            if destination in routes:
                raise ValueError("there is a route with the same dst already")
        with fields.naming(f"{route.where}.gw", str(gateway)):
            if gateway not in subnet:
                raise ValueError(f"it is not within the subnet {subnet}")
        routes[destination] = PoolRoute(destination, gateway)
    return tuple(routes.values())
