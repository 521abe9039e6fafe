"""An attachment: one interface of one container in one network. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Attachment(NamedTuple):
    """What a release names: one interface of one container in one network."""

    network: str
    container_id: str
    ifname: str

    def __str__(self) -> str:
        return f"{self.container_id}/{self.ifname} in network {self.network}"
