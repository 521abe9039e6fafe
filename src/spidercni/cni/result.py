"""Results, in the shape of every version of the specification (SPEC "Section 5: Result Types"). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from spidercni.cni.versions import at_least
from spidercni.errors import Defect, UndecodableInput, quoted
from spidercni.model.addresses import Address, Interface, Network, parse_address, parse_interface


class Ip(NamedTuple):
    """One address of the attachment, with the length of its subnet."""

    interface: Interface
    gateway: Address | None


class Route(NamedTuple):
    """A route of the attachment."""

    destination: Network
    gateway: Address


class IpamResult(NamedTuple):
    """What an IPAM plugin answers ADD with: no interfaces (SPEC "Delegated plugins (IPAM)")."""

    ips: tuple[Ip, ...]
    routes: tuple[Route, ...] = ()


def render(result: IpamResult, version: str) -> dict[str, Any]:
    """Return the result as the JSON object of that CNI version.

    Raises Defect when there is no address: no version can say that.
    """
    if not result.ips:
        raise Defect("a result without an address")
    if not at_least(version, "0.3.0"):
        return _render_02(result, version)
    with_version = not at_least(version, "1.0.0")
    document: dict[str, Any] = {
        "cniVersion": version,
        "ips": [_render_ip(ip, with_version) for ip in result.ips],
    }
    if result.routes:
        document["routes"] = _render_routes(result.routes)
    return document


def _render_ip(ip: Ip, with_version: bool) -> dict[str, str]:
    document = {"version": str(ip.interface.version)} if with_version else {}
    document["address"] = str(ip.interface)
    if ip.gateway is not None:
        document["gateway"] = str(ip.gateway)
    return document


def _render_routes(routes: Iterable[Route]) -> list[dict[str, str]]:
    return [{"dst": str(route.destination), "gw": str(route.gateway)} for route in routes]


def _render_02(result: IpamResult, version: str) -> dict[str, Any]:
    """0.1.0 and 0.2.0 have one address a family, with that family's routes inside."""
    document: dict[str, Any] = {"cniVersion": version}
    for ip in result.ips:
        key = f"ip{ip.interface.version}"
        if key in document:
            continue
        entry: dict[str, Any] = {"ip": str(ip.interface)}
        if ip.gateway is not None:
            entry["gateway"] = str(ip.gateway)
        if routes := [route for route in result.routes if route.destination.version == ip.interface.version]:
            entry["routes"] = _render_routes(routes)
        document[key] = entry
    return document


def previous_ips(config: Mapping[str, Any]) -> tuple[Ip, ...] | None:
    """Return the addresses of `prevResult`, whatever version it is in; None where there is no prevResult.

    Raises UndecodableInput (6).
    """
    document = config.get("prevResult")
    if document is None:
        return None
    if not isinstance(document, dict):
        raise UndecodableInput(f"prevResult is {quoted(document)}", "it must be an object")
    return tuple(_parse_ip(entry) for entry in _address_entries(document))


def _address_entries(document: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Find the addresses by shape, not by `cniVersion`: libcni spells that key in two ways."""
    ips = document.get("ips") or []
    if not isinstance(ips, list):
        raise UndecodableInput(f"prevResult.ips is {quoted(ips)}", "it must be a list")
    for entry in (*ips, document.get("ip4"), document.get("ip6")):
        if entry is None:
            continue
        if not isinstance(entry, dict):
            raise UndecodableInput(f"prevResult has the address {quoted(entry)}", "it must be an object")
        yield entry


def _parse_ip(entry: Mapping[str, Any]) -> Ip:
    text, gateway = entry.get("address", entry.get("ip")), entry.get("gateway")
    try:
        return Ip(parse_interface(text), parse_address(gateway) if gateway else None)
    except ValueError:
        raise UndecodableInput(
            f"prevResult has the address {quoted(text)} with the gateway {quoted(gateway)}",
            "an address has its prefix length, a gateway has none",
        ) from None
