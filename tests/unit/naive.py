"""A naive allocator, the oracle for the real one: dictionaries, and a walk over single addresses.

It says the same things as `docs/design/ipam.md` in the most obvious way, and shares no code with `spidercni.ipam`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network


@dataclass(frozen=True)
class NaivePool:
    """A pool whose addresses are spelled out one by one, in order."""

    name: str
    family: int
    addresses: tuple[int, ...]
    subnet_length: int


def naive_pool(name: str, spec: dict, reserved: list[str]) -> NaivePool:
    """Spell a spec's addresses out."""
    subnet = ip_network(spec["subnet"])
    forbidden = {int(a) for text in (*spec.get("excludeIPs", []), *reserved) for a in _spell(text)}
    alone = {int(ip_address(text)) for text in spec["ips"] if "-" not in text}
    if subnet.prefixlen < subnet.max_prefixlen - 1:
        ends = {int(subnet[0])} | ({int(subnet[-1])} if subnet.version == 4 else set())
        forbidden |= ends - alone
    addresses = {int(a) for text in spec["ips"] for a in _spell(text)} - forbidden
    return NaivePool(name, subnet.version, tuple(sorted(addresses)), subnet.prefixlen)


def _spell(text: str) -> list:
    first, _, last = text.partition("-")
    start, end = ip_address(first), ip_address(last or first)
    return [type(start)(number) for number in range(int(start), int(end) + 1)]


@dataclass
class NaiveAllocator:
    """Answers as the real one must: a dict of family to address, or the name of the error's class."""

    cooldown: float
    grace: float
    used: dict = field(default_factory=dict)  # (family, address) -> (owner, network, container, ifname, at)
    released: dict = field(default_factory=dict)  # (family, address) -> time
    cursors: dict = field(default_factory=dict)  # pool name -> address
    began: bool = False
    superseded: set = field(default_factory=set)

    def add(self, owner, network, container, ifname, candidates, requested, now):
        """Give one address a family, or nothing."""
        self.began = True
        self._end_cooldowns(now)
        before = dict(self.used), dict(self.released), dict(self.cursors), set(self.superseded)
        try:
            return self._add(owner, network, container, ifname, candidates, requested, now)
        except _RefusedError as refused:
            self.used, self.released, self.cursors, self.superseded = before
            return refused.args[0]

    def _add(self, owner, network, container, ifname, candidates, requested, now):
        answer = {}
        if (network, container, ifname) in self.superseded:
            raise _RefusedError("AttachmentConflict")
        held = [
            key
            for key, record in sorted(self.used.items())
            if (record[0], record[3]) == (owner, ifname) or record[1:4] == (network, container, ifname)
        ]
        for key in sorted(held, key=lambda key: self.used[key][1:4] != (network, container, ifname)):
            family, address = key
            record = self.used[key]
            wanted = requested.get(family, address)
            if record[2] == container:
                if record[1] != network or wanted != address:
                    raise _RefusedError("AttachmentConflict")
                answer[family] = address
                continue
            self.superseded.add(record[1:4])
            if family not in answer and wanted == address and _fits(address, candidates.get(family, [])):
                self.used[key] = (owner, network, container, ifname, now)
                answer[family] = address
            else:
                del self.used[key]
                self.released[key] = now
        for family in sorted(candidates):
            if family not in answer:
                answer[family] = self._claim(
                    (owner, network, container, ifname, now), family, candidates[family], requested.get(family)
                )
        return answer

    def _claim(self, record, family, pools, requested):
        for pool in pools:
            wanted = [address for address in pool.addresses if requested in (None, address)]
            free = [
                address
                for address in wanted
                if (family, address) not in self.used and (family, address) not in self.released
            ]
            cursor = self.cursors.get(pool.name, -1)
            order = [address for address in free if address > cursor] + [
                address for address in free if address <= cursor
            ]
            if not order:
                order = sorted(
                    (address for address in wanted if (family, address) in self.released),
                    key=lambda address: (self.released[family, address], address),
                )
            if order:
                self.released.pop((family, order[0]), None)
                self.used[family, order[0]] = record
                self.cursors[pool.name] = order[0]
                return order[0]
        raise _RefusedError("PoolExhausted" if requested is None else "RequestUnavailable")

    def delete(self, network, container, ifname, now):
        """Release by attachment."""
        gone = [key for key, record in self.used.items() if record[1:4] == (network, container, ifname)]
        if gone or (network, container, ifname) in self.superseded:
            self._end_cooldowns(now)
        self.superseded.discard((network, container, ifname))
        self._release(gone, now)

    def collect(self, network, valid, now):
        """Release what is old enough and not valid."""
        if not self.began:
            return
        self._end_cooldowns(now)
        self._release(
            [
                key
                for key, record in self.used.items()
                if record[1] == network and record[2:4] not in valid and abs(now - record[4]) >= self.grace
            ],
            now,
        )

    def _release(self, keys, now):
        for key in keys:
            del self.used[key]
            self.released[key] = now

    def _end_cooldowns(self, now):
        self.released = {key: min(at, now) for key, at in self.released.items()}
        self.released = {key: at for key, at in self.released.items() if at > now - self.cooldown}


def _fits(address, pools):
    return any(address in pool.addresses for pool in pools)


class _RefusedError(Exception):
    pass
