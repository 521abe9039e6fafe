"""Run plugins as a runtime does and measure them side by side.

Series are interleaved: every round runs each of them once, in turn, so that other load on the machine hits all of
them alike and ratios hold where absolute times do not.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

NETNS = "/var/run/netns/not-there"  # IPAM does not look into it

POOL = {"name": "lab-v4", "subnet": "10.77.0.0/16", "ips": ["10.77.0.10-10.77.255.250"], "gateway": "10.77.0.1"}


def our_config(data_dir: Path, pool: Mapping[str, Any] = POOL) -> bytes:
    """Return a network configuration with our plugin, its store under `data_dir`."""
    ipam = {
        "type": "spiderpool", "store": "local", "data_dir": str(data_dir),
        "pools_dir": str(data_dir.parent), "pools": [pool],
    }  # fmt: skip
    return json.dumps({"cniVersion": "1.0.0", "name": "lab", "type": "macvlan", "ipam": ipam}).encode()


def host_local_config(data_dir: Path, subnet: str = str(POOL["subnet"])) -> bytes:
    """Return the same for Go's host-local."""
    ipam = {
        "type": "host-local", "dataDir": str(data_dir), "ranges": [[{"subnet": subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }  # fmt: skip
    return json.dumps({"cniVersion": "1.0.0", "name": "lab", "type": "macvlan", "ipam": ipam}).encode()


def host_local() -> Path:
    """Return Go's host-local, built if need be."""
    done = subprocess.run([ROOT / "scripts" / "build-tools"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip()) / "host-local"


class Plugin:
    """An executable with a configuration."""

    def __init__(self, executable: Path, config: bytes) -> None:
        self.executable = executable
        self.config = config
        self._inherited = {name: value for name, value in os.environ.items() if not name.startswith("CNI_")}

    @classmethod
    def linked(cls, executable: Path, folder: Path, pool: Mapping[str, Any] = POOL) -> Plugin:
        """Return an executable of ours under the name of the IPAM plugin; link and store are in `folder`."""
        if not os.access(executable, os.X_OK):
            raise SystemExit(f"there is no executable {executable}: run scripts/build first")
        folder.mkdir()
        (folder / "spiderpool").symlink_to(executable)
        return cls(folder / "spiderpool", our_config(folder / "store", pool))

    def environment(self, command: str, container_id: str = "") -> dict[str, str]:
        """Return the environment of one call."""
        given = {"CNI_COMMAND": command, "CNI_PATH": str(self.executable.parent), "CNI_IFNAME": "eth0"}
        if container_id:
            given |= {"CNI_CONTAINERID": container_id, "CNI_NETNS": NETNS}
        return self._inherited | given

    def call(self, command: str, container_id: str = "") -> float:
        """Run one call and return its seconds, from before the process starts to its end.

        A call that fails ends the measurement: its time would mean nothing.
        """
        environment = self.environment(command, container_id)
        began = time.perf_counter()
        done = subprocess.run([self.executable], input=self.config, env=environment, capture_output=True, check=False)
        took = time.perf_counter() - began
        if done.returncode != 0 or (command == "ADD" and not done.stdout):
            raise SystemExit(f"{self.executable} {command}: status {done.returncode}, {done.stdout!r} {done.stderr!r}")
        return took


def interleaved(series: Mapping[str, Callable[[int], float]], runs: int) -> dict[str, list[float]]:
    """Call each function once a round with the number of the round; return the seconds that each of them says."""
    times: dict[str, list[float]] = {name: [] for name in series}
    for number in range(-1, runs):  # round -1 warms the caches and is not counted
        for name, call in series.items():
            took = call(number)
            if number >= 0:
                times[name].append(took)
    return times


def quantile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that at least `part` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def print_table(times: Mapping[str, Sequence[float]], base: str = "") -> None:
    """Print milliseconds, and the ratio of the medians to that of `base`."""
    width = max(map(len, times))
    print(f"{'':{width}}  {'min':>8} {'median':>8} {'p99':>8}  ms{'   ratio' if base else ''}")
    for name, values in times.items():
        median = statistics.median(values)
        ratio = f"{median / statistics.median(times[base]):11.2f}" if base else ""
        print(
            f"{name:{width}}  {min(values) * 1e3:8.2f} {median * 1e3:8.2f} {quantile(values, 0.99) * 1e3:8.2f}{ratio}"
        )
