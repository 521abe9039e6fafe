"""Our section `ipam` of the network configuration, and the addresses that a caller asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from spidercni.cni import arguments
from spidercni.cni.request import Request
from spidercni.errors import InvalidConfig, UnsupportedField, quoted
from spidercni.model.addresses import Interface, parse_interface
from spidercni.model.fields import Fields
from spidercni.model.intervals import IntervalSet
from spidercni.model.pool import Pool, check_name, parse_pool, parse_reserved
from spidercni.settings import Settings

# Spiderpool's keys; the log keys and the socket are taken, and mean nothing before there is an agent.
SPIDERPOOL_KEYS = (
    "type", "log_level", "log_file_path", "log_file_max_size", "log_file_max_age", "log_file_max_count",
    "default_ipv4_ippool", "default_ipv6_ippool", "clean_gateway", "match_master_subnet", "ipam_unix_socket_path",
)  # fmt: skip
OUR_KEYS = ("store", "data_dir", "pools_dir", "pools", "reserved_ips")

CNI_ARGS_KEYS = ("IP", "K8S_POD_NAME", "K8S_POD_NAMESPACE", "K8S_POD_INFRA_CONTAINER_ID", "K8S_POD_UID")

STORES = ("local",)


class StoreConfig(NamedTuple):
    """Where the allocations are kept: all that DEL and GC need, so that a broken pool cannot stop a release."""

    data_dir: str


class IpamConfig(NamedTuple):
    """The whole section, as ADD, CHECK and STATUS need it."""

    store: StoreConfig
    pools_dir: str
    pools_dir_is_named: bool  # a directory that somebody names has to be there
    pools: tuple[Pool, ...]
    reserved: Mapping[int, IntervalSet]
    default_pools: Mapping[int, tuple[str, ...]]
    clean_gateway: bool


def parse_store(request: Request, settings: Settings) -> StoreConfig:
    """Read where the store is and nothing else. Raises InvalidConfig (7), UnsupportedField (2)."""
    section = _section(request.config)
    store = section.get("store", str, STORES[0])
    if store not in STORES:
        raise UnsupportedField(f"ipam.store is {quoted(store)}", f"it must be one of: {', '.join(STORES)}")
    return StoreConfig(data_dir=_path(section, "data_dir", settings.data_dir))


def parse(request: Request, settings: Settings) -> IpamConfig:
    """Read the whole section. Raises InvalidConfig (7), UnsupportedField (2)."""
    section = _section(request.config)
    section.refuse_unknown((*SPIDERPOOL_KEYS, *OUR_KEYS))
    if section.get("match_master_subnet", bool, False):
        raise UnsupportedField("ipam.match_master_subnet is true", "the local store cannot do that, remove the key")
    return IpamConfig(
        store=parse_store(request, settings),
        pools_dir=_path(section, "pools_dir", settings.pools_dir),
        pools_dir_is_named=section.has("pools_dir"),
        pools=_inline_pools(section, request.network),
        reserved=parse_reserved(list(section.texts("reserved_ips")), "ipam.reserved_ips"),
        default_pools={4: section.texts("default_ipv4_ippool"), 6: section.texts("default_ipv6_ippool")},
        clean_gateway=section.get("clean_gateway", bool, False),
    )


def parse_arguments(request: Request) -> dict[str, str]:
    """Read CNI_ARGS. Raises InvalidEnvironment (4)."""
    return arguments.parse(request.environment.args, CNI_ARGS_KEYS)


def parse_requested(request: Request, args: Mapping[str, str]) -> dict[int, Interface]:
    """Return the address that is asked for, by family.

    The `ips` capability wins over `args.cni.ips`, and both over the deprecated `IP=` of CNI_ARGS (CONVENTIONS.md).
    Without a prefix length it has that of a single address. Raises InvalidConfig (7).
    """
    runtime = _object(request.config, "runtimeConfig", "runtimeConfig")
    cni = _object(_object(request.config, "args", "args"), "cni", "args.cni")
    if runtime.get("ips"):
        texts, where = Fields.as_list(runtime["ips"], "runtimeConfig.ips"), "runtimeConfig.ips"
    elif cni.get("ips"):
        texts, where = Fields.as_list(cni["ips"], "args.cni.ips"), "args.cni.ips"
    else:
        texts, where = [text for text in args.get("IP", "").split(",") if text], "CNI_ARGS IP"
    requested: dict[int, Interface] = {}
    for text in texts:
        with Fields.naming(where, text):
            interface = parse_interface(text)
            if (other := requested.get(interface.version)) is not None:
                raise ValueError(f"an interface has one IPv{other.version} address, {other.ip} is asked for too")
        requested[interface.version] = interface
    return requested


def _section(config: Mapping[str, Any]) -> Fields:
    if "ipam" not in config:
        raise InvalidConfig("ipam is missing", 'the network configuration needs "ipam": {"type": "spiderpool", …}')
    return Fields(config["ipam"], "ipam")


def _path(section: Fields, key: str, default: str) -> str:
    path: str = section.get(key, str, default)
    if not path.startswith("/") or "\0" in path:
        raise InvalidConfig(f"ipam.{key} is {quoted(path)}", "it must be an absolute path")
    return path


def _inline_pools(section: Fields, network: str) -> tuple[Pool, ...]:
    pools: dict[str, Pool] = {}
    for index, entry in enumerate(section.objects("pools")):
        where = f"ipam.pools[{index}]"
        if not isinstance(entry, dict):
            raise InvalidConfig(f"{where} is {quoted(entry)}", "it must be an object")
        if "name" not in entry:
            raise InvalidConfig(f"{where}.name is missing", "a pool has a name")
        name = check_name(f"{where}.name", entry.get("name"))
        if name in pools:
            raise InvalidConfig(f"{where}.name is {quoted(name)}", "there is a pool with that name already")
        spec = {key: value for key, value in entry.items() if key != "name"}
        pools[name] = parse_pool(name, spec, where, scope=network)
    return tuple(pools.values())


def _object(parent: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidConfig(f"{where} is {quoted(value)}", "it must be an object")
    return value
