"""Which pools may serve an attachment, in which order, and why the others may not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from spidercni.errors import InvalidConfig, NoCandidatePool
from spidercni.ipam.config import IpamConfig
from spidercni.model.addresses import Interface, format_ranges
from spidercni.model.intervals import Interval, IntervalSet
from spidercni.model.pool import Pool

FAMILIES = (4, 6)

NO_POOL = "spiderpool IP allocation error: no IPPool available"


class Catalog(NamedTuple):
    """Everything that there is to choose from."""

    inline: tuple[Pool, ...] = ()
    manifests: tuple[Pool, ...] = ()
    reserved: Mapping[int, IntervalSet] = {}

    @classmethod
    def of(cls, config: IpamConfig, manifests: Sequence[Pool], reserved: Mapping[int, IntervalSet]) -> Catalog:
        """Join what the configuration has inline with the manifests. Raises InvalidConfig for a pool in both."""
        inline = {pool.name for pool in config.pools}
        for pool in manifests:
            if pool.name in inline:
                raise InvalidConfig(f"ipam.pools has {pool.name!r}", f"{config.pools_dir} has a pool of that name too")
        joined = {family: IntervalSet((*reserved[family], *config.reserved[family])) for family in FAMILIES}
        told = {family: tuple(format_ranges(family, config.reserved[family])) for family in FAMILIES}
        inline_pools = tuple(pool._replace(reserved=told[pool.family]) for pool in config.pools)
        return cls(inline_pools, tuple(manifests), joined)


class Candidate(NamedTuple):
    """A pool that may serve, and the numbers it may give: its space without what is reserved."""

    pool: Pool
    space: IntervalSet


# Matches every namespace; no pod's namespace is called so.
ANY_NAMESPACE = "*"


class Asker(NamedTuple):
    """What pools may ask about an attachment."""

    node: str
    namespace: str


def select(config: IpamConfig, catalog: Catalog, asker: Asker) -> dict[int, tuple[Candidate, ...]]:
    """Return the candidates of each family, in the order in which they are tried.

    The source is the first of: the configuration's default pools, its inline pools, the manifests with
    `default: true`. The source alone decides the families. Raises NoCandidatePool (101), InvalidConfig (7).
    """
    chosen, source = _source(config, catalog)
    candidates: dict[int, tuple[Candidate, ...]] = {}
    for family in FAMILIES:
        pools = chosen.get(family, ())
        if not pools:
            continue
        reserved = _withheld(catalog, family)
        faults = {pool.name: fault for pool in pools if (fault := _fault(pool, asker, reserved))}
        if len(faults) == len(pools):
            reasons = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
            raise NoCandidatePool(
                f"{NO_POOL}, all IPv{family} IPPools of {source} filtered out",
                reasons,
            )
        candidates[family] = tuple(Candidate(pool, pool.space - reserved) for pool in pools if pool.name not in faults)
    if not candidates:
        raise NoCandidatePool(
            NO_POOL,
            f"{source} name no pool; give ipam.pools, ipam.default_ipv4_ippool or ipam.default_ipv6_ippool,"
            " or a pool manifest with 'default: true'",
        )
    return candidates


def _source(config: IpamConfig, catalog: Catalog) -> tuple[dict[int, Sequence[Pool]], str]:
    everything = (*catalog.inline, *catalog.manifests)
    if any(config.default_pools.values()):
        named = {
            family: _by_patterns(everything, family, patterns) for family, patterns in config.default_pools.items()
        }
        return named, "default_ipv4_ippool and default_ipv6_ippool"
    if catalog.inline:
        return _by_family(catalog.inline), "ipam.pools"
    return _by_family(pool for pool in catalog.manifests if pool.default), "the default manifests"


def _by_family(pools: Iterable[Pool]) -> dict[int, Sequence[Pool]]:
    listed = list(pools)
    return {family: [pool for pool in listed if pool.family == family] for family in FAMILIES}


def _by_patterns(pools: Iterable[Pool], family: int, patterns: Sequence[str]) -> Sequence[Pool]:
    """Resolve names and wildcards in the order they are written; what a wildcard matches goes by name.

    A pool that was listed before is not listed again. A name that no pool has is an error: it is a mistake.
    """
    from fnmatch import fnmatchcase  # few configurations name pools at all

    by_name = {pool.name: pool for pool in pools}
    found: dict[str, Pool] = {}
    for pattern in patterns:
        key = f"default_ipv{family}_ippool"
        if any(character in "*?[" for character in pattern):
            matches = sorted(
                name for name, pool in by_name.items() if pool.family == family and fnmatchcase(name, pattern)
            )
        elif pattern not in by_name:
            raise InvalidConfig(f"ipam.{key} has {pattern!r}", f"there is no such pool; known: {_names(by_name)}")
        elif by_name[pattern].family != family:
            raise InvalidConfig(
                f"ipam.{key} has {pattern!r}",
                f"expect an IPv{family} IPPool, but the version of IPPool {pattern} is IPv{by_name[pattern].family}",
            )
        else:
            matches = [pattern]
        if not matches:
            raise NoCandidatePool(NO_POOL, f"no IPv{family} pool matches {pattern!r} of ipam.{key}")
        found.update((name, by_name[name]) for name in matches)
    return list(found.values())


def _names(by_name: Mapping[str, Pool]) -> str:
    return ", ".join(sorted(by_name)[:20]) or "none"


def _withheld(catalog: Catalog, family: int) -> IntervalSet:
    """Return what no pool gives: what is reserved, and the gateways of all pools."""
    gateways = [
        Interval(int(pool.gateway), int(pool.gateway))
        for pool in (*catalog.inline, *catalog.manifests)
        if pool.gateway is not None and pool.family == family
    ]
    return IntervalSet((*catalog.reserved.get(family, ()), *gateways))


def _fault(pool: Pool, asker: Asker, withheld: IntervalSet) -> str:
    """Say why the pool may not serve, or return an empty string."""
    if pool.disable:
        return "it is disabled"
    if pool.node_names and asker.node not in pool.node_names:
        return f"unmatched Node name of IPPool {pool.name}: this node is {asker.node}"
    if pool.namespace_names and asker.namespace not in (*pool.namespace_names, ANY_NAMESPACE):
        return f"unmatched Namespace name of IPPool {pool.name}: the pod's is {asker.namespace or 'unknown'}"
    if pool.cluster_fields:
        return f"only a cluster can tell whether {', '.join(pool.cluster_fields)} match"
    if not pool.space:
        return "it has no ips, or all of them are excluded"
    if not pool.space - withheld:
        return "all its addresses are reserved or gateways"
    return ""


def refuse_useless_requests(requested: Mapping[int, Interface], candidates: Mapping[int, Sequence[Candidate]]) -> None:
    """Refuse a requested address of a family that no candidate serves. Raises InvalidConfig (7)."""
    for family, interface in requested.items():
        if family not in candidates:
            raise InvalidConfig(f"the requested address is {interface.ip}", f"no candidate pool is IPv{family}")
