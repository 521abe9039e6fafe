"""Address texts into values: single addresses, ranges, subnets. Pure.

Strict where Spiderpool is lenient: a range that ends before it starts is a mistake, not a spelling.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

from spidercni.model.intervals import Interval, IntervalSet

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface

# Bits of an address, by family.
BITS = {4: 32, 6: 128}


def address_of(family: int, number: int) -> Address:
    """Return the address with that number (`ip_address` would take a small IPv6 number for IPv4)."""
    return IPv4Address(number) if family == 4 else IPv6Address(number)


def interface_of(family: int, number: int, prefix_length: int) -> Interface:
    """Return the address with that number and the length of its subnet's prefix."""
    kind = IPv4Interface if family == 4 else IPv6Interface
    return kind((number, prefix_length))


def parse_address(text: object) -> Address:
    """Parse one address. Raises ValueError with a text that says what is wrong."""
    if not isinstance(text, str):
        raise ValueError("it must be a text")
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("it has a zone ('%')")
    return address


def parse_interface(text: object) -> Interface:
    """Parse `A` or `A/LENGTH`; without a length it is that of a single address. Raises ValueError."""
    if not isinstance(text, str) or "%" in text:
        raise ValueError("it is not an address such as 10.77.0.10 or 10.77.0.10/24")
    return ip_interface(text)


def parse_subnet(text: object) -> Network:
    """Parse a subnet in canonical form. Raises ValueError, with the canonical form where there is one."""
    if not isinstance(text, str) or not text.partition("/")[2].isdecimal():
        raise ValueError("it is not a subnet such as 10.77.0.0/24")
    network = ip_network(text, strict=False)
    if str(network.network_address) != str(ip_address(text.partition("/")[0])):
        raise ValueError(f"it has host bits, write {network}")
    return network


def parse_range(text: object) -> tuple[Address, Address]:
    """Parse `A` or `A-B`. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("it must be a text")
    first_text, dash, last_text = text.partition("-")
    first = parse_address(first_text.strip())
    last = parse_address(last_text.strip()) if dash else first
    if first.version != last.version:
        raise ValueError("its ends are of different families")
    if int(last) < int(first):
        raise ValueError(f"it ends before it starts, write {last}-{first} if that is meant")
    return first, last


def interval_of(addresses: tuple[Address, Address]) -> Interval:
    """Return the numbers of a parsed range."""
    return Interval(int(addresses[0]), int(addresses[1]))


def unusable_ends(subnet: Network) -> IntervalSet:
    """Return the addresses of the subnet that no host should have unless somebody insists.

    IPv4: the network and the broadcast address (not in a /31 or /32, RFC 3021). IPv6: the subnet-router anycast
    address (RFC 4291 2.6.1; not in a /127 or /128, RFC 6164); IPv6 has no broadcast.
    """
    if subnet.num_addresses <= 2:
        return IntervalSet()
    ends = [int(subnet.network_address)]
    if subnet.version == 4:
        ends.append(int(subnet.broadcast_address))
    return IntervalSet(Interval(end, end) for end in ends)


def format_ranges(family: int, intervals: Iterable[Interval]) -> list[str]:
    """Return the texts of intervals, as `ips` would spell them."""
    texts = []
    for first, last in intervals:
        start, end = address_of(family, first), address_of(family, last)
        texts.append(str(start) if first == last else f"{start}-{end}")
    return texts
