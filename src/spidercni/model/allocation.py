"""An address in use: which, from which pool, and whose. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from spidercni.model.addresses import Address, Interface
from spidercni.model.attachment import Attachment


class Owner(NamedTuple):
    """Who the address belongs to; `identity` survives a new sandbox of the same pod.

    It is `pod/<UID>` where the runtime says the pod's UID, else `container/<container ID>`. A pod's name alone
    is no identity: a pod that was deleted by force and its successor of the same name may live at once.
    """

    identity: str
    namespace: str = ""
    pod: str = ""

    @classmethod
    def of(cls, container_id: str, args: Mapping[str, str]) -> Owner:
        """Return the owner that a container's CNI_ARGS name."""
        uid = args.get("K8S_POD_UID")
        identity = f"pod/{uid}" if uid else f"container/{container_id}"
        return cls(identity, args.get("K8S_POD_NAMESPACE", ""), args.get("K8S_POD_NAME", ""))

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}" if self.pod else self.identity


class Allocation(NamedTuple):
    """One address in use. `(owner.identity, ifname, family)` has at most one (INV-IPAM-2)."""

    interface: Interface
    pool: str
    gateway: Address | None
    owner: Owner
    attachment: Attachment
    node: str
    allocated_at: float  # seconds since the epoch, by the wall clock: for people and for the grace of GC

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.interface.version

    @property
    def number(self) -> int:
        """The address as an integer."""
        return int(self.interface.ip)
