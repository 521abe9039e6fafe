"""ADD and DEL through the real agent (embedded store, fsync on) beside Go's host-local.

    .venv/bin/python bench/agent.py [--runs N] [--burst N] [--host-local PATH]

Every call is a process of its own, timed from before it starts to its end, all series in turn. Then bursts of ADD and
DEL, 16 and 100 calls in flight, and what the idle agent costs. Needs root and scripts/build.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from measure import ROOT, Plugin, host_local, host_local_config, interleaved, print_table

EXECUTABLE = ROOT / "dist" / "spidercni.d" / "spidercni"


@contextmanager
def agent(folder: Path, path: Path) -> Iterator[int]:
    """Run the built agent; yield its process ID."""
    with (
        (folder / "agent.log").open("wb") as log,
        subprocess.Popen([EXECUTABLE, "agent", "--socket", path], stderr=log) as process,
    ):
        try:
            while not path.exists():
                if process.poll() is not None:
                    raise SystemExit((folder / "agent.log").read_text())
                time.sleep(0.01)
            yield process.pid
        finally:
            process.terminate()


def status(pid: int, key: str) -> int:
    """Return a number of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise KeyError(key)


def burst(plugin: Plugin, count: int, in_flight: int) -> float:
    """Return operations per second of `count` ADDs and their DELs."""
    with ThreadPoolExecutor(in_flight) as threads:
        began = time.perf_counter()
        for command in ("ADD", "DEL"):
            list(threads.map(lambda number: plugin.call(command, f"burst{number}"), range(count)))  # noqa: B023
        return 2 * count / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="calls of each series (default: %(default)s)")
    parser.add_argument("--burst", type=int, default=500, help="containers of a burst (default: %(default)s)")
    parser.add_argument("--host-local", type=Path, help="Go's host-local (default: scripts/build-tools makes it)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spidercni-bench-") as name:
        folder = Path(name)
        path = folder / "run" / "agent.sock"
        os.environ["SPIDERCNI_AGENT_SOCKET"] = str(path)  # the plugins below inherit it
        go = Plugin(arguments.host_local or host_local(), host_local_config(folder / "host-local"))
        ours = Plugin.linked(EXECUTABLE, folder / "ours")
        with agent(folder, path) as pid:
            times = interleaved(
                {
                    "host-local ADD": lambda number: go.call("ADD", f"container{number}"),
                    "ours ADD": lambda number: ours.call("ADD", f"container{number}"),
                    "host-local DEL": lambda number: go.call("DEL", f"container{number}"),
                    "ours DEL": lambda number: ours.call("DEL", f"container{number}"),
                },
                arguments.runs,
            )
            for verb in ("ADD", "DEL"):
                part = {name: took for name, took in times.items() if name.endswith(verb)}
                print_table(part, base=f"host-local {verb}")
                print()
            both = {
                plugin: [sum(pair) for pair in zip(times[f"{plugin} ADD"], times[f"{plugin} DEL"], strict=True)]
                for plugin in ("host-local", "ours")
            }
            print_table({f"{plugin} ADD+DEL": took for plugin, took in both.items()}, base="host-local ADD+DEL")
            print()
            for in_flight in (16, 100):
                rates = {"host-local": [], "ours": []}
                for _ in range(3):
                    rates["host-local"].append(burst(go, arguments.burst, in_flight))
                    rates["ours"].append(burst(ours, arguments.burst, in_flight))
                best = {plugin: sorted(each)[1] for plugin, each in rates.items()}
                print(
                    f"{in_flight:3} in flight: ours {best['ours']:.0f}/s, host-local {best['host-local']:.0f}/s,"
                    f" ratio {best['ours'] / best['host-local']:.2f}"
                )
            before = status(pid, "voluntary_ctxt_switches")
            time.sleep(5)
            wakes = status(pid, "voluntary_ctxt_switches") - before
            print(f"agent after {arguments.runs} calls and the bursts: RSS {status(pid, 'VmRSS') / 1024:.1f} MB,")
            print(f"woken {wakes} times in 5 s of idleness")


if __name__ == "__main__":
    main()
