"""Many ADDs at once on one pool: operations per second beside host-local's.

    .venv/bin/python bench/burst.py [--adds N] [--workers N] [--chunks N] [--host-local PATH]

Each ADD is an executed process; as many run at a time as there are workers. Ours and host-local take turns in chunks,
each on a store of its own that was empty at the beginning, so that their ratio holds on a busy machine. Every answer
is looked at: no address may come twice. Needs scripts/build; host-local comes from scripts/build-tools unless it is
named.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from measure import ROOT, Plugin, host_local, host_local_config, quantile

SUBNET = "10.77.0.0/18"
POOL = {"name": "lab-v4", "subnet": SUBNET, "ips": ["10.77.0.2-10.77.63.254"], "gateway": "10.77.0.1"}


class Answer(NamedTuple):
    """What one ADD took and gave."""

    seconds: float
    address: str


def add(executable: str, config_path: str, environment: dict[str, str]) -> Answer:
    """Run one ADD with as little work around it as Python can do."""
    read_end, write_end = os.pipe()
    began = time.perf_counter()
    process = os.posix_spawn(
        executable,
        [executable],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, config_path, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, write_end, 1),
            (os.POSIX_SPAWN_CLOSE, read_end),
        ],
    )
    os.close(write_end)
    with open(read_end, "rb") as answer:
        document = answer.read()
    _, status = os.waitpid(process, 0)
    took = time.perf_counter() - began
    if status:
        raise SystemExit(f"{executable}: status {os.waitstatus_to_exitcode(status)}, {document!r}")
    return Answer(took, json.loads(document)["ips"][0]["address"])


class Series:
    """The ADDs of one plugin."""

    def __init__(self, plugin: Plugin, config_path: Path) -> None:
        config_path.write_bytes(plugin.config)
        self._plugin = plugin
        self._config_path = str(config_path)
        self.seconds = 0.0
        self.answers: list[Answer] = []

    def run(self, workers: ProcessPoolExecutor, count: int) -> None:
        """Run some more, as many at a time as there are workers."""
        first = len(self.answers)
        began = time.perf_counter()
        calls = [
            workers.submit(
                add,
                str(self._plugin.executable),
                self._config_path,
                self._plugin.environment("ADD", f"container{number}"),
            )
            for number in range(first, first + count)
        ]
        self.answers += [call.result() for call in calls]
        self.seconds += time.perf_counter() - began

    @property
    def rate(self) -> float:
        """Operations per second."""
        return len(self.answers) / self.seconds

    def line(self) -> str:
        """Return the line of the table; ends the program if an address came twice."""
        addresses = {answer.address for answer in self.answers}
        if len(addresses) != len(self.answers):
            raise SystemExit(f"{self._plugin.executable}: {len(self.answers) - len(addresses)} addresses came twice")
        times = [answer.seconds for answer in self.answers]
        p50, p99 = quantile(times, 0.5) * 1e3, quantile(times, 0.99) * 1e3
        return f"{len(self.answers):6} ADDs {self.rate:8.1f}/s   each {p50:7.1f} ms median, {p99:7.1f} ms p99"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adds", type=int, default=1000, help="ADDs of each plugin (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=16, help="ADDs at a time (default: %(default)s)")
    parser.add_argument("--chunks", type=int, default=4, help="how often they take turns (default: %(default)s)")
    parser.add_argument("--host-local", type=Path, help="Go's host-local (default: scripts/build-tools makes it)")
    arguments = parser.parse_args()
    go_path = arguments.host_local or host_local()
    with (
        tempfile.TemporaryDirectory(prefix="spidercni-bench-") as name,
        ProcessPoolExecutor(arguments.workers, mp_context=get_context("fork")) as workers,
    ):
        folder = Path(name)
        ours = Plugin.linked(ROOT / "dist" / "spidercni.d" / "spidercni", folder / "ours", POOL)
        go = Plugin(go_path, host_local_config(folder / "host-local", SUBNET))
        series = {
            "host-local (Go)": Series(go, folder / "host-local.json"),
            "spidercni, folder": Series(ours, folder / "ours.json"),
        }
        for chunk in range(arguments.chunks):
            count = arguments.adds * (chunk + 1) // arguments.chunks - arguments.adds * chunk // arguments.chunks
            for each in series.values():
                each.run(workers, count)
    print(f"{arguments.workers} at a time, {arguments.chunks} turns, on {os.cpu_count()} CPUs")
    for label, each in series.items():
        print(f"{label:18} {each.line()}")
    go_rate, our_rate = (each.rate for each in series.values())
    print(f"ratio: {our_rate / go_rate:.3f} of host-local's operations per second")


if __name__ == "__main__":
    main()
