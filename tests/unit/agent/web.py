"""What tests of the agent's HTTP servers share."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import yaml

POOL = {
    "apiVersion": "spiderpool.spidernet.io/v2beta1",
    "kind": "SpiderIPPool",
    "metadata": {"name": "lab-v4"},
    "spec": {
        "subnet": "10.77.0.0/24",
        "ips": ["10.77.0.10-10.77.0.12"],
        "gateway": "10.77.0.1",
        "routes": [{"dst": "10.1.0.0/16", "gw": "10.77.0.2"}],
        "default": True,
    },
}
POOL6 = {
    "apiVersion": "spiderpool.spidernet.io/v2beta1",
    "kind": "SpiderIPPool",
    "metadata": {"name": "lab-v6"},
    "spec": {"subnet": "fd77::/64", "ips": ["fd77::10-fd77::20"], "default": True},
}


def free_port() -> str:
    """Return a port of the loopback that nobody listens at now."""
    with socket.socket() as raw:
        raw.bind(("127.0.0.1", 0))
        return str(raw.getsockname()[1])


def machine(directory: Path, *manifests: dict) -> dict[str, str]:
    """Return the environment of an agent whose store, pools and journal are below a folder."""
    pools = directory / "pools"
    pools.mkdir()
    (pools / "pools.yaml").write_text(yaml.safe_dump_all(manifests))
    return {
        "SPIDERCNI_DATA_DIR": str(directory / "data"),
        "SPIDERCNI_POOLS_DIR": str(pools),
        "SPIDERCNI_PENDING_DIR": str(directory / "pending"),
        "SPIDERCNI_NODE_NAME": "node1",
    }


def get(port: str, path: str) -> httpx.Response:
    """Ask a port of the loopback."""
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10, trust_env=False)
