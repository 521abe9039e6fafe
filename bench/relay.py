"""VERSION and ADD through the relay of the built executable, beside those of Go's host-local.

    .venv/bin/python bench/relay.py [--runs N] [--host-local PATH]

The agent here answers without doing anything: what is measured is the way to an agent and back, not its work. Every
call is a process of its own, timed from before it starts to its end, as a runtime waits for it, and all series are
called in turn, so that their ratios hold on a busy machine. Needs root and scripts/build.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import ROOT, Plugin, host_local, host_local_config, interleaved, print_table

ACCEPTED, ANSWER = 2, 5


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Return a frame as `native/frame.h` has it."""
    return b"spd1" + bytes([kind, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


async def receive(reader: asyncio.StreamReader) -> None:
    """Receive one frame."""
    header = await reader.readexactly(12)
    await reader.readexactly(int.from_bytes(header[8:], "big"))


async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
    """Serve a relay: accept, and answer or let it wait."""
    await receive(reader)
    writer.write(frame(ACCEPTED))
    await receive(reader)
    if answers:
        writer.write(frame(ANSWER, b'\0{"cniVersion": "1.0.0", "ips": [{"address": "10.77.0.10/16"}]}\n'))
    else:
        await reader.read()
    writer.close()


async def serve(path: str, *, answers: bool) -> None:
    """Serve relays for ever."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await attend(reader, writer, answers=answers)

    server = await asyncio.start_unix_server(one, path)
    await server.serve_forever()


@contextmanager
def agent(path: Path, *words: str) -> Iterator[None]:
    """Run an agent that does nothing in a process of its own."""
    with subprocess.Popen([sys.executable, __file__, "--serve", str(path), *words]) as process:
        try:
            while not path.exists():
                if process.poll() is not None:
                    raise SystemExit("the agent ended")
                time.sleep(0.01)
            yield
        finally:
            process.kill()


def memory(executable: Path, path: Path) -> dict[str, int]:
    """Return kB of memory that a relay has while it waits for its agent: resident, and of that its own."""
    environment = {**os.environ, "CNI_COMMAND": "ADD", "SPIDERCNI_AGENT_SOCKET": str(path)}
    with subprocess.Popen(["spiderpool"], executable=executable, env=environment, stdin=subprocess.DEVNULL) as relay:
        time.sleep(0.5)
        found: dict[str, int] = {}
        for line in Path(f"/proc/{relay.pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, size, *_ = line.split()
            found[name.rstrip(":")] = int(size)
        relay.kill()
    return {"RSS": found["Rss"], "private": found["Private_Clean"] + found["Private_Dirty"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500, help="calls of each series (default: %(default)s)")
    parser.add_argument("--host-local", type=Path, help="Go's host-local (default: scripts/build-tools makes it)")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--silent", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve, answers=not arguments.silent))
        return
    executable = ROOT / "dist" / "spidercni.d" / "spidercni"
    with tempfile.TemporaryDirectory(prefix="spidercni-bench-") as name:
        folder = Path(name)
        path, silent = folder / "agent.sock", folder / "silent.sock"
        os.environ["SPIDERCNI_AGENT_SOCKET"] = str(path)
        go = Plugin(arguments.host_local or host_local(), host_local_config(folder / "host-local"))
        ours = Plugin.linked(executable, folder / "ours")
        nothing = Plugin(Path("/bin/true"), b"")
        with agent(path):
            times = interleaved(
                {
                    "a process that does nothing": lambda _: nothing.call("VERSION"),
                    "host-local (Go) VERSION": lambda _: go.call("VERSION"),
                    "relay VERSION": lambda _: ours.call("VERSION"),
                    "host-local (Go) ADD": lambda number: go.call("ADD", f"container{number}"),
                    "relay ADD, agent does nothing": lambda number: ours.call("ADD", f"container{number}"),
                },
                arguments.runs,
            )
        for verb in ("VERSION", "ADD"):
            part = {name: took for name, took in times.items() if f" {verb}" in name or "nothing" in name.split(",")[0]}
            print_table(part, base=f"host-local (Go) {verb}")
            print()
        with agent(silent, "--silent"):
            sizes = memory(executable, silent)
        print("a relay that waits: " + ", ".join(f"{name} {size} kB" for name, size in sizes.items()))


if __name__ == "__main__":
    main()
