"""Whole ADD and DEL of the built executable without an agent, beside those of Go's host-local; where the time goes.

    .venv/bin/python bench/cold.py [--runs N] [--onefile-runs N] [--host-local PATH]

Every call is a process of its own, timed from before it starts to its end, as a runtime waits for it. All plugins are
called in turn in one run, so that their ratios hold on a busy machine. Needs scripts/build; host-local comes from
scripts/build-tools unless it is named.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from measure import ROOT, Plugin, host_local, host_local_config, interleaved, our_config, print_table

VERBS = ("ADD", "DEL")

# A line of `python -X importtime`: microseconds alone, with what it imports, the name.
IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")

# What the modules are there for; the first group that has a module's top-level name takes it.
GROUPS = {
    "the interpreter's own start": (
        "_io", "marshal", "posix", "_frozen_importlib_external", "time", "zipimport", "_codecs", "codecs", "encodings",
        "_signal", "_abc", "abc", "io", "_stat", "stat", "_collections_abc", "genericpath", "posixpath", "os", "site",
        "_sitebuiltins", "_distutils_hack", "sitecustomize", "usercustomize",
    ),
    "spidercni": ("spidercni",),
    "json, with re and enum": (
        "json", "_json", "re", "_sre", "enum", "types", "operator", "_operator", "functools", "_functools",
        "collections", "_collections", "itertools", "keyword", "reprlib", "copyreg",
    ),
    "typing": ("typing", "_typing", "contextlib", "warnings"),
    "sqlite3, with datetime": ("sqlite3", "_sqlite3", "datetime", "_datetime", "math"),
}  # fmt: skip


def add_and_del(plugin: Plugin) -> dict[str, Callable[[int], float]]:
    """Return the calls that each round makes of a plugin."""
    return {
        verb: lambda number, verb=verb: plugin.call(verb, f"container{number}")  # type: ignore[misc]
        for verb in VERBS
    }


def compare(plugins: Mapping[str, Plugin], runs: int, base: str) -> None:
    """Measure some plugins side by side and print a table for each verb."""
    calls = {f"{verb} {name}": call for name, plugin in plugins.items() for verb, call in add_and_del(plugin).items()}
    times = interleaved(calls, runs)
    for verb in VERBS:
        part = {name: took for name, took in times.items() if name.startswith(verb)}
        print_table(part, base=f"{verb} {base}")
        print()


def import_table(folder: Path, runs: int) -> None:
    """Print what the imports of an ADD cost by group, from the source tree without site-packages."""
    call = "import sys; sys.argv[0] = 'spiderpool'; from spidercni.main import main; main()"
    plugin = Plugin(folder / "spiderpool", our_config(folder / "imports"))
    rounds: list[dict[str, int]] = []
    modules = 0
    for number in range(runs):
        done = subprocess.run(
            [sys.executable, "-S", "-X", "importtime", "-c", call],
            env={**plugin.environment("ADD", f"imports{number}"), "PYTHONPATH": str(ROOT / "src")},
            input=plugin.config, capture_output=True, check=True,
        )  # fmt: skip
        costs = dict.fromkeys((*GROUPS, "others"), 0)
        found = IMPORT.findall(done.stderr.decode())
        for microseconds, module in found:
            costs[group_of(module)] += int(microseconds)
        rounds.append(costs)
        modules = len(found)
    print(f"imports of an ADD, {modules} modules, median of {runs} (the clock of -X importtime costs some of it):")
    for group in rounds[0]:
        print(f"  {group:28} {statistics.median(costs[group] for costs in rounds) / 1e3:6.1f} ms")


def group_of(module: str) -> str:
    """Return the group of a module."""
    top = module.split(".")[0]
    return next((group for group, members in GROUPS.items() if top in members), "others")


def stages(folder: Path, plugin: Plugin, runs: int) -> None:
    """Print what an ADD costs step by step: each line has all of the line before in it."""

    def process(*command: str) -> float:
        began = time.perf_counter()
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True, env={"PATH": os.environ["PATH"]})
        return time.perf_counter() - began

    base = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    modules = "json, typing, ipaddress, sqlite3"
    calls: dict[str, Callable[[int], float]] = {
        "a process that does nothing (true)": lambda _: process("true"),
        "the interpreter (python -I -S)": lambda _: process(base, "-I", "-S", "-c", "pass"),
        f"… and {modules}": lambda _: process(base, "-I", "-S", "-c", f"import {modules}"),
        "VERSION of the executable": lambda _: plugin.call("VERSION"),
        "STATUS: all of our modules, a look at the store": lambda _: plugin.call("STATUS"),
        "ADD: a transaction too": lambda number: plugin.call("ADD", f"stages{number}"),
    }
    print_table(interleaved(calls, runs))
    print(f"in {folder}, {runs} runs\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="calls of each verb (default: %(default)s)")
    parser.add_argument("--onefile-runs", type=int, default=20, help="the same for the one file (default: %(default)s)")
    parser.add_argument("--host-local", type=Path, help="Go's host-local (default: scripts/build-tools makes it)")
    arguments = parser.parse_args()
    os.environ["SPIDERCNI_RELAYED"] = "1"  # straight to Python, also where an agent runs
    dist = ROOT / "dist"
    with tempfile.TemporaryDirectory(prefix="spidercni-bench-") as name:
        folder = Path(name)
        ours = Plugin.linked(dist / "spidercni.d" / "spidercni", folder / "folder")
        one_file = Plugin.linked(dist / "spidercni", folder / "file")
        go = Plugin(arguments.host_local or host_local(), host_local_config(folder / "host-local"))
        compare({"host-local (Go)": go, "spidercni, folder": ours}, arguments.runs, "host-local (Go)")
        compare({"host-local (Go)": go, "spidercni, one file": one_file}, arguments.onefile_runs, "host-local (Go)")
        status = Plugin(ours.executable, ours.config.replace(b'"1.0.0"', b'"1.1.0"'))
        stages(folder, status, max(10, arguments.runs // 2))
        import_table(folder, 10)


if __name__ == "__main__":
    main()
