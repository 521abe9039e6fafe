"""What the container runtime remembers of our addresses: libcni's cache of results. Repair reads it, nothing else.

A damaged store may have lost addresses of living containers; libcni keeps the result of each ADD until its DEL, so that
they can be taken as in use again instead of being given to others.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

from spidercni.cni.environment import IDENTIFIER
from spidercni.cni.result import Ip, previous_ips
from spidercni.errors import SpidercniError
from spidercni.model.allocation import Allocation, Owner
from spidercni.model.attachment import Attachment

# Where libcni keeps its results, below its cache directory, one JSON file for each attachment.
RESULTS = "results"
IPAM_TYPES = ("spiderpool", "spidercni")


class Place(NamedTuple):
    """Which store is meant: its directory, that of a configuration that names none, and the node it is on."""

    data_dir: Path
    default_data_dir: str
    node: str


def read(cache_dir: str, place: Place, now: float) -> tuple[list[Allocation], list[str]]:
    """Return the allocations that the runtime remembers for a store, and the files that could not be understood."""
    found: list[Allocation] = []
    strange: list[str] = []
    for path in sorted(Path(cache_dir, RESULTS).glob("*")):
        try:
            found.extend(_allocations(json.loads(path.read_bytes()), place, now))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, SpidercniError) as error:
            strange.append(f"{path}: {error}")
    return found, strange


def _allocations(cached: Mapping[str, Any], place: Place, now: float) -> Iterator[Allocation]:
    sections = list(_our_sections(json.loads(base64.b64decode(cached["config"])), place))
    if not sections:
        return
    attachment = Attachment(cached["networkName"], cached["containerId"], cached["ifName"])
    if not all(IDENTIFIER.match(name) for name in attachment[:2]):
        raise ValueError("impossible names")
    args = dict(cached.get("cniArgs") or [])
    owner = Owner.of(attachment.container_id, args)
    families = set()
    for ip in previous_ips({"prevResult": cached.get("result")}) or ():
        # We give one address a family and come first; what follows is of another plugin of the chain.
        if ip.interface.version not in families:
            families.add(ip.interface.version)
            yield Allocation(ip.interface, _pool(ip, sections), ip.gateway, owner, attachment, place.node, now)


def _our_sections(config: Mapping[str, Any], place: Place) -> Iterator[Mapping[str, Any]]:
    for plugin in config.get("plugins", [config]):
        section = plugin.get("ipam") or {}
        directory = Path(section.get("data_dir", place.default_data_dir))
        if section.get("type") in IPAM_TYPES and directory == place.data_dir:
            yield section


def _pool(ip: Ip, sections: Iterable[Mapping[str, Any]]) -> str:
    """Return the name of the inline pool that has the address in its subnet; a manifest's is not known here."""
    for section in sections:
        for pool in section.get("pools") or ():
            if ip.interface.ip in ip_network(pool["subnet"]):
                return str(pool["name"])
    return "unknown"
