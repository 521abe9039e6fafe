"""The node's uplink with a gateway behind it, and containers."""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network
from pathlib import Path
from typing import Any, Self

from pyroute2 import IPRoute

from . import netns
from .isolation import isolate

Interface = IPv4Interface | IPv6Interface

GATEWAY = ("10.77.0.1/24", "fd77::1/64")


@dataclass(frozen=True)
class Route:
    """One route of the main table; `dst` is 0.0.0.0/0 or ::/0 for a default route."""

    dst: str
    gateway: str | None
    ifname: str | None


class Container:
    """A container as a CNI plugin sees it: an ID and a named network namespace."""

    def __init__(self, name: str) -> None:
        """Make the namespace, with its loopback up and without waits for duplicate address detection."""
        self.name = name
        self.id = name
        self.netns = netns.create(name)
        with netns.inside(self.netns):
            _without_dad()
            with IPRoute() as netlink:
                netlink.link("set", index=1, state="up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the namespace, and with it every interface in it."""
        netns.remove(self.netns)

    def links(self) -> list[str]:
        """Return the names of the interfaces in the container, without the loopback."""
        with netns.inside(self.netns), IPRoute() as netlink:
            return [link.get("ifname") for link in netlink.get_links() if link.get("ifname") != "lo"]

    def addresses(self, ifname: str = "eth0") -> list[Interface]:
        """Return the addresses an interface carries, without the link-local one every IPv6 interface has."""
        with netns.inside(self.netns), IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname=ifname)
            raw = netlink.get_addr(index=index)
            found = [ip_interface(f"{a.get('address')}/{a['prefixlen']}") for a in raw]
        return sorted((a for a in found if not a.is_link_local), key=lambda a: (a.version, a))

    def routes(self) -> list[Route]:
        """Return the main table's routes of both families, without link-local and multicast ones."""
        with netns.inside(self.netns), IPRoute() as netlink:
            names = {link["index"]: link.get("ifname") for link in netlink.get_links()}
            raw = [r for r in netlink.get_routes() if r.get("table") == 254]
        routes = [_route(r, names) for r in raw]
        return [r for r in routes if not (ip_network(r.dst).is_link_local or ip_network(r.dst).is_multicast)]


class Uplink:
    """The node's link to the data-centre network: a veth whose far end is in a namespace, the gateway."""

    def __init__(self, ifname: str, gateway_addresses: tuple[str, ...], gateway: str = "gateway") -> None:
        """Make the pair of links and give the far end its addresses."""
        self.ifname = ifname
        self.gateway = Container(gateway)
        with IPRoute() as netlink:
            with self.gateway.netns.open() as namespace:
                peer = {"ifname": "lan0", "net_ns_fd": namespace.fileno()}
                netlink.link("add", ifname=ifname, kind="veth", peer=peer)
            (index,) = netlink.link_lookup(ifname=ifname)
            netlink.link("set", index=index, state="up")
        with netns.inside(self.gateway.netns), IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname="lan0")
            netlink.link("set", index=index, state="up")
            for text in gateway_addresses:
                address = ip_interface(text)
                netlink.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)


class Node:
    """The calling process as a node: isolated, with an uplink, able to hold containers."""

    def __init__(self, ifname: str = "uplink0", gateway_addresses: tuple[str, ...] = GATEWAY) -> None:
        """Isolate the process (see `isolate`) and bring the uplink up."""
        isolate()
        _without_dad()
        self.uplink = Uplink(ifname, gateway_addresses)

    def container(self, name: str) -> Container:
        """Make a container on this node."""
        return Container(name)


def _without_dad() -> None:
    """Let IPv6 addresses of the current namespace be usable at once instead of after a second or two."""
    for scope in ("all", "default"):
        folder = Path("/proc/sys/net/ipv6/conf") / scope
        if folder.exists():  # absent on a kernel without IPv6
            (folder / "accept_dad").write_text("0")


def _route(raw: Any, names: dict[int, str]) -> Route:
    everything = "0.0.0.0/0" if raw["family"] == socket.AF_INET else "::/0"
    dst = f"{raw.get('dst')}/{raw['dst_len']}" if raw.get("dst") else everything
    return Route(dst=dst, gateway=raw.get("gateway"), ifname=names.get(raw.get("oif")))
