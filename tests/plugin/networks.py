"""Network configurations of the plugin ring: main plugins as data, with our IPAM in them."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.lab.runtime import Json

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")

# Each brings a container onto 10.77.0.0/24 and fd77::/64; only macvlan reaches what is behind the uplink.
MAIN_PLUGINS: dict[str, Json] = {
    "macvlan": {"type": "macvlan", "master": "uplink0", "mode": "bridge"},
    "bridge": {"type": "bridge", "bridge": "cni0", "isGateway": True},
    "ptp": {"type": "ptp"},
}

V4: Json = {
    "name": "lab-v4",
    "subnet": "10.77.0.0/24",
    "ips": ["10.77.0.10-10.77.0.99"],
    "gateway": "10.77.0.1",
}
V6: Json = {"name": "lab-v6", "subnet": "fd77::/64", "ips": ["fd77::10-fd77::ffff"], "gateway": "fd77::1"}


@dataclass(frozen=True)
class Networks:
    """Writes configuration lists whose IPAM keeps its store in `data_dir`."""

    folder: Path
    data_dir: Path

    def ipam(self, *pools: Json, **more: Json) -> Json:
        """Return an `ipam` section; without pools it has the dual-stack pair of the lab."""
        section = {"type": "spiderpool", "store": "local", "data_dir": str(self.data_dir)}
        return {**section, "pools": list(pools) or [V4, V6], **more}

    def config(self, version: str = "1.1.0", ipam: Json = None, name: str = "lab") -> dict[str, Json]:
        """Return what the IPAM plugin reads when it is executed alone."""
        return {"cniVersion": version, "name": name, "type": "spiderpool", "ipam": ipam or self.ipam()}

    def write(self, *plugins: Json, version: str = "1.1.0", name: str = "lab") -> Path:
        """Write a list of plugins, by default macvlan on the uplink, and return the file."""
        chosen = plugins or ({**MAIN_PLUGINS["macvlan"], "ipam": self.ipam()},)
        path = self.folder / f"{name}-{version}.conflist"
        path.write_text(json.dumps({"cniVersion": version, "name": name, "plugins": chosen}))
        return path
