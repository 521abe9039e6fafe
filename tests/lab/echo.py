"""ICMP echo from inside a network namespace, over a raw socket: fresh machines have no ping program."""

import os
import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from .netns import inside

_INTERVAL = 0.1  # seconds between two requests


class UnreachableError(Exception):
    """No reply came in time."""


@dataclass(frozen=True)
class _Family:
    """What differs between ICMP and ICMPv6."""

    family: socket.AddressFamily
    protocol: int
    request: int
    reply: int
    header: int  # bytes of IP header in front of what a raw socket receives


_FAMILIES = {
    4: _Family(socket.AF_INET, socket.IPPROTO_ICMP, request=8, reply=0, header=20),
    6: _Family(socket.AF_INET6, socket.IPPROTO_ICMPV6, request=128, reply=129, header=0),
}


def ping(from_netns: str | Path, address: str | IPv4Address | IPv6Address, timeout: float = 3.0) -> float:
    """Return the round-trip time in seconds of the first echo that comes back.

    A request is sent every 100 ms until then: the first ones are lost while neighbours are being resolved,
    and refused by the kernel while our own IPv6 address is still tentative. Raises UnreachableError with the
    last reason known.
    """
    target = ip_address(address)
    kind = _FAMILIES[target.version]
    with inside(from_netns), socket.socket(kind.family, socket.SOCK_RAW, kind.protocol) as raw:
        return _exchange(raw, kind, str(target), timeout)


def _exchange(raw: socket.socket, kind: _Family, target: str, timeout: float) -> float:
    identifier = os.getpid() & 0xFFFF
    sent: dict[int, float] = {}
    reason = "no reply"
    deadline = time.monotonic() + timeout
    while (now := time.monotonic()) < deadline:
        sequence = len(sent)
        sent[sequence] = now
        try:
            raw.connect((target, 0))
            raw.send(_request(kind, identifier, sequence))
            received = _await_reply(raw, kind, identifier, until=min(now + _INTERVAL, deadline))
        except OSError as error:
            reason = error.strerror or str(error)
            time.sleep(_INTERVAL)
            continue
        if received in sent:
            return time.monotonic() - sent[received]
    raise UnreachableError(f"{target}: {reason} within {timeout} s")


def _await_reply(raw: socket.socket, kind: _Family, identifier: int, until: float) -> int | None:
    """Return the sequence number of the first reply of ours, or None when there was none in time."""
    while (left := until - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            packet = raw.recv(2048)[kind.header :]
        except TimeoutError:
            return None
        if len(packet) < 8:
            continue
        if packet[0] == kind.reply and int.from_bytes(packet[4:6]) == identifier:
            return int.from_bytes(packet[6:8])
    return None


def _request(kind: _Family, identifier: int, sequence: int) -> bytes:
    body = b"spidercni"
    blank = struct.pack("!BBHHH", kind.request, 0, 0, identifier, sequence) + body
    # The kernel fills in the ICMPv6 checksum, for it covers the IP header; the ICMP one is ours to make.
    checksum = _checksum(blank) if kind.header else 0
    return struct.pack("!BBHHH", kind.request, 0, checksum, identifier, sequence) + body


def _checksum(data: bytes) -> int:
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
